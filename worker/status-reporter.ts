// Carries task statuses to whatever session is open: the latest of each task, in batches, again until acknowledged,
// and all of them on a new session. Not for making statuses (task-driver.ts).
import type { Clock, Timer } from '../proto/lib/clock.ts'
import { type TaskId, TaskState, type TaskStatus } from '../proto/objects/index.ts'

/** A task that runs or has ended is told at once, what follows within this window together. */
const windowMs = 100
/** A step on the way there may wait so long for the next one: most are overtaken, which saves the cluster an entry each. */
const passingMs = 250
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
  /** When each is to be sent at the latest. */
  readonly #unsent = new Map<TaskId, number>()
  #sink: StatusSink | undefined
  #sequence = 0
  #flushedAtMs = Number.NEGATIVE_INFINITY
  /** When a task that runs or has ended was told last. */
  #toldAtMs = Number.NEGATIVE_INFINITY
  #flushTimer: Timer | undefined
  #flushDueMs = Number.POSITIVE_INFINITY
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
    this.#flushDueMs = Number.POSITIVE_INFINITY
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
    const nowMs = this.#clock.monotonicMs()
    const dueMs = isPassing(status) ? nowMs + passingMs : Math.max(nowMs, this.#toldAtMs + windowMs)
    this.#scheduleFlush(status.taskId, dueMs)
  }

  #scheduleFlush(id: TaskId, dueMs: number): void {
    this.#unsent.set(id, Math.min(dueMs, this.#unsent.get(id) ?? dueMs))
    if (this.#sink !== undefined && dueMs < this.#flushDueMs) this.#setFlushTimer(dueMs)
  }

  #setFlushTimer(dueMs: number): void {
    this.#flushTimer?.cancel()
    this.#flushDueMs = dueMs
    this.#flushTimer = this.#clock.setTimer(Math.max(0, dueMs - this.#clock.monotonicMs()), () =>
      this.#flush(),
    )
  }

  /** Sends what is due by now or within the window anyway. */
  #flush(): void {
    this.#flushDueMs = Number.POSITIVE_INFINITY
    if (this.#sink === undefined) return
    const nowMs = this.#clock.monotonicMs()
    this.#flushedAtMs = nowMs
    const due: TaskId[] = []
    let nextMs = Number.POSITIVE_INFINITY
    for (const [id, dueMs] of this.#unsent) {
      if (dueMs <= nowMs + windowMs) due.push(id)
      else nextMs = Math.min(nextMs, dueMs)
    }
    for (const id of due) this.#unsent.delete(id)
    for (let at = 0; at < due.length; at += statusesPerBatchMax) {
      this.#send(this.#sink, due.slice(at, at + statusesPerBatchMax))
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#setFlushTimer(nextMs)
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
      if (!isPassing(open.status)) this.#toldAtMs = this.#flushedAtMs
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
        if (open.sentAtMs !== undefined && open.sentAtMs <= dueMs) {
          this.#scheduleFlush(id, this.#clock.monotonicMs())
        }
      }
      if (this.#unsent.size === 0) this.#scheduleResend()
    })
  }
}

function isPassing({ state }: TaskStatus): boolean {
  return state < TaskState.RUNNING
}
