// Managers with real mutual-TLS listeners on loopback, around one store in memory: sessions, reports and logs as they
// travel in production. Not for Raft and not for the daemon.
import { Client, type ServiceDefinition } from '@grpc/grpc-js'
import { createFetchOverlay } from '../../manager/bus/fetch-overlay.ts'
import { OverlayHistory } from '../../manager/bus/overlay-history.ts'
import { storeOverlay } from '../../manager/bus/store-overlay.ts'
import { newNode } from '../../manager/ca/ca-handlers.ts'
import { createRootCa, issueCertificate, type RootCa } from '../../manager/ca/root-ca.ts'
import { DiagnosisHub } from '../../manager/diagnosis/diagnosis-hub.ts'
import { type AskNode, nodeAsker } from '../../manager/diagnosis/node-asker.ts'
import { createDispatcher, type Dispatcher } from '../../manager/dispatcher/dispatcher.ts'
import {
  createLeaderSessions,
  type LeaderSessions,
} from '../../manager/dispatcher/leader-sessions.ts'
import { serviceLogs } from '../../manager/logbroker/log-broker.ts'
import { LogHub } from '../../manager/logbroker/log-hub.ts'
import { AddressBook } from '../../manager/membership/address-book.ts'
import { createPeerHandlers } from '../../manager/membership/peer-handlers.ts'
import { type HandlerTable, serviceImplementation } from '../../manager/rpc/adapter.ts'
import { CutList } from '../../manager/rpc/cut-list.ts'
import { type Listener, listenTls } from '../../manager/rpc/server.ts'
import { tlsCallers } from '../../manager/rpc/tls-callers.ts'
import { createMemoryStore } from '../../manager/store/memory-store.ts'
import { nodeStreams, type OpenNodeStream } from '../../manager/streams/node-streams.ts'
import { StreamHub } from '../../manager/streams/stream-hub.ts'
import { DispatcherService } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import { ManagerPeerService, type RaftMember } from '../../proto/gen/tsswarm/v1/membership.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import {
  featureLevel,
  type IdentitySource,
  type NodeRole,
  nodeId,
  type TlsIdentity,
} from '../../proto/objects/index.ts'
import { unary } from '../../proto/rpc/call.ts'
import { channelCredentials, channelOptions } from '../../proto/rpc/channel.ts'
import { duplexCall } from '../../proto/rpc/duplex.ts'
import { type Agent, createAgent } from '../../worker/agent.ts'
import type { NodeDiagnosis } from '../../worker/diagnosis-server.ts'
import type { Executor } from '../../worker/executor/executor.ts'
import { createNodeKey } from '../../worker/identity/node-key.ts'
import { grpcSessionTransport } from '../../worker/session-grpc.ts'
import type { ManagerAddress } from '../../worker/state-records.ts'
import type { ContainerStreams } from '../../worker/streams/container-streams.ts'
import { memoryStateFile } from './memory-state-file.ts'
import { aCluster, aSpecRecord } from './objects.ts'

interface GrpcManager {
  readonly name: string
  readonly identity: TlsIdentity
  readonly dispatcher: Dispatcher
  readonly leading: LeaderSessions
  readonly logs: LogHub
  readonly diagnosis: DiagnosisHub
  readonly streams: StreamHub
  readonly life: AbortController
  /** Where it knows the others to be. */
  readonly book: AddressBook
  listener: Listener | undefined
  done: Promise<void>
}

export interface AgentWish {
  /** How long its certificate is valid, in whole seconds; default: an hour. */
  readonly lifeMs?: number
  /** What may be asked about its network; default: nothing. */
  readonly diagnosis?: NodeDiagnosis
  /** What may be done in its containers; default: nothing. */
  readonly containers?: ContainerStreams
}

const basics = { clock: systemClock, random: systemRandom, log: silentLogger }
const hourMs = 3_600_000

export class GrpcCluster {
  readonly store = createMemoryStore({ clock: systemClock, random: systemRandom })
  readonly managers = new Map<string, GrpcManager>()
  readonly #root: RootCa
  readonly #agents: (() => Promise<void>)[] = []
  readonly #renewals = new Map<string, () => Promise<void>>()
  readonly #clients: Client[] = []
  readonly #history = new OverlayHistory(this.store, storeOverlay)
  readonly #cutList = new CutList(systemClock)
  #leader = ''
  #endTerm: () => Promise<void> = async () => {}

  private constructor(root: RootCa) {
    this.#root = root
  }

  /** With a listener for each manager; the first one leads. */
  static async start(
    managers: readonly string[],
    workers: readonly string[],
  ): Promise<GrpcCluster> {
    const cluster = new GrpcCluster(await createRootCa(Date.now()))
    await cluster.store.update((tx) => {
      tx.create('cluster', aCluster({}))
      tx.create('taskSpecs', aSpecRecord('spec-1', {}))
      for (const id of managers) tx.create('nodes', newNode(id, 'manager', 0))
      for (const id of workers) tx.create('nodes', newNode(id, 'worker', 0))
    })
    for (const name of managers) await cluster.#startManager(name)
    await cluster.lead(managers[0] ?? '')
    return cluster
  }

  addresses(): readonly ManagerAddress[] {
    return [...this.managers.values()].flatMap(({ name, listener }) =>
      listener === undefined ? [] : [{ nodeId: name, address: `127.0.0.1:${listener.port}` }],
    )
  }

  /** What that manager shows who it is with. */
  identityOf(name: string): IdentitySource {
    const { identity } = this.#manager(name)
    return { current: () => identity, onChange: () => () => {} }
  }

  /** A certificate of a worker. */
  nodeIdentity(name: string): Promise<TlsIdentity> {
    return this.#identity(name, 'worker')
  }

  /** How that manager names itself to others. */
  memberOf(name: string): RaftMember {
    const port = this.managers.get(name)?.listener?.port ?? 1
    const [address, raftAddress] = [`127.0.0.1:${port}`, `127.0.0.1:${port + 1}`]
    return { nodeId: name, raftId: `raft-${name}`, address, raftAddress }
  }

  async lead(name: string): Promise<void> {
    await this.#endTerm()
    this.#leader = name
    const manager = this.managers.get(name)
    if (manager === undefined) return
    const term = new AbortController()
    const run = manager.leading.loop.run(term.signal)
    this.#endTerm = async () => {
      term.abort()
      await run
    }
  }

  /** The manager goes away like a killed process: its connections break. */
  async kill(name: string): Promise<void> {
    const manager = this.managers.get(name)
    manager?.listener?.close()
    if (manager !== undefined) manager.listener = undefined
    manager?.life.abort()
    await manager?.done
  }

  /** An agent. */
  async startAgent(
    name: string,
    executor: Executor,
    { lifeMs = hourMs, diagnosis, containers }: AgentWish = {},
  ): Promise<Agent> {
    let identity = await this.#identity(name, 'worker', lifeMs)
    const listeners = new Set<() => void>()
    this.#renewals.set(name, async () => {
      identity = await this.#identity(name, 'worker')
      for (const listener of listeners) listener()
    })
    const life = new AbortController()
    const transport = grpcSessionTransport({ identity: () => identity })
    const agent = await createAgent({
      ...basics,
      nodeId: nodeId(name),
      executor,
      transport,
      ...(diagnosis && { diagnosis: { transport, node: diagnosis } }),
      ...(containers && { streams: { transport, containers } }),
      onRenewal: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      stateFile: memoryStateFile(),
      describe: () => ({
        hostname: name,
        platform: { os: 'linux', architecture: 'x86_64' },
        resources: { nanoCpus: 4e9, memoryBytes: 8e9 },
        engineVersion: '1',
        engineLabels: {},
        featureLevel,
        dataPathAddress: '',
      }),
      network: () => ({ kind: 'none' }),
      advertiseAddress: () => '127.0.0.1',
      managers: this.addresses(),
    })
    const running = agent.run(life.signal)
    this.#agents.push(async () => {
      life.abort()
      await executor.close()
      await running
    })
    return agent
  }

  /** Gives the agent a new certificate for an hour. */
  async renew(name: string): Promise<void> {
    await this.#renewals.get(name)?.()
  }

  serviceLogs(name: string): ReturnType<typeof serviceLogs> {
    const manager = this.#manager(name)
    return serviceLogs({
      ...basics,
      store: this.store,
      cluster: { selfNodeId: () => nodeId(name), readBarrier: async () => {} },
      hub: manager.logs,
      openRelay: (to, signal) =>
        duplexCall(this.#client(manager, to), ManagerPeerService.relayLogs, signal),
    })
  }

  /** Asks nodes about their network, through that manager. */
  asker(name: string): AskNode {
    const manager = this.#manager(name)
    return nodeAsker({
      selfNodeId: () => nodeId(name),
      hub: manager.diagnosis,
      relay: (to, request, signal) =>
        unary(this.#client(manager, to), ManagerPeerService.relayDiagnosis, request, {
          deadlineMs: request.waitMs,
          signal,
        }),
    })
  }

  /** Streams into containers, through that manager. */
  nodeStreams(name: string): OpenNodeStream {
    const manager = this.#manager(name)
    return nodeStreams({
      selfNodeId: () => nodeId(name),
      hub: manager.streams,
      openRelay: (to, signal) =>
        duplexCall(this.#client(manager, to), ManagerPeerService.relayStream, signal),
    })
  }

  async stop(): Promise<void> {
    for (const end of this.#agents) await end()
    await this.#endTerm()
    for (const name of this.managers.keys()) await this.kill(name)
    for (const client of this.#clients) client.close()
  }

  async #startManager(name: string): Promise<void> {
    const identity = await this.#identity(name, 'manager')
    const { store } = this
    const leading = createLeaderSessions({ ...basics, store })
    const logs = new LogHub(systemRandom)
    const diagnosis = new DiagnosisHub(basics)
    const streams = new StreamHub(basics)
    const life = new AbortController()
    const dispatcher = createDispatcher({
      ...basics,
      store,
      cluster: {
        selfNodeId: () => nodeId(name),
        leaderNodeId: () => nodeId(this.#leader),
        readBarrier: async () => {},
      },
      // Over gRPC even to itself, so that this way is tested.
      openReports: (leader, signal) => {
        const client = this.#client(this.#manager(name), leader)
        return duplexCall(client, ManagerPeerService.reportSessions, signal)
      },
    })
    const manager: GrpcManager = {
      name,
      identity,
      dispatcher,
      leading,
      logs,
      diagnosis,
      streams,
      life,
      book: new AddressBook({ store, self: nodeId(name) }),
      listener: undefined,
      done: Promise.resolve(),
    }
    manager.listener = await this.#listen(manager)
    this.managers.set(name, manager)
    manager.done = dispatcher.run(life.signal)
  }

  #listen({
    name,
    identity,
    dispatcher,
    leading,
    logs,
    diagnosis,
    streams,
    book,
  }: GrpcManager): Promise<Listener> {
    const directory = {
      clusterId: () => 'c1',
      node: (id: string) => this.store.view((tx) => tx.get('nodes', id)),
      isRemoved: () => false,
    }
    const { track } = this.#cutList
    const deps = { callerOf: tlsCallers(directory, systemClock), track }
    const served = (definition: ServiceDefinition, handlers: object) => ({
      definition,
      implementation: serviceImplementation(definition, handlers as HandlerTable, deps),
    })
    return listenTls('127.0.0.1:0', { current: () => identity, onChange: () => () => {} }, [
      served(DispatcherService, {
        session: dispatcher.handleSession.bind(dispatcher),
        logs: logs.handleLogs.bind(logs),
        diagnose: diagnosis.handleDiagnose.bind(diagnosis),
        streams: streams.handleStreams.bind(streams),
        tunnel: streams.handleTunnel.bind(streams),
        fetchOverlay: createFetchOverlay({
          store: this.store,
          source: storeOverlay,
          history: this.#history,
          readBarrier: async () => {},
        }),
      }),
      served(ManagerPeerService, {
        reportSessions: leading.handleReports,
        relayLogs: logs.handleRelay.bind(logs),
        relayDiagnosis: diagnosis.handleRelay.bind(diagnosis),
        relayStream: streams.handleRelay.bind(streams),
        noteAccess: async () => ({}),
        ...createPeerHandlers({
          store: this.store,
          clock: systemClock,
          leaderNodeId: () => nodeId(this.#leader),
          self: () => this.memberOf(name),
          book,
        }),
      }),
    ])
  }

  #client({ identity }: GrpcManager, to: string): Client {
    const port = this.managers.get(to)?.listener?.port ?? 1
    const credentials = channelCredentials(identity)
    const client = new Client(`127.0.0.1:${port}`, credentials, channelOptions(to))
    this.#clients.push(client)
    return client
  }

  #manager(name: string): GrpcManager {
    const manager = this.managers.get(name)
    if (manager === undefined) throw new Error(`no manager ${name}`)
    return manager
  }

  async #identity(name: string, role: NodeRole, lifeMs = hourMs): Promise<TlsIdentity> {
    const { csrPem, keyPem } = await createNodeKey()
    const subject = { nodeId: name, role, clusterId: 'c1' }
    const options = { subject, csrPem, nowMs: Date.now(), lifeMs }
    const certPem = await issueCertificate(this.#root, options)
    return { certPem: certPem + this.#root.certPem, keyPem, caPem: this.#root.certPem }
  }
}
