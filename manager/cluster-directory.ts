// Who is who among the managers: what handlers, authorisation and forwarding ask of store and Raft.
import { SwarmError } from '../proto/errors.ts'
import { createBackoff } from '../proto/lib/backoff.ts'
import { type Clock, wait } from '../proto/lib/clock.ts'
import type { Loop } from '../proto/lib/lifecycle.ts'
import type { Random } from '../proto/lib/random.ts'
import type { Node, NodeId } from '../proto/objects/index.ts'
import type { ClusterView } from './controlapi/cluster-view.ts'
import { AddressBook } from './membership/address-book.ts'
import type { RaftHandle, RaftPeer, RaftStatus } from './raft/raft-handle.ts'
import type { NodeDirectory } from './rpc/authorize.ts'
import type { LeaderLocator } from './rpc/forward.ts'
import type { Store } from './store/store.ts'

export interface DirectoryDeps {
  readonly selfNodeId: NodeId
  /** Before the store holds the cluster object: what the node's own certificate says. */
  readonly clusterId: string
  readonly store: Store
  readonly raft: RaftHandle
  /** Where managers are; what the store says when left out. */
  readonly book?: AddressBook
  readonly clock: Clock
  readonly random: Random
}

const barrierMs = 5_000
const refreshMs = 250

export interface ClusterDirectory extends ClusterView, LeaderLocator, NodeDirectory {
  /** Members of Raft as the store names them, where they are now. */
  peers(): readonly RaftPeer[]
  /** Keeps the leader's view of the others fresh. */
  readonly refresh: Loop
}

export function createClusterDirectory(deps: DirectoryDeps): ClusterDirectory {
  const { store, raft, selfNodeId } = deps
  const book = deps.book ?? new AddressBook({ store, self: selfNodeId })
  let latest: RaftStatus | undefined
  const node = (id: string): Node | undefined => store.view((tx) => tx.get('nodes', id))
  return {
    selfNodeId: () => selfNodeId,
    leaderNodeId: () => leaderNode(store, raft)?.id,
    controlAddress: (id) => book.controlAddress(id),
    readBarrier: (signal) => readBarrier(deps, signal),
    reachable: (id) => {
      const raftId = node(id)?.manager?.raftId
      return raftId !== undefined && (raftId === raft.id || isActive(raft, latest, raftId))
    },
    clusterId: () => deps.clusterId,
    node,
    isRemoved: (id) => store.view((tx) => tx.get('removedNodes', id)) !== undefined,
    peers: () => book.peers(),
    refresh: async (signal) => {
      while (!signal.aborted) {
        latest = await raft.status()
        await wait(deps.clock, refreshMs, signal)
      }
    },
  }
}

/** A new leader that was not asked yet gives the benefit of the doubt, as Raft does until somebody was silent for a while. */
function isActive(raft: RaftHandle, latest: RaftStatus | undefined, raftId: string): boolean {
  const isOfThisTerm =
    latest?.leadership.role === 'leader' && latest.leadership.term === raft.leadership().term
  if (!isOfThisTerm) return true
  return latest.peers.some(({ id, isActive: active }) => id === raftId && active)
}

function leaderNode(store: Store, raft: RaftHandle): Node | undefined {
  const { leader } = raft.leadership()
  if (leader === undefined) return undefined
  return store.view((tx) => {
    for (const node of tx.all('nodes')) if (node.manager?.raftId === leader) return node
    return undefined
  })
}

/** Errors: NO_LEADER after a while without one, CANCELLED. */
async function readBarrier(deps: DirectoryDeps, signal: AbortSignal): Promise<void> {
  const { clock, raft, random } = deps
  const backoff = createBackoff({ firstMs: 10, maxMs: 200, random })
  const endsAtMs = clock.monotonicMs() + barrierMs
  while (!signal.aborted) {
    const outcome = await raft.readIndex()
    if (outcome.kind === 'ready') return
    if (clock.monotonicMs() >= endsAtMs) {
      throw new SwarmError(
        'NO_LEADER',
        'the swarm does not have a leader: more than half of the managers must be online. ' +
          'Start the daemons of the missing managers and try again',
      )
    }
    await wait(clock, backoff.nextMs(), signal)
  }
  throw new SwarmError('CANCELLED', 'the request was cancelled')
}
