// The log of one task, wherever its node's stream is: opened, read with bounded look-ahead, taken up again when the
// node comes back. Not for the order of lines of several tasks (log-broker.ts).
import { SwarmError } from '../../proto/errors.ts'
import type { TaskLogLine } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import { isTerminal, type Node, type Task } from '../../proto/objects/index.ts'
import type { LogEvent, LogRequest, NodeLogs } from './log-hub.ts'

/** Lines read ahead of the consumer. */
const windowLines = 256
const retryMs = 1_000
/** A log that ends by itself must say something within this time. */
const silentMs = 10_000

export interface TaskLogsDeps {
  readonly clock: Clock
  /** The task's present row; undefined: removed. */
  readonly task: () => Task | undefined
  readonly node: () => Node | undefined
  /** Errors: UNAVAILABLE. */
  readonly open: (node: Node, request: LogRequest) => NodeLogs
  readonly request: LogRequest
  /** Something happened: lines came, or it ended. */
  readonly onNews: () => void
}

export class TaskLogs {
  readonly #deps: TaskLogsDeps
  #lines: TaskLogLine[] = []
  #taken = 0
  #logs: NodeLogs | undefined
  #last: TaskLogLine | undefined
  /** After a broken stream: lines up to this one were read before. */
  #skipTo: TaskLogLine | undefined
  #isDone = false
  #err = ''

  constructor(deps: TaskLogsDeps) {
    this.#deps = deps
  }

  /** The next line, undefined when there is none yet. */
  get head(): TaskLogLine | undefined {
    return this.#lines[0]
  }

  /** No further lines will come. */
  get isDone(): boolean {
    return this.#isDone && this.#lines.length === 0
  }

  /** Why the log is incomplete; empty: it is not, as far as is known. */
  get err(): string {
    return this.#err
  }

  take(): TaskLogLine | undefined {
    const line = this.#lines.shift()
    this.#taken += 1
    if (this.#taken >= windowLines / 2) {
      this.#logs?.grant(this.#taken)
      this.#taken = 0
    }
    return line
  }

  /** Reads until the log ends; with follow it survives the loss of the node. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, request, onNews } = this.#deps
    while (!signal.aborted) {
      try {
        await this.#read(signal)
        this.#err = ''
        break
      } catch (err) {
        this.#err = err instanceof Error ? err.message : String(err)
        onNews()
      }
      const task = this.#deps.task()
      if (!request.follow || task === undefined || isTerminal(task.state)) break
      await wait(clock, retryMs, signal)
    }
    this.#isDone = true
    onNews()
  }

  async #read(signal: AbortSignal): Promise<void> {
    const node = this.#deps.node()
    if (node === undefined) throw new SwarmError('UNAVAILABLE', 'its node was removed')
    const logs = this.#deps.open(node, this.#resumed())
    this.#logs = logs
    this.#taken = 0
    const stop = (): void => logs.close()
    signal.addEventListener('abort', stop, { once: true })
    const guard = this.#guard(logs)
    try {
      logs.grant(windowLines - Math.min(this.#lines.length, windowLines))
      for await (const event of logs.events) {
        guard.heard()
        this.#note(event)
      }
      guard.check()
    } finally {
      guard.stop()
      signal.removeEventListener('abort', stop)
      logs.close()
      this.#logs = undefined
    }
  }

  /** From where it broke off, if it did. */
  #resumed(): LogRequest {
    const { request } = this.#deps
    this.#skipTo = this.#last
    if (this.#last === undefined) return request
    const { tail: _, ...rest } = request
    return { ...rest, sinceMs: this.#last.atMs }
  }

  #note(event: LogEvent): void {
    if (event.$case === 'end') {
      if (event.value.err !== '') throw new SwarmError('UNAVAILABLE', event.value.err)
      return
    }
    this.#err = ''
    for (const line of event.value.lines) {
      if (this.#skipTo !== undefined && compareLines(line, this.#skipTo) <= 0) {
        this.#taken += 1
        continue
      }
      this.#skipTo = undefined
      this.#last = line
      this.#lines.push(line)
    }
    this.#deps.onNews()
  }

  /** Ends the reading of a log that should end by itself and says nothing. */
  #guard(logs: NodeLogs) {
    const { clock, request } = this.#deps
    const { controller } = childController()
    let isLate = false
    let timer = clock.setTimer(silentMs, () => {})
    const heard = (): void => {
      timer.cancel()
      if (request.follow || controller.signal.aborted) return
      timer = clock.setTimer(silentMs, () => {
        // A full window is the consumer's silence, not the node's.
        if (this.#lines.length > 0) return heard()
        isLate = true
        logs.close()
      })
    }
    heard()
    return {
      heard,
      check: () => {
        if (isLate) throw new SwarmError('UNAVAILABLE', `its node was silent for ${silentMs} ms`)
      },
      stop: () => {
        controller.abort()
        timer.cancel()
      },
    }
  }
}

/** Below 0 when a is older. */
export function compareLines(a: TaskLogLine, b: TaskLogLine): number {
  return a.atMs - b.atMs || a.atNanos - b.atNanos
}
