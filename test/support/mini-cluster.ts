// Managers and agents in one process on a virtual clock: the real dispatcher and leader loop over pipes, one store for
// all managers. Not a simulation of Raft: who leads is decided by the test.

import { createDispatcher, type Dispatcher } from '../../manager/dispatcher/dispatcher.ts'
import {
  createLeaderSessions,
  type LeaderSessions,
} from '../../manager/dispatcher/leader-sessions.ts'
import type { ReportStream } from '../../manager/dispatcher/report-link.ts'
import { serviceLogs } from '../../manager/logbroker/log-broker.ts'
import { LogHub } from '../../manager/logbroker/log-hub.ts'
import { AckTable } from '../../manager/overlay/ack-table.ts'
import { createMemoryStore } from '../../manager/store/memory-store.ts'
import { nodeDescriptionToProto } from '../../proto/codec/node.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  AgentLogMessage,
  AgentMessage,
  ManagerLogMessage,
  ManagerMessage,
} from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type {
  RelayLogsRequest,
  RelayLogsResponse,
  SessionReport,
  SessionReportAck,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { type MessageStream, streamPair } from '../../proto/lib/message-stream.ts'
import { seededRandom } from '../../proto/lib/random.ts'
import { type Node, type NodeId, nodeId, type Task } from '../../proto/objects/index.ts'
import type { LogTransport } from '../../worker/log-server.ts'
import type { SessionTransport } from '../../worker/session.ts'
import { aCluster, aNode, aSpecRecord, aTask, type TaskFacts } from './objects.ts'
import { VirtualClock } from './virtual-clock.ts'

export type AgentEnd = MessageStream<AgentMessage, ManagerMessage>

interface Manager {
  readonly id: NodeId
  readonly logs: LogHub
  readonly dispatcher: Dispatcher
  readonly leading: LeaderSessions
  readonly life: AbortController
  readonly done: Promise<void>
  /** Streams to and from it, to be cut. */
  readonly streams: Set<{ close(): void }>
}

export class MiniCluster {
  readonly clock = new VirtualClock()
  readonly random = seededRandom(7)
  readonly store = createMemoryStore({ clock: this.clock, random: this.random })
  /** What the leader knows of how far nodes followed the overlay. */
  readonly acks = new AckTable(this.clock)
  /** What a full set waits for. */
  readBarrier: () => Promise<void> = async () => {}
  leader: NodeId | undefined
  readonly #managers = new Map<NodeId, Manager>()
  #endTerm: () => Promise<void> = async () => {}

  /** Makes the cluster object, and a node of each name. */
  async start(...nodes: readonly string[]): Promise<void> {
    await this.store.update((tx) => {
      tx.create('cluster', aCluster({}))
      tx.create('taskSpecs', aSpecRecord('spec-1', {}))
      for (const id of nodes) tx.create('nodes', { ...aNode({ id }), state: 'unknown' })
    })
  }

  addManager(name: string): Manager {
    const id = nodeId(name)
    const { clock, random, store } = this
    const deps = { store, clock, random, log: silentLogger }
    const life = new AbortController()
    const dispatcher = createDispatcher({
      ...deps,
      cluster: {
        selfNodeId: () => id,
        leaderNodeId: () => (life.signal.aborted ? undefined : this.leader),
        readBarrier: () => this.readBarrier(),
      },
      openReports: (leader, signal) => this.#openReports(id, leader, signal),
    })
    const done = dispatcher.run(life.signal)
    const leading = createLeaderSessions({ ...deps, acks: this.acks })
    const logs = new LogHub(random)
    const streams = new Set<{ close(): void }>()
    const manager = { id, dispatcher, leading, logs, life, done, streams }
    this.#managers.set(id, manager)
    return manager
  }

  /** That manager leads from now on; undefined: none. */
  async lead(name: string | undefined): Promise<void> {
    await this.#endTerm()
    this.#endTerm = async () => {}
    this.leader = name === undefined ? undefined : nodeId(name)
    const manager = this.leader && this.#managers.get(this.leader)
    if (manager === undefined) return
    const term = new AbortController()
    const run = manager.leading.loop.run(term.signal)
    this.#endTerm = async () => {
      term.abort()
      await this.clock.advance(0)
      await run
    }
    await this.clock.advance(0)
  }

  /** The manager's process is gone: streams break at once. */
  async kill(name: string): Promise<void> {
    const manager = this.#manager(name)
    if (this.leader === manager.id) await this.lead(undefined)
    manager.life.abort()
    for (const stream of manager.streams) stream.close()
    await this.clock.advance(0)
  }

  /** All connections break; everybody may connect again. */
  cutAll(): void {
    for (const { streams } of this.#managers.values()) {
      for (const stream of [...streams]) stream.close()
    }
  }

  async stop(): Promise<void> {
    await this.lead(undefined)
    for (const { life } of this.#managers.values()) life.abort()
    await this.clock.advance(10)
    await Promise.all([...this.#managers.values()].map(({ done }) => done))
  }

  /** A session as a scripted agent opens it. */
  open(node: string, manager: string, more: { readonly open?: AgentMessage } = {}): FakeAgent {
    const caller = { kind: 'node', nodeId: nodeId(node), role: 'worker' } as const
    const call = new AbortController()
    let outcome: { readonly err: unknown } | undefined
    const near = this.#call<AgentMessage, ManagerMessage>(
      manager,
      call.signal,
      async ({ dispatcher }, far, cut) => {
        try {
          await dispatcher.handleSession(caller, far.incoming, (one) => far.send(one), cut)
          outcome = { err: undefined }
        } catch (err) {
          outcome = { err }
        }
      },
    )
    const agent = new FakeAgent(near, this.clock, node, () => outcome)
    agent.send(more.open ?? opening(node))
    return agent
  }

  /** What agents reach managers by; the address of a manager is its name. */
  transport(node: string): SessionTransport & LogTransport {
    const caller = { kind: 'node', nodeId: nodeId(node), role: 'worker' } as const
    return {
      open: ({ address }, signal) =>
        this.#call<AgentMessage, ManagerMessage>(address, signal, (manager, far, cut) =>
          manager.dispatcher.handleSession(caller, far.incoming, (one) => far.send(one), cut),
        ),
      openLogs: ({ address }, signal) =>
        this.#call<AgentLogMessage, ManagerLogMessage>(address, signal, (manager, far, cut) =>
          manager.logs.handleLogs(caller, far.incoming, (one) => far.send(one), cut),
        ),
    }
  }

  /** The handler of ServiceLogs on that manager. */
  serviceLogs(name: string): ReturnType<typeof serviceLogs> {
    const { id, logs } = this.#manager(name)
    const caller = { kind: 'node', nodeId: id, role: 'manager' } as const
    return serviceLogs({
      store: this.store,
      cluster: { selfNodeId: () => id, readBarrier: () => this.readBarrier() },
      hub: logs,
      openRelay: (manager, signal) =>
        this.#call<RelayLogsRequest, RelayLogsResponse>(manager, signal, (there, far, cut) =>
          there.logs.handleRelay(caller, far.incoming, (one) => far.send(one), cut),
        ),
      clock: this.clock,
      log: silentLogger,
    })
  }

  /** A call to a manager: handled there until either side goes away. */
  #call<Out, In>(
    name: string,
    signal: AbortSignal,
    handle: (manager: Manager, far: MessageStream<In, Out>, cut: AbortSignal) => Promise<void>,
  ): MessageStream<Out, In> {
    const { near, far } = streamPair<Out, In>()
    const manager = this.#managers.get(nodeId(name))
    if (manager === undefined || manager.life.signal.aborted) {
      near.close(new SwarmError('UNAVAILABLE', `manager ${name} does not answer`))
      return near
    }
    const cut = new AbortController()
    const end = (error?: Error): void => {
      far.close(error)
      cut.abort()
      manager.streams.delete(stream)
    }
    const stream = { close: () => end() }
    manager.streams.add(stream)
    signal.addEventListener('abort', () => end(), { once: true })
    handle(manager, far, cut.signal).then(
      () => end(),
      (err: unknown) => end(err instanceof Error ? err : undefined),
    )
    return { ...near, send: near.send, close: (error) => end(error) }
  }

  node(name: string): Node {
    const node = this.store.view((tx) => tx.get('nodes', name))
    if (node === undefined) throw new Error(`no node ${name}`)
    return node
  }

  task(id: string): Task {
    const task = this.store.view((tx) => tx.get('tasks', id))
    if (task === undefined) throw new Error(`no task ${id}`)
    return task
  }

  async addTask(facts: TaskFacts): Promise<void> {
    await this.store.update((tx) => tx.create('tasks', aTask(facts)))
  }

  async changeTask(id: string, change: Partial<Task>): Promise<void> {
    await this.store.update((tx) => {
      const task = tx.get('tasks', id)
      if (task !== undefined) tx.update('tasks', { ...task, ...change })
    })
  }

  #manager(name: string): Manager {
    const manager = this.#managers.get(nodeId(name))
    if (manager === undefined) throw new Error(`no manager ${name}`)
    return manager
  }

  #openReports(from: NodeId, leader: NodeId, signal: AbortSignal): ReportStream {
    const caller = { kind: 'node', nodeId: from, role: 'manager' } as const
    return this.#call<SessionReport, SessionReportAck>(leader, signal, (there, far, cut) =>
      there.leading.handleReports(caller, far.incoming, (ack) => far.send(ack), cut),
    )
  }
}

/** What a node says when it opens a session. */
export function opening(node: string, protocol = 1): AgentMessage {
  const description = aNode({ id: node, hostname: `host-${node}` }).description
  const value = {
    description: description && nodeDescriptionToProto(description),
    applied: undefined,
    advertiseAddress: `10.0.0.${node.length}`,
    protocol,
  }
  return { kind: { $case: 'open', value } }
}

type MessageKind = NonNullable<ManagerMessage['kind']>
type MessageCase = MessageKind['$case']
type ValueOf<C extends MessageCase> = Extract<MessageKind, { readonly $case: C }>['value']

/** An agent that says what the test tells it to. */
export class FakeAgent {
  readonly got: ManagerMessage[] = []
  readonly #stream: AgentEnd
  readonly #clock: VirtualClock
  readonly #outcome: () => { readonly err: unknown } | undefined
  readonly name: string
  #beating = false

  constructor(
    stream: AgentEnd,
    clock: VirtualClock,
    name: string,
    outcome: () => { readonly err: unknown } | undefined,
  ) {
    this.#stream = stream
    this.#clock = clock
    this.name = name
    this.#outcome = outcome
    const read = async (): Promise<void> => {
      for await (const message of stream.incoming) this.got.push(message)
    }
    read().catch(() => {})
  }

  send(message: AgentMessage): void {
    this.#stream.send(message).catch(() => {})
  }

  beat(): void {
    this.send({ kind: { $case: 'heartbeat', value: { sequence: 1 } } })
  }

  /** Beats every 500 ms until `silence`. */
  keepBeating(): void {
    this.#beating = true
    const next = (): void => {
      if (!this.#beating || this.end !== undefined) return
      this.beat()
      this.#clock.setTimer(500, next)
    }
    next()
  }

  silence(): void {
    this.#beating = false
  }

  /** The agent goes away. */
  close(): void {
    this.silence()
    this.#stream.close()
  }

  /** How the session ended, if it did. */
  get end(): { readonly err: unknown } | undefined {
    return this.#outcome()
  }

  /** Messages of that kind. */
  all<C extends MessageCase>($case: C): readonly ValueOf<C>[] {
    return this.got.flatMap(({ kind }) => (kind?.$case === $case ? [kind.value as ValueOf<C>] : []))
  }
}
