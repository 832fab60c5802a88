// What every manager does when nodes change: tell Raft who the members are, and cut those who are none any more.
import type { Loop } from '../../proto/lib/lifecycle.ts'
import type { RaftHandle } from '../raft/raft-handle.ts'
import type { CutList } from '../rpc/cut-list.ts'
import { type Change, type Store, WatchLagged } from '../store/store.ts'
import type { AddressBook } from './address-book.ts'

export interface FollowNodesDeps {
  readonly store: Store
  readonly raft: RaftHandle
  readonly book: AddressBook
  readonly cutList: CutList
}

/** Runs as long as the manager does. */
export function followNodes(deps: FollowNodesDeps): Loop {
  return async (signal) => {
    while (!signal.aborted) {
      try {
        const commits = deps.store.watch({ nodes: 'all' }, { signal, bufferMax: 1024 })
        tellPeers(deps)
        // What was missed while no watch was open.
        deps.cutList.cutChanged((id) => deps.store.view((tx) => tx.get('nodes', id)?.role))
        for await (const { changes } of commits) {
          if (changes.some(concernsMembers)) tellPeers(deps)
          for (const change of changes) cut(deps.cutList, change)
        }
      } catch (err) {
        // Lagged: everything is looked at again.
        if (!(err instanceof WatchLagged)) throw err
      }
    }
  }
}

/** Before the store holds any member (this manager just joined) the ones it was told stay. */
export function tellPeers({ book, raft }: Pick<FollowNodesDeps, 'book' | 'raft'>): void {
  const peers = book.peers()
  if (peers.length > 0) raft.setPeers(peers)
}

function concernsMembers(change: Change): boolean {
  if (change.table !== 'nodes') return false
  if (change.kind !== 'update') return change.object.manager !== undefined
  return change.object.manager !== change.old.manager
}

function cut(cutList: CutList, change: Change): void {
  if (change.table !== 'nodes') return
  if (change.kind === 'remove') cutList.cutNode(change.object.id)
  if (
    change.kind === 'update' &&
    change.old.role === 'manager' &&
    change.object.role === 'worker'
  ) {
    cutList.cutManager(change.object.id)
  }
}
