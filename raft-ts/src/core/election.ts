// Campaigns and votes.
// Source: Raft paper 5.2, 5.4.1; thesis 3.10 (transfer), 4.2.3 (disruptive servers), 9.6 (PreVote).
import { advanceCommit } from './commit.ts'
import { Progress } from './progress.ts'
import { membersOf, voteResult } from './quorum.ts'
import { ReadRounds } from './read-index.ts'
import { appendData } from './replication.ts'
import { rules } from './rules.ts'
import { enterTerm, type NodeState } from './state.ts'
import type { Message, NodeId } from './types.ts'

type VoteRequest = Extract<Message, { kind: 'vote' | 'pre-vote' }>

/** Tries to become leader: with PreVote first asks whether it could win, unless asked to by the leader. */
export function campaign(node: NodeState, why: 'timeout' | 'asked' | 'transfer'): void {
  if (!node.isPromotable || node.role === 'leader') return
  node.note('campaigning', { why })
  if (node.config.preVote && why !== 'transfer') becomePreCandidate(node)
  else becomeCandidate(node, why === 'transfer')
}

/** Counts a vote; the campaign may be decided by it. */
export function recordVote(node: NodeState, from: NodeId, granted: boolean): void {
  if (!node.votes.has(from)) node.votes.set(from, granted)
  const result = voteResult(node.conf, node.votes)
  if (result === 'pending') return
  if (result === 'lost') {
    becomeFollowerAgain(node)
    return
  }
  if (node.role === 'pre-candidate') becomeCandidate(node, false)
  else becomeLeader(node)
}

/** Answers a vote or pre-vote request of a term not below the own one. */
export function answerVote(node: NodeState, request: VoteRequest): void {
  const isPreVote = request.kind === 'pre-vote'
  const isFree =
    (isPreVote && request.term > node.term) || rules.mayVote(node.vote, request.from, node.leader)
  const isUpToDate = node.log.isUpToDate(request.lastIndex, request.lastTerm)
  const granted = isFree && node.repair === undefined && isUpToDate
  const term = isPreVote && granted ? request.term : node.term
  if (isPreVote) {
    // Neither who asks nor this node hears from a leader, and only this one may be elected.
    if (!isUpToDate && isLeaderless(node)) campaignSoon(node, 2)
    node.send({ kind: 'pre-vote-response', to: request.from, term, granted })
    if (granted && node.role === 'pre-candidate' && isAhead(node, request)) giveWay(node)
    return
  }
  if (granted) {
    node.electionElapsed = 0
    node.vote = request.from
    node.note('vote-granted', { to: request.from })
  }
  node.sendAfterPersist({ kind: 'vote-response', to: request.from, granted })
}

/** Of two that ask for pre-votes at once, one is ahead of the other: the longer log, of equals the higher id. */
function isAhead(node: NodeState, { lastIndex, lastTerm, from }: VoteRequest): boolean {
  const isEqual = lastIndex === node.log.lastIndex && lastTerm === node.log.lastTerm
  return !isEqual || from > node.id
}

/**
 * Lets another one campaign: both would be granted each other's pre-vote and then split the vote. It is tried again
 * soon, if nothing came of it.
 */
function giveWay(node: NodeState): void {
  node.role = 'follower'
  node.votes.clear()
  node.resetTimers()
  node.patienceTicks = node.drawPreVotePatience()
}

/** Whether there was neither a leader nor an election for an election time-out. */
function isLeaderless({ role, electionElapsed, electionTicks }: NodeState): boolean {
  return role === 'follower' && electionElapsed >= electionTicks - 1
}

/** The leader is known to be gone: it is not waited for any longer. Within some ticks, so that not all campaign at once. */
export function campaignSoon(node: NodeState, withinTicks: number): void {
  const inTicks = 1 + Math.floor(node.config.random() * withinTicks)
  node.patienceTicks = Math.min(node.patienceTicks, node.electionElapsed + inTicks)
}

function becomePreCandidate(node: NodeState): void {
  node.role = 'pre-candidate'
  node.setLeader(undefined)
  node.votes.clear()
  node.resetTimers()
  node.preVoteRounds += 1
  node.patienceTicks = node.drawPreVotePatience()
  const { lastIndex, lastTerm } = node.log
  for (const to of votersBesides(node)) {
    // Asks about the next term without entering it.
    const term = node.term + 1
    node.send({ kind: 'pre-vote', to, term, lastIndex, lastTerm, force: false })
  }
  recordVote(node, node.id, true)
}

function becomeCandidate(node: NodeState, force: boolean): void {
  node.role = 'candidate'
  enterTerm(node, node.term + 1)
  node.vote = node.id
  node.setLeader(undefined)
  node.votes.clear()
  node.resetTimers()
  node.patienceTicks = node.drawCampaignPatience()
  const { lastIndex, lastTerm } = node.log
  for (const to of votersBesides(node)) {
    // Not before the log it boasts of is durable: after a crash the same term could be campaigned for again,
    // with a shorter log and the votes given to the longer one.
    node.sendAfterPersist({ kind: 'vote', to, lastIndex, lastTerm, force })
  }
  // The own vote is counted in ownVoteDurable, once it is on disk.
}

/** The hard state is on disk: a candidate may count its own vote. */
export function ownVoteDurable(node: NodeState): void {
  if (node.role !== 'candidate' || node.durable.term !== node.term) return
  if (node.durable.vote === node.id) recordVote(node, node.id, true)
}

function becomeLeader(node: NodeState): void {
  node.role = 'leader'
  node.votes.clear()
  node.resetTimers()
  node.setLeader(node.id)
  const next = node.log.lastIndex + 1
  const peers = membersOf(node.conf).filter((id) => id !== node.id)
  node.leading = {
    progress: new Map(peers.map((id) => [id, new Progress(id, next, node.config)])),
    reads: new ReadRounds(node.config.pendingReadsMax),
    firstIndex: next,
    transferee: undefined,
    transferTicks: 0,
    unprovenRound: 0,
    preferred: undefined,
    preferredTicks: 0,
    commitSeen: node.log.commit,
    sendsDue: true,
  }
  // An entry of the own term, so that what earlier terms left can be committed. Source: Raft paper 5.4.2, 8.
  appendData(node, new Uint8Array(0))
  node.note('became-leader', { lastIndex: next })
  advanceCommit(node)
}

/** The campaign is lost: waits in the same term, without a leader. */
function becomeFollowerAgain(node: NodeState): void {
  node.role = 'follower'
  node.votes.clear()
  node.resetTimers()
}

function votersBesides(node: NodeState): readonly NodeId[] {
  const { voters, outgoing } = node.conf
  return [...new Set([...voters, ...outgoing])].filter((id) => id !== node.id)
}
