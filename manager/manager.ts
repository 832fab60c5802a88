// One manager, composed: Raft, store, who is who, handlers, listener, dispatcher, and the loops of the leader.
import { newJoinToken } from '../proto/codec/join-token.ts'
import { SwarmError } from '../proto/errors.ts'
import type { Clock } from '../proto/lib/clock.ts'
import { newId } from '../proto/lib/ids.ts'
import { childController, runAll } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Random } from '../proto/lib/random.ts'
import type { IdentitySource, ManagerInfo, NodeId } from '../proto/objects/index.ts'
import { createCaHandlers } from './ca/ca-handlers.ts'
import { createClusterDirectory } from './cluster-directory.ts'
import { createControlApi } from './controlapi/control-api.ts'
import { createDispatcher } from './dispatcher/dispatcher.ts'
import { createLeaderSessions } from './dispatcher/leader-sessions.ts'
import { type Founding, foundCluster } from './found-cluster.ts'
import { leaderLoops } from './leader-loops.ts'
import { createLogBroker } from './logbroker/log-broker.ts'
import { announceLoop } from './membership/announce.ts'
import { createPeerHandlers } from './membership/peer-handlers.ts'
import { followNodes } from './membership/follow-nodes.ts'
import type { Leadership, RaftHandle, RaftPeer, StateMachine } from './raft/raft-handle.ts'
import { RaftProposer, storeStateMachine } from './raft/store-bridge.ts'
import type { AdapterDeps, HandlerTable } from './rpc/adapter.ts'
import { CutList } from './rpc/cut-list.ts'
import { leaderForwarder, ManagerChannels } from './rpc/forward.ts'
import { openReports } from './rpc/open-reports.ts'
import { listenTls } from './rpc/server.ts'
import { tlsServices } from './rpc/tls-services.ts'
import { ReplicatedStore } from './store/replicated-store.ts'
import { LeadershipRunner } from './leader.ts'

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
  readonly store: ReplicatedStore
  readonly raft: RaftHandle
  peers(): readonly RaftPeer[]
  /** Hands leadership over when it can, then ends. */
  stop(): Promise<void>
  /** Resolves after stop; rejects when the manager ended by itself. */
  readonly closed: Promise<void>
}

/** Starts a manager. Errors: ADDRESS_IN_USE, INVALID_ARGUMENT (address), DATA_LOSS (log). */
export async function startManager(deps: ManagerDeps): Promise<Manager> {
  const { clock, random, log, nodeId, identity } = deps
  const { controller } = childController()
  const proposer = new RaftProposer(clock)
  const store = new ReplicatedStore({ proposer, clock, random })
  const leadership = new LeadershipRunner({ store, clock, log })
  const raft = await deps.openRaft({
    stateMachine: storeStateMachine(store),
    onLeadership: (now) => leadership.follow(now),
  })
  proposer.open(raft)
  raft.setPeers(deps.knownPeers)
  const stopWatching = identity.onChange((fresh) => raft.setCredentials(fresh))
  const directory = createClusterDirectory({
    selfNodeId: nodeId,
    clusterId: deps.clusterId,
    store,
    raft,
    clock,
    random,
  })
  const channels = new ManagerChannels({ locator: directory, identity })
  const sessions = createLeaderSessions({ store, clock, random, log: log.child({ part: 'sessions' }) })
  const dispatcher = createDispatcher({
    store,
    cluster: directory,
    openReports: openReports({ nodeId, channels, sessions }),
    clock,
    random,
    log: log.child({ part: 'dispatcher' }),
  })
  const logs = createLogBroker({ store, cluster: directory, channels, clock, random, log })
  const control = {
    ...createControlApi({
      store,
      cluster: directory,
      clock,
      random,
      newJoinToken: (rootCertPem) => newJoinToken(rootCertPem, random),
    }),
    serviceLogs: logs.serviceLogs,
  }
  const onLeader = leaderForwarder({ locator: directory, identity, clock, random }, channels)
  const cutList = new CutList(clock)
  const listener = await listenTls(
    deps.listenAddress,
    identity,
    tlsServices({
      control,
      ca: createCaHandlers({ store, clock, newId: () => newId(random) }),
      peers: createPeerHandlers({ store, raft, clock, leaderNodeId: directory.leaderNodeId }),
      sessions,
      dispatcher,
      logs,
      directory,
      clock,
      onLeader,
      track: cutList.track,
    }),
  ).catch(async (err: unknown) => {
    await raft.stop()
    throw err
  })
  leadership.lead(leaderLoops({ store, raft, sessions, clock, random, log }))
  const announced = announceLoop({
    self: nodeId,
    info: deps.info,
    store,
    identity,
    known: deps.knownManagers,
    onMembers: (peers) => raft.setPeers(peers),
    featureLevel: deps.featureLevel,
    clock,
    random,
    log: log.child({ part: 'announce' }),
  })
  if (deps.founding !== undefined) {
    await leadership.untilLeading(controller.signal)
    await foundCluster(store, deps.founding, deps.info, random)
  }
  const running = runAll(controller.signal, [
    { name: 'directory', run: directory.refresh },
    { name: 'dispatcher', run: dispatcher.run },
    { name: 'nodes', run: followNodes({ store, raft, cutList }) },
    announced,
  ])
  const ended = Promise.race([
    running,
    raft.closed,
    leadership.failed,
  ])
  return {
    control: control as unknown as HandlerTable,
    onLeader,
    store,
    raft,
    peers: () => directory.peers(),
    closed: ended,
    stop: async () => {
      listener.close()
      controller.abort()
      await running.catch((err: unknown) => log.warn({ err }, 'a part of the manager failed'))
      await leadership.stop()
      stopWatching()
      channels.close()
      await raft.stop()
    },
  }
}
