// One manager, composed: Raft, store, who is who, handlers, listener, dispatcher, and the loops of the leader.
import { networkSubject } from '../proto/bus/subjects.ts'
import { newJoinToken } from '../proto/codec/join-token.ts'
import { SwarmError } from '../proto/errors.ts'
import { ManagerPeerService, type RaftMember } from '../proto/gen/tsswarm/v1/membership.ts'
import type { Clock } from '../proto/lib/clock.ts'
import { newId } from '../proto/lib/ids.ts'
import { childController, type NamedLoop, runAll } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Random } from '../proto/lib/random.ts'
import type { IdentitySource, ManagerInfo, NetworkId, NodeId } from '../proto/objects/index.ts'
import { unary } from '../proto/rpc/call.ts'
import { duplexCall } from '../proto/rpc/duplex.ts'
import { createFetchOverlay, type FetchOverlay } from './bus/fetch-overlay.ts'
import { createManagerBus, type ManagerBus } from './bus/manager-bus.ts'
import { OverlayHistory } from './bus/overlay-history.ts'
import { overlayPublisherLoop } from './bus/overlay-publisher.ts'
import type { OverlaySource } from './bus/overlay-source.ts'
import { createCaHandlers } from './ca/ca-handlers.ts'
import { type ClusterDirectory, createClusterDirectory } from './cluster-directory.ts'
import { createControlApi } from './controlapi/control-api.ts'
import { auditNetwork } from './diagnosis/audit-network.ts'
import { DiagnosisHub } from './diagnosis/diagnosis-hub.ts'
import { nodeAsker } from './diagnosis/node-asker.ts'
import { nodeVolumes } from './diagnosis/node-volumes.ts'
import { traceNetwork } from './diagnosis/trace-network.ts'
import { createDispatcher, type Dispatcher } from './dispatcher/dispatcher.ts'
import { createLeaderSessions, type LeaderSessions } from './dispatcher/leader-sessions.ts'
import { EventLog } from './events/event-log.ts'
import { createWatchEvents } from './events/watch-events.ts'
import { type Founding, foundCluster } from './found-cluster.ts'
import { leaderLoops } from './leader-loops.ts'
import { LeadershipRunner } from './leadership-runner.ts'
import { serviceLogs } from './logbroker/log-broker.ts'
import { LogHub } from './logbroker/log-hub.ts'
import { AddressBook, type MovedManager } from './membership/address-book.ts'
import { type Announcement, announceLoop, isAnnounced } from './membership/announce.ts'
import type { ExchangeDeps } from './membership/exchange-addresses.ts'
import { followNodes, tellPeers } from './membership/follow-nodes.ts'
import { createPeerHandlers, type PeerHandlers } from './membership/peer-handlers.ts'
import { type Reconnected, reconnect } from './membership/reconnect.ts'
import { type Recovered, recoverCluster } from './membership/recover-cluster.ts'
import { AckTable } from './overlay/ack-table.ts'
import type { Leadership, RaftHandle, RaftPeer, StateMachine } from './raft/raft-handle.ts'
import { RaftProposer, storeStateMachine } from './raft/store-bridge.ts'
import type { AdapterDeps, HandlerTable } from './rpc/adapter.ts'
import { CutList } from './rpc/cut-list.ts'
import { leaderForwarder, leaderStreams, ManagerChannels } from './rpc/forward.ts'
import { openReports } from './rpc/open-reports.ts'
import { type Listener, listenTls } from './rpc/server.ts'
import { tlsServices } from './rpc/tls-services.ts'
import { ReplicatedStore } from './store/replicated-store.ts'
import { streamHandlers } from './streams/stream-handlers.ts'
import { StreamHub } from './streams/stream-hub.ts'

/** A cluster of one elects its leader within an election timeout, after its log was applied. */
const recoverMs = 60_000
/** Agents tried managers that are gone, each for up to 10 s, and come back meanwhile. */
const recoveryGraceMs = 30_000

export interface RaftOpening {
  readonly stateMachine: StateMachine
  readonly onLeadership: (leadership: Leadership) => void
}

export interface ManagerDeps {
  readonly nodeId: NodeId
  readonly clusterId: string
  /** Addresses under which the others reach this manager at first. */
  readonly info: ManagerInfo
  /** host:port it listens on. */
  readonly listenAddress: string
  readonly identity: IdentitySource
  /** Opens Raft with this node as a new cluster's only member, or as what its log says. */
  readonly openRaft: (opening: RaftOpening) => Promise<RaftHandle>
  /** Set for the first manager of a new cluster. */
  readonly founding: Founding | undefined
  /** Set when this manager goes on alone; of the same id as long as that has not succeeded. */
  readonly recovery: { readonly id: string } | undefined
  /** Members of Raft that were left behind in a recovery. */
  readonly lostRaftIds: readonly string[]
  /** Managers that were somewhere else than the store says when this one last ran, and what is to be kept of that. */
  readonly moved: readonly MovedManager[]
  readonly onMoved: (moved: readonly MovedManager[]) => void
  /** Members known from before, until the store is loaded. */
  readonly knownPeers: readonly RaftPeer[]
  /** host:port of managers known from before. */
  readonly knownManagers: () => readonly string[]
  readonly featureLevel: number
  /** Folder in memory for the server of its bus; undefined: it has none. */
  readonly busDirectory: string | undefined
  /** What there is to know of overlay networks. */
  readonly overlay: OverlaySource
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
  /** What became of a recovery that was asked for. */
  readonly recovered: Recovered | undefined
  /** This manager is reached somewhere else from now on. */
  readdress(info: ManagerInfo): void
  /** Asks managers at these addresses where all are now; see `isConnected` for whether that was enough. */
  reconnect(addresses: readonly string[], signal: AbortSignal): AsyncIterable<Reconnected>
  /** Where the leader is, once there is one that has written down where this manager is. */
  isConnected(): string | undefined
  /** What is wrong with its part of the bus; undefined: nothing. */
  busProblem(): string | undefined
  /** Why the cluster does not take this manager as it is (UNSUPPORTED); undefined while it may. */
  refusal(): SwarmError | undefined
  /** Hands leadership over when it can, then ends. */
  stop(): Promise<void>
  /** Resolves after stop; rejects when the manager ended by itself. */
  readonly closed: Promise<void>
}

/** Starts a manager. Errors: ADDRESS_IN_USE, INVALID_ARGUMENT (address), DATA_LOSS (log), DEADLINE_EXCEEDED (recovery). */
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
  const parts = createParts(deps, store, raft)
  raft.setPeers(parts.book.permitted(deps.knownPeers))
  const stopWatching = identity.onChange((fresh) => raft.setCredentials(fresh))
  const listener = await serve(deps, parts).catch(async (err: unknown) => {
    await raft.stop()
    throw err
  })
  // Before any loop of the leader looks at nodes that are lost.
  const recovered = await recover(deps, parts, leadership).catch(async (err: unknown) => {
    listener.close()
    await raft.stop()
    throw err
  })
  leadership.lead(leaderLoops({ ...parts, clock, random, log }))
  if (deps.founding !== undefined) {
    await leadership.untilLeading(controller.signal)
    await foundCluster(store, deps.founding, deps.info, random)
  }
  const announcement = announcementOf(deps, parts)
  parts.place.onMoved = () => {
    announcement.now()
    parts.bus?.moved()
  }
  const running = runAll(controller.signal, [...loops(parts), announcement])
  return {
    ...managerOf(deps, parts, announcement),
    recovered,
    closed: Promise.race([running, raft.closed, leadership.failed]),
    stop: async () => {
      listener.close()
      controller.abort()
      await running.catch((err: unknown) => log.warn({ err }, 'a part of the manager failed'))
      await leadership.stop()
      stopWatching()
      parts.acks.close()
      parts.channels.close()
      await raft.stop()
    },
  }
}

function managerOf(
  { nodeId: self, identity }: ManagerDeps,
  parts: Parts,
  announcement: Announcement,
): Omit<Manager, 'recovered' | 'closed' | 'stop'> {
  const { store, raft, directory, book, place } = parts
  return {
    control: parts.control,
    onLeader: parts.onLeader,
    onLeaderStream: parts.onLeaderStream,
    store,
    raft,
    peers: () => directory.peers(),
    leaderNodeId: () => directory.leaderNodeId(),
    readdress: (info) => {
      place.info = info
      // Whatever is open has an end at the old address.
      raft.setCredentials(identity.current())
      parts.channels.redial()
      announcement.now()
    },
    reconnect: (addresses, signal) => reconnect(parts.exchange, addresses, signal),
    isConnected: () => {
      const leader = directory.leaderNodeId()
      const isWritten = isAnnounced({ store, self, info: () => place.info })
      return leader !== undefined && isWritten ? book.controlAddress(leader) : undefined
    },
    busProblem: () => parts.bus?.problem(),
    refusal: announcement.refusal,
  }
}

/** Errors: DEADLINE_EXCEEDED; those of Raft and the store. */
async function recover(
  { nodeId, info, recovery, clock, log }: ManagerDeps,
  { store, raft }: Parts,
  leadership: LeadershipRunner,
): Promise<Recovered | undefined> {
  if (recovery === undefined) return undefined
  const { controller } = childController()
  const timer = clock.setTimer(recoverMs, () => controller.abort())
  try {
    await Promise.race([leadership.untilLeading(controller.signal), raft.closed])
    if (controller.signal.aborted) {
      const text = `this manager does not lead ${recoverMs / 1000} s after it was made the only one`
      throw new SwarmError('DEADLINE_EXCEEDED', text)
    }
    const recovered = await recoverCluster(store, { nodeId, info }, recovery.id)
    log.warn({ ...recovered }, 'the cluster was recovered from this manager alone')
    return recovered
  } finally {
    controller.abort()
    timer.cancel()
  }
}

interface Place {
  info: ManagerInfo
  /** Others were found, or have moved. */
  onMoved: () => void
}

interface Parts {
  readonly store: ReplicatedStore
  readonly raft: RaftHandle
  readonly directory: ClusterDirectory
  readonly book: AddressBook
  /** Where this manager is reached now. */
  readonly place: Place
  readonly exchange: ExchangeDeps
  readonly peers: PeerHandlers
  readonly channels: ManagerChannels
  readonly sessions: LeaderSessions
  readonly acks: AckTable
  readonly dispatcher: Dispatcher
  readonly hub: LogHub
  readonly diagnosis: DiagnosisHub
  readonly streams: StreamHub
  readonly control: HandlerTable
  readonly onLeader: NonNullable<AdapterDeps['onLeader']>
  readonly onLeaderStream: NonNullable<AdapterDeps['onLeaderStream']>
  readonly cutList: CutList
  readonly bus: ManagerBus | undefined
  readonly publisher: NamedLoop | undefined
  readonly fetchOverlay: FetchOverlay
  /** As in LeaderLoopsDeps. */
  readonly changedIndex: (id: NetworkId) => number
}

function createParts(deps: ManagerDeps, store: ReplicatedStore, raft: RaftHandle): Parts {
  const { clock, random, log, nodeId, identity, clusterId } = deps
  const basics = { store, clock, random }
  const place: Place = { info: deps.info, onMoved: () => {} }
  const book = bookOf(deps, { store, raft, place })
  const directory = createClusterDirectory({ ...basics, selfNodeId: nodeId, clusterId, raft, book })
  const self = (): RaftMember => ({ nodeId, ...place.info })
  const channels = new ManagerChannels({ locator: directory, identity })
  const acks = new AckTable(clock)
  const sessions = createLeaderSessions({
    ...basics,
    acks,
    ...(deps.recovery && { firstTermGraceMs: recoveryGraceMs }),
    log: log.child({ part: 'sessions' }),
  })
  const dispatcher = createDispatcher({
    ...basics,
    cluster: directory,
    openReports: openReports({ nodeId, channels, sessions }),
    log: log.child({ part: 'dispatcher' }),
  })
  const hub = new LogHub(random)
  const diagnosis = new DiagnosisHub({ clock, random })
  const streams = new StreamHub({ clock, random })
  const forwarding = { locator: directory, identity, clock, random }
  const overlay = overlayParts(deps, { store, book, directory })
  const onLeader = leaderForwarder(forwarding, channels)
  const watchEvents = createWatchEvents({
    events: new EventLog(store, log.child({ part: 'events' })),
    readBarrier: directory.readBarrier,
    clock,
  })
  const api = createControlApi({
    ...basics,
    cluster: directory,
    newJoinToken: (rootCertPem) => newJoinToken(rootCertPem, random),
  })
  return {
    store,
    raft,
    directory,
    book,
    place,
    exchange: { self, book, identity },
    peers: createPeerHandlers({ store, clock, leaderNodeId: directory.leaderNodeId, self, book }),
    channels,
    sessions,
    acks,
    dispatcher,
    hub,
    diagnosis,
    streams,
    control: {
      ...api,
      serviceLogs: logHandler(deps, { store, directory, hub, channels }),
      watchEvents,
      ...diagnosisHandlers({ store, clock, directory, channels, diagnosis }),
      ...streamHandlers({ store, clock, directory, channels, streams, onLeader }),
    },
    onLeader,
    onLeaderStream: leaderStreams(forwarding, channels),
    cutList: new CutList(clock),
    ...overlay,
  }
}

function logHandler(
  { clock, log }: ManagerDeps,
  parts: Pick<Parts, 'store' | 'directory' | 'hub' | 'channels'>,
): ReturnType<typeof serviceLogs> {
  const { store, directory, hub, channels } = parts
  return serviceLogs({
    store,
    clock,
    cluster: directory,
    hub,
    openRelay: (manager, signal) =>
      duplexCall(channels.client(manager), ManagerPeerService.relayLogs, signal),
    log: log.child({ part: 'logs' }),
  })
}

/** Asks of a node beside the time it has to answer: the way to another manager. */
const relayMs = 5_000

/** What users may ask about the network of the nodes. */
function diagnosisHandlers({
  store,
  clock,
  directory,
  channels,
  diagnosis: hub,
}: Pick<Parts, 'store' | 'directory' | 'channels' | 'diagnosis'> & {
  readonly clock: Clock
}): HandlerTable {
  const ask = nodeAsker({
    selfNodeId: directory.selfNodeId,
    hub,
    relay: (manager, request, signal) =>
      unary(channels.client(manager), ManagerPeerService.relayDiagnosis, request, {
        deadlineMs: request.waitMs + relayMs,
        signal,
      }),
  })
  const deps = { store, cluster: directory, ask, clock }
  return {
    auditNetwork: auditNetwork(deps),
    traceNetwork: traceNetwork(deps),
    nodeVolumes: nodeVolumes(deps),
  }
}

/** How nodes hear of overlay networks. */
function overlayParts(
  deps: ManagerDeps,
  { store, book, directory }: Pick<Parts, 'store' | 'book' | 'directory'>,
): Pick<Parts, 'bus' | 'publisher' | 'fetchOverlay' | 'changedIndex'> {
  const { overlay: source, busDirectory, clock, log } = deps
  const history = new OverlayHistory(store, source)
  const { readBarrier } = directory
  const asked = {
    fetchOverlay: createFetchOverlay({ store, source, history, readBarrier }),
    changedIndex: (id: NetworkId) => history.lastOf(networkSubject(id)).index,
  }
  if (busDirectory === undefined) return { bus: undefined, publisher: undefined, ...asked }
  const bus = createManagerBus({
    ...deps,
    store,
    managers: () => book.managers(),
    directory: busDirectory,
    log: log.child({ part: 'bus' }),
  })
  const told = { store, source, history, bus: bus.client, clock, log: log.child({ part: 'bus' }) }
  return { bus, publisher: overlayPublisherLoop(told), ...asked }
}

function bookOf(
  deps: ManagerDeps,
  { store, raft, place }: Pick<Parts, 'store' | 'raft' | 'place'>,
): AddressBook {
  const { nodeId: self, moved, lostRaftIds, onMoved, log } = deps
  const book: AddressBook = new AddressBook({
    store,
    self,
    moved,
    lostRaftIds,
    onMoved: (now) => {
      log.info({ moved: now.map(({ nodeId, address }) => ({ nodeId, address })) }, 'managers moved')
      tellPeers({ book, raft })
      onMoved(now)
      place.onMoved()
    },
  })
  return book
}

function serve(deps: ManagerDeps, parts: Parts): Promise<Listener> {
  const { clock, random } = deps
  const { store } = parts
  const services = tlsServices({
    ...parts,
    ca: createCaHandlers({ store, clock, newId: () => newId(random) }),
    clock,
    track: parts.cutList.track,
  })
  return listenTls(deps.listenAddress, deps.identity, services)
}

/** What every manager runs, leader or not, besides its announcement. */
function loops(parts: Parts): readonly NamedLoop[] {
  const { store, raft, directory, dispatcher, cutList, book, bus } = parts
  return [
    { name: 'directory', run: directory.refresh },
    { name: 'dispatcher', run: dispatcher.run },
    { name: 'nodes', run: followNodes({ store, raft, cutList, book }) },
    ...(bus?.loops ?? []),
  ]
}

function announcementOf(deps: ManagerDeps, parts: Parts): Announcement {
  const { nodeId, identity, featureLevel, clock, random, log } = deps
  const { store, raft, book, place, peers } = parts
  return announceLoop({
    self: nodeId,
    info: () => place.info,
    store,
    book,
    identity,
    known: deps.knownManagers,
    onMembers: (members) => raft.setPeers(book.permitted(members)),
    hasLeader: () => raft.leadership().leader !== undefined,
    leads: () => store.isLeader,
    joinHere: (request) => peers.joinRaft({ kind: 'node', nodeId, role: 'manager' }, request),
    featureLevel,
    clock,
    random,
    log: log.child({ part: 'announce' }),
  })
}
