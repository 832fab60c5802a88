// A manager of this host: joins the manager's parts with this host's files, addresses and Raft thread.
import { join } from 'node:path'
import { storeOverlay } from '../../manager/bus/store-overlay.ts'
import type { Founding as StoreFounding } from '../../manager/found-cluster.ts'
import { type Manager, startManager } from '../../manager/manager.ts'
import { countStore } from '../../manager/membership/recover-cluster.ts'
import { startRaftThread } from '../../manager/raft/raft-thread.ts'
import type { ThreadBeginning } from '../../manager/raft/thread-messages.ts'
import { SwarmError } from '../../proto/errors.ts'
import { ManagerPeerService } from '../../proto/gen/tsswarm/v1/membership.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { clusterId, type ManagerInfo, nodeId, raftId } from '../../proto/objects/index.ts'
import { controlPort, formatHostPort, parseHostPort, raftPortOffset } from './addresses.ts'
import type { DaemonConfig } from './config.ts'
import type { StartManager } from './daemon.ts'
import { daemonPaths } from './host-paths.ts'
import type { ManagerPart } from './manager-part.ts'
import type { Standing } from './recovery.ts'
import type { SwarmState } from './swarm-state.ts'
import { featureLevel } from './version.ts'

export interface ComposeDeps {
  readonly config: DaemonConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** Starts the manager of this node. Errors: those of startManager. */
export async function composeManager(deps: ComposeDeps, start: StartManager): Promise<ManagerPart> {
  const { config, clock, random, log } = deps
  const { identity, state } = start
  const listen = parseHostPort(state.listenAddress, controlPort, 'listen address')
  const raftListen = formatHostPort({ ...listen, port: listen.port + raftPortOffset })
  const { nodeId: self, clusterId: cluster } = identity.certificate()
  const manager = await startManager({
    nodeId: nodeId(self),
    clusterId: clusterId(cluster),
    info: managerInfo(state, start.raftId),
    listenAddress: state.listenAddress,
    identity,
    openRaft: (opening) =>
      startRaftThread({
        ...opening,
        id: start.raftId,
        directory: daemonPaths(config).raft,
        keyFile: daemonPaths(config).raftKey,
        group: cluster,
        ...beginningOf(start),
        listenAddress: raftListen,
        credentials: identity.current(),
        peers: state.peers,
        log: log.child({ part: 'raft' }),
      }),
    founding: start.founding === undefined ? undefined : storeFounding(start),
    recovery: state.recovery,
    lostRaftIds: state.lostRaftIds,
    moved: state.moved,
    onMoved: start.onMoved,
    knownPeers: state.peers,
    knownManagers: () =>
      state.managers.flatMap(({ nodeId: id, address }) => (id === self ? [] : [address])),
    featureLevel,
    busDirectory: join(config.runDir, 'bus'),
    overlay: storeOverlay,
    clock,
    random,
    log,
  })
  return {
    control: manager.control,
    onLeader: manager.onLeader,
    onLeaderStream: manager.onLeaderStream,
    peers: manager.peers,
    leaderNodeId: manager.leaderNodeId,
    stop: manager.stop,
    closed: manager.closed,
    recovered: manager.recovered,
    standing: () => standing(manager, self, clock),
    readdress: (now) => manager.readdress(managerInfo(now, start.raftId)),
    reconnect: manager.reconnect,
    isConnected: manager.isConnected,
    busProblem: manager.busProblem,
    untilVoter: (signal) => untilVoter(manager, clock, signal),
    leaveRaft: (signal) => leaveRaft(manager, { self, random }, signal),
  }
}

function beginningOf({ founding, state }: StartManager): { readonly beginning?: ThreadBeginning } {
  if (founding !== undefined) return { beginning: { kind: 'new' } }
  return state.recovery === undefined ? {} : { beginning: { kind: 'force-new' } }
}

/** Longer than a daemon that was just started takes to hear of a leader, and than an election. */
const quorumMs = 5_000
const quorumPollMs = 50

/** Takes as long as it has no leader, up to that. */
async function reachesQuorum({ raft }: Manager, clock: Clock): Promise<boolean> {
  const endsAtMs = clock.monotonicMs() + quorumMs
  const late = wait(clock, quorumMs).then(() => ({ kind: 'no-leader' }) as const)
  while (clock.monotonicMs() < endsAtMs) {
    const { kind } = await Promise.race([raft.readIndex(), late])
    if (kind === 'ready') return true
    await wait(clock, quorumPollMs)
  }
  return false
}

async function standing(manager: Manager, self: string, clock: Clock): Promise<Standing> {
  const { raft, store } = manager
  const hasQuorum = await reachesQuorum(manager, clock)
  const { members } = await raft.status()
  return store.view((tx) => {
    const nodes = [...tx.all('nodes')]
    const named = nodes.flatMap(({ manager: info }) => info?.raftId ?? [])
    const all = [...members.voters, ...members.outgoing, ...members.learners, ...named]
    const others = [...new Set(all)].filter((id) => id !== raft.id)
    const isManager = (one: string): boolean => tx.get('nodes', one)?.role === 'manager'
    const [cluster] = tx.all('cluster')
    const isOnly = !nodes.some(({ id }) => id !== self && isManager(id))
    return {
      hasState: cluster !== undefined && isManager(self),
      hasQuorum,
      isAlone: hasQuorum && others.length === 0 && isOnly,
      others,
      epoch: cluster?.epoch ?? 0,
      count: countStore(store),
    }
  })
}

function managerInfo(state: SwarmState, id: string): ManagerInfo {
  const { port } = parseHostPort(state.listenAddress, controlPort, 'listen address')
  const host = state.advertiseHost
  return {
    raftId: raftId(id),
    address: formatHostPort({ host, port }),
    raftAddress: formatHostPort({ host, port: port + raftPortOffset }),
  }
}

function storeFounding({ founding, identity }: StartManager): StoreFounding | undefined {
  if (founding === undefined) return undefined
  const { nodeId: self, notAfterMs } = identity.certificate()
  return { ...founding, nodeId: self, certificateExpiresAtMs: notAfterMs, featureLevel }
}

async function untilVoter(
  { raft, refusal }: Manager,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const refused = refusal()
    if (refused !== undefined) throw refused
    const { members, leadership } = await raft.status()
    if (members.voters.includes(raft.id) && leadership.leader !== undefined) return
    await wait(clock, 20, signal)
  }
  throw new SwarmError(
    'DEADLINE_EXCEEDED',
    'timeout was reached before this node became a manager: the attempt goes on in the background; ' +
      'see `tsswarm info` here and `tsswarm node ls` on another manager',
  )
}

async function leaveRaft(
  manager: Manager,
  { self, random }: { readonly self: string; readonly random: Random },
  signal: AbortSignal,
): Promise<void> {
  const caller = { kind: 'node', nodeId: nodeId(self), role: 'manager' } as const
  const request = { requestId: newId(random), raftId: manager.raft.id }
  const method = ManagerPeerService.leaveRaft
  await manager.onLeader(method as never, { caller, request, signal }, async () => {
    // A leader cannot see its own removal through: it hands over, and asks the next one.
    const outcome = await manager.raft.transferLeadership()
    if (outcome.kind === 'failed') throw new SwarmError('QUORUM_LOSS', outcome.reason)
    throw new SwarmError('NOT_LEADER', 'leadership was handed over')
  })
}
