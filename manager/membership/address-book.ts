// Where the managers are reached: what the store says, until a manager that moved says otherwise. Such news is kept beside the
// store, because the store cannot be written while the managers do not find each other; it counts until the store changes.

import type { RaftMember } from '../../proto/gen/tsswarm/v1/membership.ts'
import { isSameValue } from '../../proto/lib/same-value.ts'
import { type ManagerInfo, type NodeId, nodeId } from '../../proto/objects/index.ts'
import type { RaftPeer } from '../raft/raft-handle.ts'
import type { Store } from '../store/store.ts'

/** A manager's addresses that the store does not have yet. */
export interface MovedManager {
  readonly raftId: string
  readonly nodeId: string
  readonly address: string
  readonly raftAddress: string
  /** What the store said then, as `address raftAddress`: once it says anything else it is newer. */
  readonly replaces: string
}

export interface KnownManager {
  readonly nodeId: NodeId
  readonly info: ManagerInfo
}

export interface AddressBookDeps {
  readonly store: Store
  readonly self: NodeId
  readonly moved?: readonly MovedManager[]
  /** Members of Raft that hold another history since this cluster was recovered: never dialled nor let in. */
  readonly lostRaftIds?: readonly string[]
  /** What is to be known after a restart. */
  readonly onMoved?: (moved: readonly MovedManager[]) => void
}

export class AddressBook {
  readonly #deps: AddressBookDeps
  readonly #lost: ReadonlySet<string>
  #moved: readonly MovedManager[]

  constructor(deps: AddressBookDeps) {
    this.#deps = deps
    this.#moved = deps.moved ?? []
    this.#lost = new Set(deps.lostRaftIds)
  }

  /** All managers that the store names, this one too, with their newest addresses. */
  managers(): readonly KnownManager[] {
    return this.#deps.store.view((tx) =>
      [...tx.all('nodes')].flatMap(({ id, manager }) =>
        manager === undefined || this.#lost.has(manager.raftId)
          ? []
          : [{ nodeId: id, info: newest(manager, this.#moved) }],
      ),
    )
  }

  /** The same as Raft's peers. */
  peers(): readonly RaftPeer[] {
    return this.managers().map(({ nodeId: id, info }) => ({
      id: info.raftId,
      nodeId: id,
      address: info.raftAddress,
    }))
  }

  /**
   * Peers from elsewhere, without those that must not be let in. Who named them may not have heard yet that one has moved: it
   * stays where it said it is.
   */
  permitted(peers: readonly RaftPeer[]): readonly RaftPeer[] {
    const known = new Map(this.#storedManagers())
    return peers
      .filter(({ id }) => !this.#lost.has(id))
      .map((peer) => {
        const stored = known.get(peer.nodeId)
        const isAsStored = stored?.raftId === peer.id && stored.raftAddress === peer.address
        return isAsStored ? { ...peer, address: newest(stored, this.#moved).raftAddress } : peer
      })
  }

  controlAddress(id: NodeId): string | undefined {
    const manager = this.#deps.store.view((tx) => tx.get('nodes', id)?.manager)
    return manager && newest(manager, this.#moved).address
  }

  /** Takes over where managers say they are. Those that the store does not name as such are left out; returns the others. */
  learn(members: readonly RaftMember[]): readonly NodeId[] {
    const { self, onMoved } = this.#deps
    const known = new Map(this.#storedManagers())
    const learned: NodeId[] = []
    let moved = this.#moved
    for (const member of members) {
      const stored = known.get(member.nodeId)
      if (stored?.raftId !== member.raftId || this.#lost.has(member.raftId)) continue
      learned.push(nodeId(member.nodeId))
      if (member.nodeId !== self) moved = withMember(moved, member, stored)
    }
    moved = moved.filter((one) => isInForce(one, known.get(one.nodeId)))
    if (!isSameValue(moved, this.#moved)) {
      this.#moved = moved
      onMoved?.(moved)
    }
    return learned
  }

  #storedManagers(): readonly (readonly [string, ManagerInfo])[] {
    return this.#deps.store.view((tx) =>
      [...tx.all('nodes')].flatMap(({ id, manager }) => (manager ? [[id, manager] as const] : [])),
    )
  }
}

function withMember(
  moved: readonly MovedManager[],
  member: RaftMember,
  stored: ManagerInfo,
): readonly MovedManager[] {
  const { raftId, nodeId: id, address, raftAddress } = member
  const others = moved.filter((one) => one.raftId !== raftId)
  const isAsStored = stored.address === address && stored.raftAddress === raftAddress
  if (isAsStored) return others
  return [...others, { raftId, nodeId: id, address, raftAddress, replaces: textOf(stored) }]
}

function newest(stored: ManagerInfo, moved: readonly MovedManager[]): ManagerInfo {
  const one = moved.find(({ raftId }) => raftId === stored.raftId)
  if (one === undefined || !isInForce(one, stored)) return stored
  return { raftId: stored.raftId, address: one.address, raftAddress: one.raftAddress }
}

function isInForce(one: MovedManager, stored: ManagerInfo | undefined): boolean {
  return stored?.raftId === one.raftId && one.replaces === textOf(stored)
}

function textOf({ address, raftAddress }: ManagerInfo): string {
  return `${address} ${raftAddress}`
}
