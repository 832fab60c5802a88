// The log streams that agents keep open to this manager, and readers on top of them. Not for finding out which
// manager has a node's stream (log-broker.ts).
import { SwarmError } from '../../proto/errors.ts'
import type {
  AgentLogMessage,
  LogSubscribe,
  ManagerLogMessage,
} from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type { RelayLogsRequest, RelayLogsResponse } from '../../proto/gen/tsswarm/v1/membership.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Random } from '../../proto/lib/random.ts'
import { type NodeId, nodeId } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import { EventQueue } from './event-queue.ts'

export type LogEvent = NonNullable<RelayLogsResponse['kind']>
export type LogRequest = Omit<LogSubscribe, 'subscriptionId'>

/** Reads logs of tasks of one node: nothing comes without credit. */
export interface NodeLogs {
  /** Chunks, and one end for each task. Ends after the last one; throws when the node is lost. */
  readonly events: AsyncIterable<LogEvent>
  grant(lines: number): void
  close(): void
}

interface AgentStream {
  readonly send: (message: ManagerLogMessage) => Promise<void>
  readonly readers: Map<string, Reader>
  readonly end: (reason: SwarmError) => void
}

interface Reader {
  readonly events: EventQueue<LogEvent>
  readonly waiting: Set<string>
  /** Lines that the agent may still send. */
  credit: number
}

export class LogHub {
  readonly #random: Random
  readonly #streams = new Map<NodeId, AgentStream>()

  constructor(random: Random) {
    this.#random = random
  }

  /** Serves the log stream of an agent until it ends. Errors: PERMISSION_DENIED, ALREADY_EXISTS (a newer stream). */
  async handleLogs(
    caller: Caller,
    incoming: AsyncIterable<AgentLogMessage>,
    send: (message: ManagerLogMessage) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (caller.kind !== 'node') {
      throw new SwarmError('PERMISSION_DENIED', 'only nodes with a certificate serve logs')
    }
    const id = caller.nodeId
    const { controller, release } = childController(signal)
    const end = (reason: SwarmError): void => controller.abort(reason)
    const stream: AgentStream = { send, readers: new Map(), end }
    this.#streams
      .get(id)
      ?.end(new SwarmError('ALREADY_EXISTS', `node ${id} has a newer log stream`))
    this.#streams.set(id, stream)
    const lost = new SwarmError('UNAVAILABLE', 'the connection to its node was lost')
    const ended = new Promise<void>((resolve) => {
      if (controller.signal.aborted) resolve()
      controller.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    try {
      await Promise.race([readAgent(stream, incoming), ended])
    } finally {
      if (this.#streams.get(id) === stream) this.#streams.delete(id)
      for (const reader of stream.readers.values()) reader.events.close(lost)
      release()
    }
    if (controller.signal.reason instanceof SwarmError) throw controller.signal.reason
  }

  /** Reads logs of a node whose stream is here. Errors: UNAVAILABLE when it is not. */
  open(id: NodeId, request: LogRequest): NodeLogs {
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      throw new SwarmError('UNAVAILABLE', 'its node is not connected at present')
    }
    const subscriptionId = newId(this.#random)
    const waiting = new Set(request.taskIds)
    const reader: Reader = { events: new EventQueue(), waiting, credit: 0 }
    if (reader.waiting.size === 0) reader.events.close()
    stream.readers.set(subscriptionId, reader)
    // A stream that breaks ends its readers where it is read.
    const tell = (message: ManagerLogMessage): void => {
      stream.send(message).catch(() => {})
    }
    tell({ kind: { $case: 'subscribe', value: { ...request, subscriptionId } } })
    return {
      events: reader.events,
      grant: (lines) => {
        reader.credit += lines
        tell({ kind: { $case: 'credit', value: { subscriptionId, lines } } })
      },
      close: () => {
        if (stream.readers.delete(subscriptionId) && reader.waiting.size > 0) {
          tell({ kind: { $case: 'unsubscribe', value: { subscriptionId } } })
        }
        reader.events.close()
      },
    }
  }

  /** RelayLogs of the ManagerPeer service: another manager reads a node whose stream is here. */
  async handleRelay(
    caller: Caller,
    incoming: AsyncIterable<RelayLogsRequest>,
    send: (message: RelayLogsResponse) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (caller.kind !== 'node' || caller.role !== 'manager') {
      throw new SwarmError('PERMISSION_DENIED', 'only managers relay logs')
    }
    const messages = incoming[Symbol.asyncIterator]()
    const first = await messages.next()
    const open = first.done === true ? undefined : first.value.kind
    if (open?.$case !== 'open' || open.value.subscribe === undefined) {
      throw new SwarmError('INVALID_ARGUMENT', 'a relay of logs begins by naming node and tasks')
    }
    const logs = this.open(nodeId(open.value.nodeId), open.value.subscribe)
    const stop = (): void => logs.close()
    signal.addEventListener('abort', stop, { once: true })
    readCredits(messages, logs).catch(stop)
    try {
      for await (const event of logs.events) await send({ kind: event })
    } finally {
      signal.removeEventListener('abort', stop)
      stop()
    }
  }
}

async function readCredits(messages: AsyncIterator<RelayLogsRequest>, logs: NodeLogs) {
  for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
    if (next.value.kind?.$case === 'credit') logs.grant(next.value.kind.value.lines)
  }
}

async function readAgent(
  stream: AgentStream,
  incoming: AsyncIterable<AgentLogMessage>,
): Promise<void> {
  for await (const { kind } of incoming) {
    if (kind?.$case !== 'chunk' && kind?.$case !== 'end') continue
    const reader = stream.readers.get(kind.value.subscriptionId)
    if (reader === undefined) continue
    if (kind.$case === 'chunk') reader.credit -= kind.value.lines.length
    if (reader.credit < 0) {
      throw new SwarmError('INVALID_ARGUMENT', 'more log lines were sent than were asked for')
    }
    reader.events.push(kind)
    if (kind.$case === 'end') reader.waiting.delete(kind.value.taskId)
    if (reader.waiting.size > 0) continue
    stream.readers.delete(kind.value.subscriptionId)
    reader.events.close()
  }
}
