// The agents' sessions on this manager, leader or not: takes them in, feeds them assignments, hands what they say to
// the leader. Not for judging nodes and writing statuses, which the leader does (leader-sessions.ts).
import { SwarmError } from '../../proto/errors.ts'
import type {
  AgentMessage,
  ManagerMessage,
  SessionOpen,
} from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import { createBackoff } from '../../proto/lib/backoff.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController, type Loop, runAll } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { type NodeId, type SessionId, sessionId } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { Store } from '../store/store.ts'
import { AgentSession } from './agent-session.ts'
import { AssignmentHub } from './assignment-hub.ts'
import { heartbeatPeriodMs } from './liveness.ts'
import { NodeFeed } from './node-feed.ts'
import { ReportLink, type ReportStream } from './report-link.ts'
import { leaderless, overtaken, removed, replaced, stopping } from './session-errors.ts'
import { SharedBarrier } from './shared-barrier.ts'
import { StallMeter } from './stall-meter.ts'
import { isKnown } from './status-writer.ts'

export const sessionProtocol = 1

/** An agent that connects says at once who it is. */
const openMs = 5_000
/** Sessions of a manager without a leader for this long are closed, so that agents find a better one. */
const leaderlessMs = 5_000
const watchMs = 250
/** An agent that says goodbye waits at most this long for everybody to know. */
const goodbyeMs = 500
const defaultHeartbeatMs = 500

/** What the dispatcher needs to know of the cluster. */
export interface DispatcherView {
  selfNodeId(): NodeId
  leaderNodeId(): NodeId | undefined
  /** Resolves when everything committed before the call is applied here. Errors: NO_LEADER. */
  readBarrier(signal: AbortSignal): Promise<void>
}

export interface DispatcherDeps {
  readonly store: Store
  readonly cluster: DispatcherView
  /** A stream to the leader's report handler; to this very manager when it leads. */
  readonly openReports: (leader: NodeId, signal: AbortSignal) => ReportStream
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export type SendToAgent = (message: ManagerMessage) => Promise<void>

export interface Dispatcher {
  /**
   * Serves one session until it ends; `signal` is the call's. Errors: INVALID_ARGUMENT, UNSUPPORTED (protocol),
   * PERMISSION_DENIED (not of this cluster, removed), NO_LEADER, ALREADY_EXISTS (a newer session of the node).
   */
  handleSession(
    caller: Caller,
    incoming: AsyncIterable<AgentMessage>,
    send: SendToAgent,
    signal: AbortSignal,
  ): Promise<void>
  /** Watches the store and reports to the leader until the signal aborts; sessions need it. */
  readonly run: Loop
  /** How many sessions there are. */
  sessionCount(): number
}

export function createDispatcher(deps: DispatcherDeps): Dispatcher {
  return new RunningDispatcher(deps)
}

class RunningDispatcher implements Dispatcher {
  readonly #deps: DispatcherDeps
  readonly #meter: StallMeter
  readonly #hub: AssignmentHub
  readonly #link: ReportLink
  readonly #barrier: SharedBarrier
  readonly #sessions = new Map<SessionId, AgentSession>()
  readonly #life = childController().controller
  #heartbeatMs = defaultHeartbeatMs
  /** Agents may still keep to the longer period they were told before. */
  #longestMs = defaultHeartbeatMs
  #longestUntilMs = 0
  /** The cluster's feature level, as of the last look. */
  #level: number | undefined

  constructor(deps: DispatcherDeps) {
    const { store, cluster, openReports, clock, log } = deps
    this.#deps = deps
    this.#meter = new StallMeter(clock)
    this.#hub = new AssignmentHub({
      store,
      log,
      onNodeRemoved: (id) => this.#closeNode(id, removed(id)),
    })
    this.#barrier = new SharedBarrier(() => cluster.readBarrier(this.#life.signal))
    this.#link = new ReportLink({
      leaderNodeId: () => cluster.leaderNodeId(),
      openReports,
      sessions: this.#sessions,
      heartbeatMs: () => this.#longestPeriodMs(),
      onClose: (session) => session.close(replaced(session.nodeId)),
      clock,
      meter: this.#meter,
      log,
    })
  }

  sessionCount(): number {
    return this.#sessions.size
  }

  readonly run: Loop = async (signal) => {
    this.#meter.start(signal)
    signal.addEventListener('abort', () => this.#life.abort(), { once: true })
    await runAll(signal, [
      { name: 'assignment hub', run: (inner) => this.#hub.run(inner) },
      { name: 'report link', run: (inner) => this.#link.run(inner) },
      { name: 'session watch', run: (inner) => this.#watch(inner) },
    ])
    for (const session of [...this.#sessions.values()]) session.close(stopping())
  }

  async handleSession(
    caller: Caller,
    incoming: AsyncIterable<AgentMessage>,
    send: SendToAgent,
    signal: AbortSignal,
  ): Promise<void> {
    if (caller.kind !== 'node') {
      throw new SwarmError('PERMISSION_DENIED', 'only nodes with a certificate open sessions')
    }
    if (this.#life.signal.aborted) throw stopping()
    if (this.#link.silentMs() > leaderlessMs) throw leaderless()
    const messages = incoming[Symbol.asyncIterator]()
    const open = await this.#opening(messages, signal)
    this.#refuseNewer(caller.nodeId, open.applied?.epoch ?? 0)
    const { controller, release } = childController(signal)
    const id = sessionId(newId(this.#deps.random))
    try {
      const session = this.#session(caller.nodeId, { id, open, send, controller })
      await this.#serve(session, messages, send, controller.signal)
    } finally {
      this.#sessions.delete(id)
      controller.abort()
      release()
    }
  }

  /** A node that obeys a cluster which was recovered without this manager. */
  #refuseNewer(id: NodeId, epoch: number): void {
    const own = this.#hub.clusterConfig().clusterEpoch
    if (epoch <= own) return
    this.#deps.log.error({ nodeId: id, epoch, own }, 'this manager holds an old history')
    throw overtaken(epoch, own)
  }

  /** The first message, which opens the session. */
  async #opening(messages: AsyncIterator<AgentMessage>, signal: AbortSignal): Promise<SessionOpen> {
    const { controller, release } = childController(signal)
    const late = wait(this.#deps.clock, openMs, controller.signal)
    const first = await Promise.race([messages.next(), late])
    controller.abort()
    release()
    const kind = first === undefined || first.done === true ? undefined : first.value.kind
    if (kind?.$case !== 'open') {
      throw new SwarmError('INVALID_ARGUMENT', 'a session must begin with its opening message')
    }
    if (kind.value.protocol === sessionProtocol) return kind.value
    throw new SwarmError(
      'UNSUPPORTED',
      `this manager speaks session protocol ${sessionProtocol}, the node ${kind.value.protocol}: ` +
        'run the same version of tsswarm on both',
    )
  }

  #session(
    nodeId: NodeId,
    facts: {
      readonly id: SessionId
      readonly open: SessionOpen
      readonly send: SendToAgent
      readonly controller: AbortController
    },
  ): AgentSession {
    const { id, open, send, controller } = facts
    return new AgentSession({
      nodeId,
      sessionId: id,
      description: open.description,
      address: open.advertiseAddress,
      openedAtMs: this.#deps.clock.monotonicMs(),
      heardAtMs: this.#meter.nowMs(),
      send,
      isKnown: (status) => this.#deps.store.view((tx) => isKnown(tx, { nodeId, status })),
      close: (reason) => controller.abort(reason),
    })
  }

  async #serve(
    session: AgentSession,
    messages: AsyncIterator<AgentMessage>,
    send: SendToAgent,
    signal: AbortSignal,
  ): Promise<void> {
    const { nodeId } = session
    const feed = this.#feed(nodeId, send)
    const ended = new Promise<never>((_, reject) => {
      const end = (): void => reject(endOf(signal))
      signal.addEventListener('abort', end, { once: true })
      if (signal.aborted) end()
    })
    ended.catch(() => {})
    // An agent has one session: it has given up the one before, even if that still looks alive here.
    this.#closeNode(nodeId, replaced(nodeId))
    this.#hub.add(feed)
    this.#sessions.set(session.sessionId, session)
    try {
      const config = feed.config()
      const managerNodeId = this.#deps.cluster.selfNodeId()
      const value = { sessionId: session.sessionId, managerNodeId, config }
      await send({ kind: { $case: 'started', value } })
      this.#link.notify()
      await Promise.race([this.#read(session, messages), this.#write(feed, signal), ended])
    } finally {
      this.#hub.remove(feed)
    }
  }

  #feed(nodeId: NodeId, send: SendToAgent): NodeFeed {
    const { store, clock, log } = this.#deps
    return new NodeFeed({
      store,
      clock,
      log,
      nodeId,
      send,
      common: () => ({ ...this.#hub.clusterConfig(), heartbeatMs: this.#heartbeatMs }),
      markedIndex: () => this.#hub.markedIndex,
    })
  }

  /** Until the agent ends the stream. */
  async #read(session: AgentSession, messages: AsyncIterator<AgentMessage>): Promise<void> {
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      const { kind } = next.value
      // Whatever it says, it lives.
      session.beat(this.#meter.nowMs())
      if (kind?.$case === 'statuses') {
        session.addStatuses(kind.value)
        this.#link.notify()
      } else if (kind?.$case === 'description') {
        session.describe(kind.value)
        this.#link.notify()
      } else if (kind?.$case === 'overlay') {
        session.followed(kind.value)
        this.#link.notify()
      } else if (kind?.$case === 'goodbye') {
        session.leave(kind.value.graceMs)
        this.#link.notify()
        return this.#untilNoted(session)
      }
    }
  }

  /** The store says that the session is over, or it takes too long. */
  async #untilNoted({ nodeId, sessionId: id }: AgentSession): Promise<void> {
    const { clock, store } = this.#deps
    const untilMs = clock.monotonicMs() + goodbyeMs
    const isNoted = (): boolean => store.view((tx) => tx.get('nodes', nodeId)?.sessionId) !== id
    while (!isNoted() && clock.monotonicMs() < untilMs) await wait(clock, 10)
  }

  async #write(feed: NodeFeed, signal: AbortSignal): Promise<void> {
    await this.#readPoint(signal)
    const { store } = this.#deps
    if (store.view((tx) => tx.get('nodes', feed.nodeId)) === undefined) throw removed(feed.nodeId)
    feed.markAll()
    await feed.run(signal)
  }

  /** A full set is only worth something when this manager has applied what any other one may have told the agent. */
  async #readPoint(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps
    const backoff = createBackoff({ firstMs: 50, maxMs: 500, random })
    while (!signal.aborted) {
      try {
        return await this.#barrier.wait()
      } catch (err) {
        log.debug({ err }, 'no read point yet')
        await wait(clock, backoff.nextMs(), signal)
      }
    }
  }

  /** Closes sessions that are of no use, and keeps the heartbeats' period in step with their number. */
  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await wait(this.#deps.clock, watchMs, signal)
      if (this.#sessions.size > 0 && this.#link.silentMs() > leaderlessMs) {
        this.#deps.log.warn({ sessions: this.#sessions.size }, 'no leader: sessions closed')
        for (const session of [...this.#sessions.values()]) session.close(leaderless())
      }
      this.#adjustPeriod()
      this.#adjustLevel()
    }
  }

  /** What the leader left out of the nodes' descriptions at a lower level, it takes now. */
  #adjustLevel(): void {
    const level = this.#deps.store.view((tx) => [...tx.all('cluster')][0]?.featureLevel)
    if (level === this.#level) return
    if (this.#level !== undefined) {
      for (const session of this.#sessions.values()) session.describeAgain()
      this.#link.notify()
    }
    this.#level = level
  }

  #adjustPeriod(): void {
    const wishMs = this.#deps.store.view((tx) => {
      for (const cluster of tx.all('cluster')) return cluster.spec.heartbeatMs
      return defaultHeartbeatMs
    })
    const periodMs = heartbeatPeriodMs(this.#sessions.size, wishMs, this.#heartbeatMs)
    if (periodMs === this.#heartbeatMs) return
    this.#longestMs = this.#longestPeriodMs()
    this.#longestUntilMs = this.#meter.nowMs() + 2 * this.#longestMs
    this.#heartbeatMs = periodMs
    this.#hub.markConfigs()
  }

  #longestPeriodMs(): number {
    if (this.#meter.nowMs() >= this.#longestUntilMs) return this.#heartbeatMs
    return Math.max(this.#heartbeatMs, this.#longestMs)
  }

  #closeNode(id: NodeId, reason: SwarmError): void {
    for (const session of this.#sessions.values()) if (session.nodeId === id) session.close(reason)
  }
}

function endOf(signal: AbortSignal): SwarmError {
  if (signal.reason instanceof SwarmError) return signal.reason
  return new SwarmError('CANCELLED', 'the session was cut')
}
