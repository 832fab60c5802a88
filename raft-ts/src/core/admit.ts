// The rules on terms that come before any role's: newer terms are entered, older ones are refused, and those
// who hear from a leader do not listen to candidates.
// Source: Raft paper figure 2 (all servers); thesis 4.2.3 (disruptive servers), 9.6 (PreVote).
import { becomeFollower, type NodeState } from './state.ts'
import type { Message } from './types.ts'

/** Whether the message goes on to the role. Enters a newer term where the message proves one. */
export function admit(node: NodeState, message: Message): boolean {
  if (message.to !== node.id || message.from === node.id) {
    node.note('misdirected-message', { from: message.from, to: message.to, kind: message.kind })
    return false
  }
  if (message.term > node.term) return admitNewer(node, message)
  if (message.term < node.term) {
    answerStale(node, message)
    return false
  }
  return true
}

function admitNewer(node: NodeState, message: Message): boolean {
  if (message.kind === 'vote' || message.kind === 'pre-vote') {
    if (hearsFromLeader(node) && !message.force) return false
    if (message.kind === 'pre-vote') return true
  }
  // A granted pre-vote carries the term asked about, which nobody has entered.
  if (message.kind === 'pre-vote-response' && message.granted) return true
  const { role, electionElapsed } = node
  becomeFollower(node, message.term, isFromLeader(message) ? message.from : undefined)
  // A follower is made patient by a leader or by the vote it gives, not by being asked: a candidate that cannot win
  // would keep those that could from ever campaigning. Source: Raft paper figure 2, rules for followers.
  if (message.kind === 'vote' && role === 'follower') node.electionElapsed = electionElapsed
  return true
}

/**
 * Whether a leader was heard from lately. One tick less than anyone's patience: ticks of two members are out of step by
 * up to one, and the first to miss a leader must not be refused by those who are about to.
 */
function hearsFromLeader(node: NodeState): boolean {
  const { config, leader, electionElapsed, electionTicks } = node
  return config.checkQuorum && leader !== undefined && electionElapsed < electionTicks - 1
}

function isFromLeader(message: Message): boolean {
  return message.kind === 'append' || message.kind === 'heartbeat' || message.kind === 'snapshot'
}

function answerStale(node: NodeState, message: Message): void {
  const { config } = node
  if (message.kind === 'pre-vote') {
    node.send({ kind: 'pre-vote-response', to: message.from, granted: false })
    return
  }
  // A leader of an older term whom this node cannot follow: with PreVote or CheckQuorum no campaign would
  // ever tell it the newer term, and this node would stay cut off.
  if (isFromLeader(message) && (config.checkQuorum || config.preVote)) {
    node.send({ kind: 'append-response', to: message.from, index: 0 })
  }
}
