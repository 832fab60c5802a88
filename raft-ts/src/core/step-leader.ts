// What a leader does with its peers' answers, and with the passing of time.
// Source: Raft paper 5.3; thesis 3.10 (transfer), 6.2 (CheckQuorum), 6.4 (ReadIndex).
import { invariant } from './assert.ts'
import { advanceCommit, advanceReads, stepDown } from './commit.ts'
import { dueHandOver } from './priority.ts'
import type { Progress } from './progress.ts'
import { voteResult } from './quorum.ts'
import { isActive, leadingOf, sendHeartbeats } from './replication.ts'
import type { NodeState } from './state.ts'
import type { Message, NodeId } from './types.ts'

type AppendResponse = Extract<Message, { kind: 'append-response' }>
type HeartbeatResponse = Extract<Message, { kind: 'heartbeat-response' }>

/** A message of the present term, to the leader. */
export function stepLeader(node: NodeState, message: Message): void {
  switch (message.kind) {
    case 'append-response':
      takeAppendResponse(node, message)
      return
    case 'heartbeat-response':
      takeHeartbeatResponse(node, message)
      return
    case 'read-index':
      // Not taken (too many): the follower gives up and asks again.
      leadingOf(node).reads.add({ from: message.from, context: message.context })
      return
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      invariant(false, 'a term has one leader', { term: node.term, other: message.from })
      return
    case 'vote':
    case 'vote-response':
    case 'pre-vote':
    case 'pre-vote-response':
    case 'timeout-now':
    case 'read-index-response':
      return
  }
}

/** One tick of a leader. */
export function tickLeader(node: NodeState): void {
  const leading = leadingOf(node)
  node.heartbeatElapsed += 1
  for (const progress of leading.progress.values()) progress.silentTicks += 1
  if (leading.transferee !== undefined) {
    leading.transferTicks += 1
    if (leading.transferTicks >= node.electionTicks) abortTransfer(node, 'timed out')
  }
  if (!checkQuorum(node)) return
  if (node.heartbeatElapsed >= node.config.heartbeatTicks) {
    node.heartbeatElapsed = 0
    sendHeartbeats(node)
    handOverIfDue(node)
  }
}

/** Hands leadership to a voter once its log is complete. Source: thesis 3.10. */
export function startTransfer(node: NodeState, to: NodeId): void {
  const leading = leadingOf(node)
  const progress = leading.progress.get(to)
  if (progress === undefined || !node.conf.voters.includes(to)) {
    node.note('transfer-refused', { to })
    return
  }
  node.note('transfer-started', { to, match: progress.match })
  leading.transferee = to
  leading.transferTicks = 0
  progress.nudged = true
  leading.sendsDue = true
  continueTransfer(node, progress)
}

/** To a voter of higher priority, if there is one that can take over. */
function handOverIfDue(node: NodeState): void {
  if (node.config.priorityOf === undefined) return
  const to = dueHandOver(node)
  if (to === undefined) return
  node.note('hand-over', { to, priority: node.priorityOf(to), own: node.priorityOf(node.id) })
  startTransfer(node, to)
}

function takeAppendResponse(node: NodeState, message: AppendResponse): void {
  const leading = leadingOf(node)
  const progress = leading.progress.get(message.from)
  if (progress === undefined) return
  progress.answered()
  leading.sendsDue = true
  if (message.reject !== undefined) {
    takeRefusal(node, progress, message)
    return
  }
  if (message.index > node.log.lastIndex) {
    node.note('impossible-answer', { from: message.from, index: message.index })
    return
  }
  progress.accepted(message.index)
  continueTransfer(node, progress)
  advanceCommit(node)
}

function takeRefusal(node: NodeState, progress: Progress, message: AppendResponse): void {
  const { reject } = message
  if (reject === undefined) return
  const hint =
    reject.hintTerm > 0
      ? node.log.findByTerm(reject.hintIndex, reject.hintTerm).index
      : Math.min(reject.hintIndex, node.log.lastIndex)
  // Even when all seems to match: the peer trusts nothing that this append does not show it.
  if (reject.lost) progress.nudged = true
  if (reject.lost && hint < progress.match) {
    node.note('peer-lost-entries', { id: progress.id, match: progress.match, hint })
    progress.lost(hint)
    return
  }
  progress.refused(message.index, hint)
}

function takeHeartbeatResponse(node: NodeState, message: HeartbeatResponse): void {
  const leading = leadingOf(node)
  const progress = leading.progress.get(message.from)
  if (progress === undefined) return
  progress.heard(node.log.lastIndex)
  progress.round = Math.max(progress.round, message.round)
  leading.sendsDue = true
  advanceReads(node)
}

/**
 * Without a quorum heard from within an election time-out, leads no longer. Looked at in every tick: a leader that hears
 * nobody is known for none as soon as its followers may have elected another. Source: thesis 6.2.
 */
function checkQuorum(node: NodeState): boolean {
  const { progress } = leadingOf(node)
  let isAnySilent = false
  for (const peer of progress.values()) {
    isAnySilent ||= !isActive(node, peer)
  }
  if (!isAnySilent || !node.config.checkQuorum) return true
  const heard = new Map<NodeId, boolean>([[node.id, true]])
  for (const peer of progress.values()) heard.set(peer.id, isActive(node, peer))
  if (voteResult(node.conf, heard) === 'won') return true
  node.note('quorum-lost')
  // Whoever is asked to lead may hear this though its answers are lost.
  stepDown(node, 'quorum lost')
  return false
}

function continueTransfer(node: NodeState, progress: Progress): void {
  if (leadingOf(node).transferee !== progress.id) return
  if (progress.match === node.log.lastIndex) node.send({ kind: 'timeout-now', to: progress.id })
}

/**
 * Leads on and takes proposals again. A target that was told to campaign may still win, if its log is complete:
 * what was proposed since is then lost or not, as with any change of leader. Returns whether there was one.
 */
export function abortTransfer(node: NodeState, why: string): boolean {
  const leading = leadingOf(node)
  if (leading.transferee === undefined) return false
  node.note('transfer-aborted', { to: leading.transferee, why })
  leading.transferee = undefined
  return true
}
