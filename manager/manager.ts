// One manager, composed: Raft, store, who is who, handlers, listener, dispatcher, and the loops of the leader.
import { newJoinToken } from '../proto/codec/join-token.ts'
import type { SwarmError } from '../proto/errors.ts'
import { ManagerPeerService } from '../proto/gen/tsswarm/v1/membership.ts'
import type { Clock } from '../proto/lib/clock.ts'
import { newId } from '../proto/lib/ids.ts'
import { childController, type NamedLoop, runAll } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Random } from '../proto/lib/random.ts'
import type { IdentitySource, ManagerInfo, NodeId } from '../proto/objects/index.ts'
import { duplexCall } from '../proto/rpc/duplex.ts'
import { createCaHandlers } from './ca/ca-handlers.ts'
import { type ClusterDirectory, createClusterDirectory } from './cluster-directory.ts'
import { createControlApi } from './controlapi/control-api.ts'
import { createDispatcher, type Dispatcher } from './dispatcher/dispatcher.ts'
import { createLeaderSessions, type LeaderSessions } from './dispatcher/leader-sessions.ts'
import { type Founding, foundCluster } from './found-cluster.ts'
import { leaderLoops } from './leader-loops.ts'
import { LeadershipRunner } from './leadership-runner.ts'
import { serviceLogs } from './logbroker/log-broker.ts'
import { LogHub } from './logbroker/log-hub.ts'
import { type Announcement, announceLoop } from './membership/announce.ts'
import { followNodes } from './membership/follow-nodes.ts'
import { createPeerHandlers } from './membership/peer-handlers.ts'
import type { Leadership, RaftHandle, RaftPeer, StateMachine } from './raft/raft-handle.ts'
import { RaftProposer, storeStateMachine } from './raft/store-bridge.ts'
import type { AdapterDeps, HandlerTable } from './rpc/adapter.ts'
import { CutList } from './rpc/cut-list.ts'
import { leaderForwarder, leaderStreams, ManagerChannels } from './rpc/forward.ts'
import { openReports } from './rpc/open-reports.ts'
import { type Listener, listenTls } from './rpc/server.ts'
import { tlsServices } from './rpc/tls-services.ts'
import { ReplicatedStore } from './store/replicated-store.ts'

export interface RaftOpening {
  readonly stateMachine: StateMachine
  readonly onLeadership: (leadership: Leadership) => void
}

export interface ManagerDeps {
  readonly nodeId: NodeId
  readonly clusterId: string
  /** Addresses under which the others reach this manager. */
  readonly info: ManagerInfo
  /** host:port it listens on. */
  readonly listenAddress: string
  readonly identity: IdentitySource
  /** Opens Raft with this node as a new cluster's only member, or as what its log says. */
  readonly openRaft: (opening: RaftOpening) => Promise<RaftHandle>
  /** Set for the first manager of a new cluster. */
  readonly founding: Founding | undefined
  /** Members known from before, until the store is loaded. */
  readonly knownPeers: readonly RaftPeer[]
  /** host:port of managers known from before. */
  readonly knownManagers: () => readonly string[]
  readonly featureLevel: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export interface Manager {
  /** Handlers of the Control service by method name. */
  readonly control: HandlerTable
  readonly onLeader: NonNullable<AdapterDeps['onLeader']>
  readonly onLeaderStream: NonNullable<AdapterDeps['onLeaderStream']>
  readonly store: ReplicatedStore
  readonly raft: RaftHandle
  peers(): readonly RaftPeer[]
  /** The node that leads as far as this manager knows; undefined while there is none. */
  leaderNodeId(): NodeId | undefined
  /** Why the cluster does not take this manager as it is (UNSUPPORTED); undefined while it may. */
  refusal(): SwarmError | undefined
  /** Hands leadership over when it can, then ends. */
  stop(): Promise<void>
  /** Resolves after stop; rejects when the manager ended by itself. */
  readonly closed: Promise<void>
}

/** Starts a manager. Errors: ADDRESS_IN_USE, INVALID_ARGUMENT (address), DATA_LOSS (log). */
export async function startManager(deps: ManagerDeps): Promise<Manager> {
  const { clock, random, log, identity } = deps
  const { controller } = childController()
  const proposer = new RaftProposer()
  const store = new ReplicatedStore({ proposer, clock, random })
  const leadership = new LeadershipRunner({ store, clock, log })
  const raft = await deps.openRaft({
    stateMachine: storeStateMachine(store),
    onLeadership: (now) => leadership.follow(now),
  })
  proposer.open(raft)
  raft.setPeers(deps.knownPeers)
  const stopWatching = identity.onChange((fresh) => raft.setCredentials(fresh))
  const parts = createParts(deps, store, raft)
  const listener = await serve(deps, parts).catch(async (err: unknown) => {
    await raft.stop()
    throw err
  })
  leadership.lead(leaderLoops({ ...parts, clock, random, log }))
  if (deps.founding !== undefined) {
    await leadership.untilLeading(controller.signal)
    await foundCluster(store, deps.founding, deps.info, random)
  }
  const announcement = announcementOf(deps, parts)
  const running = runAll(controller.signal, [...loops(parts), announcement])
  return {
    control: parts.control,
    onLeader: parts.onLeader,
    onLeaderStream: parts.onLeaderStream,
    store,
    raft,
    peers: () => parts.directory.peers(),
    leaderNodeId: () => parts.directory.leaderNodeId(),
    refusal: announcement.refusal,
    closed: Promise.race([running, raft.closed, leadership.failed]),
    stop: async () => {
      listener.close()
      controller.abort()
      await running.catch((err: unknown) => log.warn({ err }, 'a part of the manager failed'))
      await leadership.stop()
      stopWatching()
      parts.channels.close()
      await raft.stop()
    },
  }
}

interface Parts {
  readonly store: ReplicatedStore
  readonly raft: RaftHandle
  readonly directory: ClusterDirectory
  readonly channels: ManagerChannels
  readonly sessions: LeaderSessions
  readonly dispatcher: Dispatcher
  readonly hub: LogHub
  readonly control: HandlerTable
  readonly onLeader: NonNullable<AdapterDeps['onLeader']>
  readonly onLeaderStream: NonNullable<AdapterDeps['onLeaderStream']>
  readonly cutList: CutList
}

function createParts(deps: ManagerDeps, store: ReplicatedStore, raft: RaftHandle): Parts {
  const { clock, random, log, nodeId, identity, clusterId } = deps
  const basics = { store, clock, random }
  const directory = createClusterDirectory({ ...basics, selfNodeId: nodeId, clusterId, raft })
  const channels = new ManagerChannels({ locator: directory, identity })
  const sessions = createLeaderSessions({ ...basics, log: log.child({ part: 'sessions' }) })
  const dispatcher = createDispatcher({
    ...basics,
    cluster: directory,
    openReports: openReports({ nodeId, channels, sessions }),
    log: log.child({ part: 'dispatcher' }),
  })
  const hub = new LogHub(random)
  const logs = serviceLogs({
    ...basics,
    cluster: directory,
    hub,
    openRelay: (manager, signal) =>
      duplexCall(channels.client(manager), ManagerPeerService.relayLogs, signal),
    log: log.child({ part: 'logs' }),
  })
  const forwarding = { locator: directory, identity, clock, random }
  const api = createControlApi({
    ...basics,
    cluster: directory,
    newJoinToken: (rootCertPem) => newJoinToken(rootCertPem, random),
  })
  return {
    store,
    raft,
    directory,
    channels,
    sessions,
    dispatcher,
    hub,
    control: { ...api, serviceLogs: logs },
    onLeader: leaderForwarder(forwarding, channels),
    onLeaderStream: leaderStreams(forwarding, channels),
    cutList: new CutList(clock),
  }
}

function serve(deps: ManagerDeps, parts: Parts): Promise<Listener> {
  const { clock, random } = deps
  const { store, directory } = parts
  const services = tlsServices({
    ...parts,
    ca: createCaHandlers({ store, clock, newId: () => newId(random) }),
    peers: createPeerHandlers({ store, clock, leaderNodeId: directory.leaderNodeId }),
    clock,
    track: parts.cutList.track,
  })
  return listenTls(deps.listenAddress, deps.identity, services)
}

/** What every manager runs, leader or not, besides its announcement. */
function loops({ store, raft, directory, dispatcher, cutList }: Parts): readonly NamedLoop[] {
  return [
    { name: 'directory', run: directory.refresh },
    { name: 'dispatcher', run: dispatcher.run },
    { name: 'nodes', run: followNodes({ store, raft, cutList }) },
  ]
}

function announcementOf(deps: ManagerDeps, { store, raft }: Parts): Announcement {
  const { nodeId, info, identity, featureLevel, clock, random, log } = deps
  return announceLoop({
    self: nodeId,
    info,
    store,
    identity,
    known: deps.knownManagers,
    onMembers: (peers) => raft.setPeers(peers),
    featureLevel,
    clock,
    random,
    log: log.child({ part: 'announce' }),
  })
}
