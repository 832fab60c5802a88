// The few decisions on which safety hangs, each as a function that can be taken out of its place: tests replace
// one by a wrong one and see that the simulator notices. Nothing else does, and no entry file exports this.
import type { ConfAt } from './config.ts'
import type { Entry, Index, NodeId, Term } from './types.ts'

export interface Rules {
  /** Whether one who voted for `vote` and follows `leader` in a term may vote in it. Source: Raft paper 5.2. */
  mayVote(vote: NodeId | undefined, candidate: NodeId, leader: NodeId | undefined): boolean
  /** Whether a leader may count who holds an entry of this term. Source: Raft paper 5.4.2, figure 8. */
  mayCount(entryTerm: Term | undefined, ownTerm: Term): boolean
  /** The configuration in use, of all in the log, oldest first. Source: thesis 4.1. */
  inUse(confs: readonly ConfAt[], commit: Index): ConfAt | undefined
  /**
   * Whether a follower already holds the leader's entry, by the terms at its index; if not, all from there on
   * goes. Source: Raft paper figure 2, AppendEntries 3.
   */
  holds(ownTerm: Term | undefined, leaderTerm: Term): boolean
  /** Committed entries in the order in which they are applied. Source: Raft paper figure 2. */
  inOrder(entries: readonly Entry[]): readonly Entry[]
}

const sound: Rules = {
  mayVote: (vote, candidate, leader) =>
    vote === candidate || (vote === undefined && leader === undefined),
  mayCount: (entryTerm, ownTerm) => entryTerm === ownTerm,
  inUse: (confs) => confs[confs.length - 1],
  holds: (ownTerm, leaderTerm) => ownTerm === leaderTerm,
  inOrder: (entries) => entries,
}

/** The rules in force in this thread. */
export const rules: Rules = { ...sound }

/** Breaks rules in this thread until the returned function is called. For tests alone. */
export function breakRules(broken: Partial<Rules>): () => void {
  Object.assign(rules, broken)
  return () => {
    Object.assign(rules, sound)
  }
}
