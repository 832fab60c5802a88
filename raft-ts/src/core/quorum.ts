// Majorities, plain and joint. Pure arithmetic over a configuration; knows nothing of roles or logs.
// Source: Raft paper figure 2 (commit rule, elections); thesis 4.3 (joint consensus: both majorities).
import type { ConfState, Index, NodeId } from './types.ts'

export type VoteResult = 'won' | 'lost' | 'pending'

/** The configuration of a node that was never told one. */
export const emptyConf: ConfState = { voters: [], outgoing: [], learners: [], learnersNext: [] }

/** True while both the old and the new majority must agree. */
export function isJoint(conf: ConfState): boolean {
  return conf.outgoing.length > 0
}

/** True for a voter of either majority. */
export function isVoter(conf: ConfState, id: NodeId): boolean {
  return conf.voters.includes(id) || conf.outgoing.includes(id)
}

/** Everyone who receives entries, each once, voters first. */
export function membersOf(conf: ConfState): readonly NodeId[] {
  if (!isJoint(conf) && conf.learnersNext.length === 0) return [...conf.voters, ...conf.learners]
  return [...new Set([...conf.voters, ...conf.outgoing, ...conf.learners, ...conf.learnersNext])]
}

/**
 * The highest value that a quorum has reached, by each voter's value (log index or read round).
 * Joint: the lower of both majorities. Without voters nothing is reached: 0.
 */
export function quorumReached(conf: ConfState, reachedBy: (id: NodeId) => number): Index {
  const incoming = majorityReached(conf.voters, reachedBy)
  if (!isJoint(conf)) return incoming
  return Math.min(incoming, majorityReached(conf.outgoing, reachedBy))
}

/** Whether the votes given so far decide an election. Absent from the map: not answered yet. */
export function voteResult(conf: ConfState, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const incoming = majorityVote(conf.voters, votes)
  if (!isJoint(conf)) return incoming
  const outgoing = majorityVote(conf.outgoing, votes)
  if (incoming === 'lost' || outgoing === 'lost') return 'lost'
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending'
}

function majorityReached(voters: readonly NodeId[], reachedBy: (id: NodeId) => number): number {
  if (voters.length === 0) return 0
  const values: number[] = []
  for (const id of voters) insertDescending(values, reachedBy(id))
  return values[Math.floor(voters.length / 2)] ?? 0
}

/** Voters are few, and this runs with every response: a call to sort costs more than it does. */
function insertDescending(values: number[], value: number): void {
  let at = values.length
  values.push(value)
  for (; at > 0; at--) {
    const before = values[at - 1] as number
    if (before >= value) break
    values[at] = before
  }
  values[at] = value
}

function majorityVote(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const needed = Math.floor(voters.length / 2) + 1
  let granted = 0
  let open = 0
  for (const id of voters) {
    const vote = votes.get(id)
    if (vote === undefined) open += 1
    else if (vote) granted += 1
  }
  if (granted >= needed) return 'won'
  return granted + open >= needed ? 'pending' : 'lost'
}
