// What a pre-candidate or candidate does with messages of its term: counts votes, yields to a leader.
// Source: Raft paper 5.2; thesis 9.6 (PreVote).
import { recordVote } from './election.ts'
import { becomeFollower, type NodeState } from './state.ts'
import { stepFollower } from './step-follower.ts'
import type { Message } from './types.ts'

/** A message of the present term (a granted pre-vote: of the next), to a candidate of either kind. */
export function stepCandidate(node: NodeState, message: Message): void {
  switch (message.kind) {
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      becomeFollower(node, message.term, message.from)
      stepFollower(node, message)
      return
    case 'pre-vote-response':
      if (node.role === 'pre-candidate') countPreVote(node, message)
      return
    case 'vote-response':
      if (node.role === 'candidate') recordVote(node, message.from, message.granted)
      return
    case 'append-response':
    case 'heartbeat-response':
    case 'vote':
    case 'pre-vote':
    case 'timeout-now':
    case 'read-index':
    case 'read-index-response':
      return
  }
}

function countPreVote(
  node: NodeState,
  message: Extract<Message, { kind: 'pre-vote-response' }>,
): void {
  // Granted for an earlier campaign's term: says nothing about this one.
  if (message.granted && message.term !== node.term + 1) return
  recordVote(node, message.from, message.granted)
}
