// Carries task statuses to whatever session is open: the latest of each task, in batches, again until acknowledged,
// and all of them on a new session. Not for making statuses (task-driver.ts).
import type { Clock, Timer } from '../proto/lib/clock.ts'
import type { TaskId, TaskStatus } from '../proto/objects/index.ts'

/** The first status goes at once, what follows within this window together. */
const windowMs = 20
/** An unacknowledged status is sent again after this long, in case a change of leader lost it. */
const resendMs = 5_000
const statusesPerBatchMax = 1_000

export interface StatusBatch {
  /** From 1, rising within a session. */
  readonly sequence: number
  readonly statuses: readonly TaskStatus[]
}

export type StatusSink = (batch: StatusBatch) => void

interface Unacknowledged {
  readonly status: TaskStatus
  /** Undefined: not sent in this session. */
  sentAtMs: number | undefined
  sequence: number
}

export class StatusReporter {
  readonly #clock: Clock
  readonly #statuses = new Map<TaskId, TaskStatus>()
  readonly #open = new Map<TaskId, Unacknowledged>()
  readonly #unsent = new Set<TaskId>()
  #sink: StatusSink | undefined
  #sequence = 0
  #flushedAtMs = Number.NEGATIVE_INFINITY
  #flushTimer: Timer | undefined
  #resendTimer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Makes it the task's latest status and sends it soon. */
  set(status: TaskStatus): void {
    this.#statuses.set(status.taskId, status)
    this.#markUnsent(status)
  }

  /** Says nothing more of the task. */
  forget(id: TaskId): void {
    this.#statuses.delete(id)
    this.#open.delete(id)
    this.#unsent.delete(id)
  }

  /** A new session: sequences start anew and everything is reported again. Ends the one before. */
  connect(sink: StatusSink): void {
    this.disconnect()
    this.#sink = sink
    this.#sequence = 0
    for (const status of this.#statuses.values()) this.#markUnsent(status)
  }

  disconnect(): void {
    this.#sink = undefined
    this.#flushTimer?.cancel()
    this.#resendTimer?.cancel()
    this.#flushTimer = undefined
    this.#resendTimer = undefined
  }

  /** Everything up to that batch is committed. */
  acknowledge(sequence: number): void {
    for (const [id, open] of this.#open) {
      if (open.sentAtMs !== undefined && open.sequence <= sequence) this.#open.delete(id)
    }
  }

  /** How many statuses are not known to be committed. */
  get openCount(): number {
    return this.#open.size
  }

  #markUnsent(status: TaskStatus): void {
    this.#open.set(status.taskId, { status, sentAtMs: undefined, sequence: 0 })
    this.#unsent.add(status.taskId)
    this.#scheduleFlush()
  }

  #scheduleFlush(): void {
    if (this.#sink === undefined || this.#flushTimer !== undefined) return
    const sinceMs = this.#clock.monotonicMs() - this.#flushedAtMs
    this.#flushTimer = this.#clock.setTimer(Math.max(0, windowMs - sinceMs), () => {
      this.#flushTimer = undefined
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#sink === undefined) return
    this.#flushedAtMs = this.#clock.monotonicMs()
    const unsent = [...this.#unsent]
    this.#unsent.clear()
    for (let at = 0; at < unsent.length; at += statusesPerBatchMax) {
      this.#send(this.#sink, unsent.slice(at, at + statusesPerBatchMax))
    }
    this.#scheduleResend()
  }

  #send(sink: StatusSink, ids: readonly TaskId[]): void {
    this.#sequence += 1
    const statuses: TaskStatus[] = []
    for (const id of ids) {
      const open = this.#open.get(id)
      if (open === undefined) continue
      open.sentAtMs = this.#flushedAtMs
      open.sequence = this.#sequence
      statuses.push(open.status)
    }
    if (statuses.length > 0) sink({ sequence: this.#sequence, statuses })
  }

  #scheduleResend(): void {
    if (this.#resendTimer !== undefined || this.#open.size === 0) return
    this.#resendTimer = this.#clock.setTimer(resendMs, () => {
      this.#resendTimer = undefined
      const dueMs = this.#clock.monotonicMs() - resendMs
      for (const [id, open] of this.#open) {
        if (open.sentAtMs !== undefined && open.sentAtMs <= dueMs) this.#unsent.add(id)
      }
      if (this.#unsent.size > 0) this.#scheduleFlush()
      else this.#scheduleResend()
    })
  }
}
