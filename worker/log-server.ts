// Answers the managers' questions for container logs over a stream that the agent opened. Nothing is sent without
// credit, so a slow reader slows the reading of the log and nothing piles up.
import { SwarmError } from '../proto/errors.ts'
import type {
  AgentLogMessage,
  LogSubscribe,
  ManagerLogMessage,
  TaskLogLine,
} from '../proto/gen/tsswarm/v1/dispatcher.ts'
import { createBackoff } from '../proto/lib/backoff.ts'
import { type Clock, type Timer, wait } from '../proto/lib/clock.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { MessageStream } from '../proto/lib/message-stream.ts'
import type { Random } from '../proto/lib/random.ts'
import { type TaskId, taskId } from '../proto/objects/index.ts'
import type { LogLine, LogOptions } from './executor/executor.ts'
import type { ManagerAddress } from './state-records.ts'

export type LogStream = MessageStream<AgentLogMessage, ManagerLogMessage>

export interface LogTransport {
  openLogs(manager: ManagerAddress, signal: AbortSignal): LogStream
}

/** Where logs come from. */
export interface LogSource {
  hasContainer(id: TaskId): boolean
  /** Resolves with false when there will never be a container. Errors: NOT_FOUND. */
  containerReady(id: TaskId, signal: AbortSignal): Promise<boolean>
  logs(id: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>
}

export interface LogServerDeps {
  readonly transport: LogTransport
  readonly source: LogSource
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

const subscriptionsMax = 1_024
const chunkLinesMax = 256
const chunkBytesMax = 64 * 1024
/** Lines that come within this time travel together. */
const chunkMs = 5

/** Keeps a log stream to the manager open until the signal aborts. */
export async function serveLogs(
  deps: LogServerDeps,
  manager: ManagerAddress,
  signal: AbortSignal,
): Promise<void> {
  const backoff = createBackoff({ firstMs: 200, maxMs: 5_000, random: deps.random })
  while (!signal.aborted) {
    const { controller, release } = childController(signal)
    const server = new LogServer(deps, deps.transport.openLogs(manager, controller.signal))
    try {
      await server.run(controller.signal)
    } catch (err) {
      if (!signal.aborted) deps.log.debug({ manager: manager.address, err }, 'log stream ended')
    }
    controller.abort()
    release()
    await wait(deps.clock, backoff.nextMs(), signal)
  }
}

class LogServer {
  readonly #deps: LogServerDeps
  readonly #stream: LogStream
  readonly #subscriptions = new Map<string, Subscription>()

  constructor(deps: LogServerDeps, stream: LogStream) {
    this.#deps = deps
    this.#stream = stream
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#stream.send({ kind: { $case: 'ready', value: {} } })
      for await (const { kind } of this.#stream.incoming) {
        if (kind?.$case === 'subscribe') await this.#subscribe(kind.value, signal)
        if (kind?.$case === 'credit') {
          this.#subscriptions.get(kind.value.subscriptionId)?.grant(kind.value.lines)
        }
        if (kind?.$case === 'unsubscribe') {
          this.#subscriptions.get(kind.value.subscriptionId)?.stop()
        }
      }
    } finally {
      for (const subscription of this.#subscriptions.values()) subscription.stop()
      this.#stream.close()
    }
  }

  async #subscribe(request: LogSubscribe, signal: AbortSignal): Promise<void> {
    const { subscriptionId } = request
    if (this.#subscriptions.size >= subscriptionsMax || this.#subscriptions.has(subscriptionId)) {
      const err = 'this node serves too many log readers: end some of them'
      for (const id of request.taskIds) {
        const value = { subscriptionId, taskId: id, err }
        await this.#stream.send({ kind: { $case: 'end', value } })
      }
      return
    }
    const subscription = new Subscription(this.#deps, request, (message) =>
      this.#stream.send(message),
    )
    this.#subscriptions.set(subscriptionId, subscription)
    subscription
      .run(signal)
      .catch((err: unknown) => this.#deps.log.debug({ err, subscriptionId }, 'log reader lost'))
      .finally(() => this.#subscriptions.delete(subscriptionId))
  }
}

type Send = (message: AgentLogMessage) => Promise<void>

/** One reader of the logs of some tasks. */
class Subscription {
  readonly #deps: LogServerDeps
  readonly #request: LogSubscribe
  readonly #send: Send
  readonly #life = childController().controller
  #credit = 0
  #wake: (() => void)[] = []
  #lines: TaskLogLine[] = []
  #bytes = 0
  #timer: Timer | undefined
  #sending: Promise<void> = Promise.resolve()

  constructor(deps: LogServerDeps, request: LogSubscribe, send: Send) {
    this.#deps = deps
    this.#request = request
    this.#send = send
  }

  grant(lines: number): void {
    this.#credit += lines
    this.#wakeAll()
  }

  stop(): void {
    this.#life.abort()
    this.#wakeAll()
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.stop()
    signal.addEventListener('abort', stop, { once: true })
    try {
      await Promise.all(this.#request.taskIds.map((id) => this.#readTask(taskId(id))))
      await this.#sending
    } finally {
      signal.removeEventListener('abort', stop)
      this.#timer?.cancel()
    }
  }

  async #readTask(id: TaskId): Promise<void> {
    let err = ''
    try {
      await this.#readLines(id)
    } catch (cause) {
      err = cause instanceof Error ? cause.message : String(cause)
    }
    if (this.#life.signal.aborted) return
    this.#flush()
    await this.#sending
    const value = { subscriptionId: this.#request.subscriptionId, taskId: id, err }
    await this.#send({ kind: { $case: 'end', value } })
  }

  async #readLines(id: TaskId): Promise<void> {
    const { source } = this.#deps
    const { signal } = this.#life
    const { follow, sinceMs, tail } = this.#request
    if (follow) {
      if (!(await source.containerReady(id, signal))) return
    } else if (!source.hasContainer(id)) return
    const options: LogOptions = {
      follow,
      ...(sinceMs === 0 ? {} : { sinceMs }),
      ...(tail === undefined ? {} : { tail }),
      streams: streamsOf(this.#request),
      ...(this.#request.details && { details: true }),
    }
    for await (const line of source.logs(id, options, signal)) {
      if (!(await this.#takeCredit())) return
      this.#push(logLine(id, line))
    }
  }

  /** False when the subscription has ended. */
  async #takeCredit(): Promise<boolean> {
    while (this.#credit === 0 && !this.#life.signal.aborted) {
      this.#flush()
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
    this.#credit -= 1
    return !this.#life.signal.aborted
  }

  #push(line: TaskLogLine): void {
    this.#lines.push(line)
    this.#bytes += line.text.length + bytesOf(line.attributes)
    if (this.#lines.length >= chunkLinesMax || this.#bytes >= chunkBytesMax) this.#flush()
    else this.#timer ??= this.#deps.clock.setTimer(chunkMs, () => this.#flush())
  }

  #flush(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#lines.length === 0) return
    const value = { subscriptionId: this.#request.subscriptionId, lines: this.#lines }
    this.#lines = []
    this.#bytes = 0
    this.#sending = this.#sending
      .then(() => this.#send({ kind: { $case: 'chunk', value } }))
      .catch(() => this.stop())
  }

  #wakeAll(): void {
    const wake = this.#wake
    this.#wake = []
    for (const resume of wake) resume()
  }
}

function streamsOf({ stdout, stderr }: LogSubscribe): readonly ('stdout' | 'stderr')[] {
  if (stdout === stderr) return ['stdout', 'stderr']
  return stdout ? ['stdout'] : ['stderr']
}

/** The executor's time stamp has nine fraction digits; three of them are milliseconds. */
function logLine(id: TaskId, line: LogLine): TaskLogLine {
  const fraction = /\.(\d{3})(\d{6})Z$/.exec(line.timestamp)
  const atMs = Date.parse(line.timestamp)
  if (Number.isNaN(atMs)) {
    throw new SwarmError('DATA_LOSS', `the log of task ${id} has a line without a time stamp`)
  }
  return {
    taskId: id,
    atMs,
    atNanos: Number(fraction?.[2] ?? 0),
    stderr: line.stream === 'stderr',
    text: line.data,
    attributes: line.attributes ?? {},
  }
}

function bytesOf(attributes: TaskLogLine['attributes']): number {
  return Object.entries(attributes).reduce(
    (sum, [key, value]) => sum + key.length + value.length,
    0,
  )
}
