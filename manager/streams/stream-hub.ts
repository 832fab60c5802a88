// Streams into containers of nodes whose agents are connected to this manager. A manager cannot dial a node, so it orders a
// tunnel over the stream that the agent keeps open for that, and the agent opens one more call. Not for finding out which
// manager has a node (node-streams.ts) nor for what the frames mean.
import { SwarmError } from '../../proto/errors.ts'
import type {
  AgentStreamsMessage,
  StreamFrame,
  StreamOpen,
  TunnelOrder,
} from '../../proto/gen/tsswarm/v1/streams.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { MessageStream } from '../../proto/lib/message-stream.ts'
import type { Random } from '../../proto/lib/random.ts'
import { type NodeId, nodeId } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import { pipeStream } from './pipe-stream.ts'

/** A stream into a container; closing it ends what runs at its end. */
export interface NodeStream extends MessageStream<StreamFrame, StreamFrame> {
  /** Aborted when the node is lost; reading need not notice. */
  readonly lost: AbortSignal
}

export interface StreamHubDeps {
  readonly clock: Clock
  readonly random: Random
}

interface AgentStream {
  readonly send: (order: TunnelOrder) => Promise<void>
  readonly end: (reason: SwarmError) => void
  /** Ordered and open tunnels. */
  tunnels: number
}

interface Order {
  readonly nodeId: NodeId
  readonly settle: (tunnel: NodeStream | SwarmError) => void
}

/** Who asks knows the node by its task; ids tell nobody anything. */
const notConnected = 'the node of the task is not connected at present: see "tsswarm node ls"'
/** Of one node at a time, over this manager. */
export const tunnelsMax = 256
/** An agent that is told to opens a tunnel within this time. */
const orderMs = 10_000

export class StreamHub {
  readonly #deps: StreamHubDeps
  readonly #agents = new Map<NodeId, AgentStream>()
  readonly #orders = new Map<string, Order>()

  constructor(deps: StreamHubDeps) {
    this.#deps = deps
  }

  /** Serves the stream of orders of an agent until it ends. Errors: PERMISSION_DENIED, ALREADY_EXISTS (a newer stream). */
  async handleStreams(
    caller: Caller,
    incoming: AsyncIterable<AgentStreamsMessage>,
    send: (order: TunnelOrder) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const id = callingNode(caller)
    const { controller, release } = childController(signal)
    const agent = { send, end: (reason: SwarmError) => controller.abort(reason), tunnels: 0 }
    const newer = new SwarmError('ALREADY_EXISTS', `node ${id} has a newer stream of orders`)
    this.#agents.get(id)?.end(newer)
    this.#agents.set(id, agent)
    try {
      await Promise.race([this.#readRefusals(id, incoming), untilAborted(controller.signal)])
    } finally {
      if (this.#agents.get(id) === agent) this.#agents.delete(id)
      release()
    }
    if (controller.signal.reason instanceof SwarmError) throw controller.signal.reason
  }

  /** A tunnel that an agent opens; until whoever ordered it closes it. Errors: PERMISSION_DENIED, NOT_FOUND (nobody waits). */
  async handleTunnel(
    caller: Caller,
    incoming: AsyncIterable<StreamFrame>,
    send: (frame: StreamFrame) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const id = callingNode(caller)
    const frames = incoming[Symbol.asyncIterator]()
    const first = await frames.next()
    const kind = first.done === true ? undefined : first.value.kind
    if (kind?.$case !== 'tunnelId') {
      throw new SwarmError('INVALID_ARGUMENT', 'a tunnel begins by saying which order it is for')
    }
    const order = this.#orders.get(kind.value)
    if (order === undefined || order.nodeId !== id) {
      throw new SwarmError('NOT_FOUND', `nobody waits for tunnel ${kind.value} of node ${id}`)
    }
    let closedBy: Error | undefined
    const { controller: closed, release } = childController(signal)
    order.settle({
      send,
      incoming: { [Symbol.asyncIterator]: () => frames },
      close: (error) => {
        closedBy ??= error
        closed.abort()
      },
      lost: signal,
    })
    await untilAborted(closed.signal)
    release()
    if (closedBy !== undefined) throw closedBy
  }

  /**
   * Opens a stream into a container of a node whose agent is here. Errors: UNAVAILABLE (it is not here, or refuses),
   * RESOURCE_EXHAUSTED (too many), DEADLINE_EXCEEDED, CANCELLED.
   */
  async open(id: NodeId, open: StreamOpen, signal: AbortSignal): Promise<NodeStream> {
    const agent = this.#agents.get(id)
    if (agent === undefined) {
      throw new SwarmError('UNAVAILABLE', notConnected)
    }
    if (agent.tunnels >= tunnelsMax) {
      const text = `the node of the task serves ${tunnelsMax} streams already: end some of them`
      throw new SwarmError('RESOURCE_EXHAUSTED', text)
    }
    agent.tunnels += 1
    let isOpen = true
    const end = (): void => {
      if (isOpen) agent.tunnels -= 1
      isOpen = false
    }
    try {
      const tunnelId = newId(this.#deps.random)
      const tunnel = await this.#order({ id, tunnelId }, agent, signal)
      // A tunnel that breaks shows where it is read.
      tunnel.send({ kind: { $case: 'open', value: open } }).catch(() => {})
      const close: NodeStream['close'] = (error) => {
        if (isOpen && error !== undefined) agent.send({ tunnelId, gone: true }).catch(() => {})
        end()
        tunnel.close(error)
      }
      return { ...tunnel, close }
    } catch (err) {
      end()
      throw err
    }
  }

  /** RelayStream of the ManagerPeer service: for another manager. Errors: PERMISSION_DENIED, INVALID_ARGUMENT, as open. */
  async handleRelay(
    caller: Caller,
    incoming: AsyncIterable<StreamFrame>,
    send: (frame: StreamFrame) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (caller.kind !== 'node' || caller.role !== 'manager') {
      throw new SwarmError('PERMISSION_DENIED', 'only managers relay streams')
    }
    const frames = incoming[Symbol.asyncIterator]()
    const first = await frames.next()
    const kind = first.done === true ? undefined : first.value.kind
    if (kind?.$case !== 'open') {
      throw new SwarmError('INVALID_ARGUMENT', 'a relayed stream begins by naming node and task')
    }
    const node = await this.open(nodeId(kind.value.nodeId), kind.value, signal)
    await pipeStream({ frames, send, signal }, node)
  }

  #order(
    { id, tunnelId }: { readonly id: NodeId; readonly tunnelId: string },
    agent: AgentStream,
    signal: AbortSignal,
  ): Promise<NodeStream> {
    return new Promise((resolve, reject) => {
      const settle = (tunnel: NodeStream | SwarmError): void => {
        this.#orders.delete(tunnelId)
        timer.cancel()
        signal.removeEventListener('abort', cancel)
        if (tunnel instanceof SwarmError) reject(tunnel)
        else resolve(tunnel)
      }
      const cancel = (): void => settle(new SwarmError('CANCELLED', 'nobody waits for it any more'))
      const timer = this.#deps.clock.setTimer(orderMs, () => {
        const text = `the node of the task did not open a stream within ${orderMs / 1000} s`
        settle(new SwarmError('DEADLINE_EXCEEDED', text))
      })
      this.#orders.set(tunnelId, { nodeId: id, settle })
      signal.addEventListener('abort', cancel, { once: true })
      if (signal.aborted) return cancel()
      agent.send({ tunnelId, gone: false }).catch(() => {})
    })
  }

  async #readRefusals(id: NodeId, incoming: AsyncIterable<AgentStreamsMessage>): Promise<void> {
    for await (const { kind } of incoming) {
      if (kind?.$case !== 'refusal') continue
      const order = this.#orders.get(kind.value.tunnelId)
      if (order?.nodeId === id) order.settle(new SwarmError('UNAVAILABLE', kind.value.err))
    }
  }
}

function callingNode(caller: Caller): NodeId {
  if (caller.kind === 'node') return caller.nodeId
  throw new SwarmError('PERMISSION_DENIED', 'only nodes with a certificate serve streams')
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
