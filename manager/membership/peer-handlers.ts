// JoinRaft, LeaveRaft, Health and ExchangeAddresses of the ManagerPeer service: wishes go into the store, the membership loop
// does the rest.
import { SwarmError } from '../../proto/errors.ts'
import type {
  ExchangeAddressesRequest,
  ExchangeAddressesResponse,
  HealthResponse,
  JoinRaftRequest,
  JoinRaftResponse,
  LeaveRaftRequest,
  LeaveRaftResponse,
  RaftMember,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { type Node, type NodeId, raftId } from '../../proto/objects/index.ts'
import { repeatable } from '../controlapi/writing.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Store } from '../store/store.ts'
import type { AddressBook } from './address-book.ts'
import { takeAddresses } from './exchange-addresses.ts'

const leaveMs = 8_000

export interface PeerDeps {
  readonly store: Store
  readonly clock: Clock
  readonly leaderNodeId: () => NodeId | undefined
  /** This manager and where it is reached now. */
  readonly self: () => RaftMember
  readonly book: AddressBook
}

export interface PeerHandlers {
  joinRaft(caller: Caller, request: JoinRaftRequest): Promise<JoinRaftResponse>
  leaveRaft(
    caller: Caller,
    request: LeaveRaftRequest,
    signal: AbortSignal,
  ): Promise<LeaveRaftResponse>
  health(): Promise<HealthResponse>
  exchangeAddresses(
    caller: Caller,
    request: ExchangeAddressesRequest,
  ): Promise<ExchangeAddressesResponse>
}

export function createPeerHandlers(deps: PeerDeps): PeerHandlers {
  return {
    joinRaft: async (caller, request) => {
      await announce(deps, callingNode(caller), request)
      return { members: members(deps) }
    },
    leaveRaft: async (caller, { requestId }, signal) => {
      await wishToLeave(deps, callingNode(caller), requestId)
      await untilLeft(deps, callingNode(caller), signal)
      return {}
    },
    health: async () => {
      const leaderNodeId = deps.leaderNodeId()
      return { hasLeader: leaderNodeId !== undefined, leaderNodeId: leaderNodeId ?? '' }
    },
    exchangeAddresses: async (caller, request) => {
      takeAddresses(deps.book, callingNode(caller), request)
      return { self: deps.self() }
    },
  }
}

function callingNode(caller: Caller): NodeId {
  if (caller.kind === 'node' && caller.role === 'manager') return caller.nodeId
  throw new SwarmError('PERMISSION_DENIED', 'only managers speak with Raft and of where they are')
}

async function announce({ store }: PeerDeps, id: NodeId, request: JoinRaftRequest): Promise<void> {
  const info = request.manager
  if (info === undefined || info.raftId === '' || info.raftAddress === '' || info.address === '') {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      'a joining manager must name its Raft id and addresses',
    )
  }
  await store.update(
    (tx) => {
      refuseLowerLevel(tx, id, request.featureLevel)
      const node = knownNode(tx.get('nodes', id), id)
      const { address, raftAddress } = info
      tx.update('nodes', {
        ...node,
        manager: { raftId: raftId(info.raftId), address, raftAddress },
      })
    },
    { requestId: request.requestId, method: 'JoinRaft' },
  )
}

/** A manager that does not know what the cluster writes would lose it. */
function refuseLowerLevel(tx: ReadTx, id: NodeId, known: number): void {
  for (const { featureLevel: level } of tx.all('cluster')) {
    if (known >= level) continue
    throw new SwarmError(
      'UNSUPPORTED',
      `node ${id} cannot be a manager: the cluster is at feature level ${level}, its program knows ${known}. ` +
        'Upgrade tsswarm on this node and start its daemon again',
      { details: { nodeId: id, level, known } },
    )
  }
}

/** Errors: QUORUM_LOSS for the last manager. */
async function wishToLeave({ store }: PeerDeps, id: NodeId, requestId: string): Promise<void> {
  await store.update(
    (tx) => {
      const node = knownNode(tx.get('nodes', id), id)
      const others = [...tx.all('nodes')].filter(
        (one) => one.id !== id && one.spec.role === 'manager',
      )
      if (others.length === 0) {
        throw new SwarmError('QUORUM_LOSS', `node ${id} is the last manager of the cluster`)
      }
      tx.update('nodes', { ...node, spec: { ...node.spec, role: 'worker' } })
    },
    repeatable(requestId, 'LeaveRaft'),
  )
}

/** Until Raft has let go of the node. */
async function untilLeft(
  { store, clock }: PeerDeps,
  id: NodeId,
  signal: AbortSignal,
): Promise<void> {
  const endsAtMs = clock.monotonicMs() + leaveMs
  while (!signal.aborted && clock.monotonicMs() < endsAtMs) {
    if (store.view((tx) => tx.get('nodes', id))?.role === 'worker') return
    await wait(clock, 50, signal)
  }
  throw new SwarmError('DEADLINE_EXCEEDED', `Raft has not let go of node ${id} in ${leaveMs} ms`)
}

function knownNode(node: Node | undefined, id: NodeId): Node {
  if (node !== undefined) return node
  throw new SwarmError('PERMISSION_DENIED', `node ${id} is not part of the cluster`)
}

/** Where this manager itself is, it may not have written down yet. */
function members({ book, self }: PeerDeps): RaftMember[] {
  const own = self()
  return book
    .managers()
    .map(({ nodeId, info }) => (info.raftId === own.raftId ? own : { nodeId, ...info }))
}
