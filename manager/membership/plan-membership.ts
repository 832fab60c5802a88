// PURE in spirit: which step brings Raft's members and the nodes' roles nearer to what the node specs wish. One step at
// a time; the loop asks again after each.
import type { Node, NodeId } from '../../proto/objects/index.ts'
import type { Members, PeerStatus } from '../raft/raft-handle.ts'

export interface MembershipView {
  readonly nodes: readonly Node[]
  readonly selfRaftId: string
  readonly members: Members
  readonly peers: readonly PeerStatus[]
  readonly commitIndex: number
  /** At which the cluster writes; undefined before there is a cluster. */
  readonly clusterLevel: number | undefined
  /** What this program knows. */
  readonly ownLevel: number
}

export type MembershipStep =
  /** Nothing to do until something changes. */
  | { readonly kind: 'done' }
  /** Under way: look again shortly. */
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'add-learner' | 'add-voter' | 'remove'; readonly raftId: string }
  /** This leader is to go: hand over first, the next one goes on. */
  | { readonly kind: 'transfer' }
  /** Raft has let go of the node (or never had it): its role becomes a fact. */
  | { readonly kind: 'set-role'; readonly nodeId: NodeId; readonly role: 'manager' | 'worker' }
  /** Every manager knows this level: the cluster moves to it, and never back. */
  | { readonly kind: 'raise-level'; readonly level: number }

/** A learner is made a voter when it is at most this many entries behind. */
const lagMax = 256

export function planMembership(view: MembershipView): MembershipStep {
  const { members } = view
  if (members.outgoing.length > 0) return { kind: 'wait', why: 'a membership change is under way' }
  return (
    promotion(view) ??
    addition(view) ??
    removal(view) ??
    roleFact(view) ??
    higherLevel(view) ?? { kind: 'done' }
  )
}

function isWanted(node: Node): boolean {
  return node.spec.role === 'manager' && node.role === 'manager' && node.manager !== undefined
}

function wantedIds(view: MembershipView): ReadonlySet<string> {
  const ids = new Set<string>()
  for (const node of view.nodes) {
    if (isWanted(node) && node.manager !== undefined) ids.add(node.manager.raftId)
  }
  return ids
}

function promotion(view: MembershipView): MembershipStep | undefined {
  const wanted = wantedIds(view)
  let behind: string | undefined
  for (const id of view.members.learners) {
    if (!wanted.has(id)) continue
    const peer = view.peers.find((one) => one.id === id)
    if (peer?.isActive && peer.matchIndex + lagMax >= view.commitIndex) {
      return { kind: 'add-voter', raftId: id }
    }
    behind = id
  }
  return behind === undefined || removal(view) !== undefined || addition(view) !== undefined
    ? undefined
    : { kind: 'wait', why: `learner ${behind} is catching up` }
}

function addition(view: MembershipView): MembershipStep | undefined {
  const present = new Set([...view.members.voters, ...view.members.learners])
  for (const id of wantedIds(view)) if (!present.has(id)) return { kind: 'add-learner', raftId: id }
  return undefined
}

function removal(view: MembershipView): MembershipStep | undefined {
  const wanted = wantedIds(view)
  // Before any manager is wanted (a cluster that is just being made) nobody is removed.
  if (wanted.size === 0) return undefined
  const surplus = [...view.members.learners, ...view.members.voters].filter((id) => !wanted.has(id))
  const other = surplus.find((id) => id !== view.selfRaftId)
  if (other !== undefined) return { kind: 'remove', raftId: other }
  return surplus.length > 0 ? { kind: 'transfer' } : undefined
}

function roleFact(view: MembershipView): MembershipStep | undefined {
  const present = new Set([...view.members.voters, ...view.members.learners])
  for (const node of view.nodes) {
    if (node.spec.role === node.role) continue
    if (node.spec.role === 'manager') {
      return { kind: 'set-role', nodeId: node.id, role: 'manager' }
    }
    if (node.manager === undefined || !present.has(node.manager.raftId)) {
      return { kind: 'set-role', nodeId: node.id, role: 'worker' }
    }
  }
  return undefined
}

/** A manager that has not said yet what it knows counts as knowing nothing. */
function higherLevel({
  nodes,
  clusterLevel,
  ownLevel,
}: MembershipView): MembershipStep | undefined {
  if (clusterLevel === undefined) return undefined
  let level = ownLevel
  for (const { role, spec, description } of nodes) {
    if (role !== 'manager' && spec.role !== 'manager') continue
    level = Math.min(level, description?.featureLevel ?? 0)
  }
  return level > clusterLevel ? { kind: 'raise-level', level } : undefined
}
