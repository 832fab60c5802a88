// What follows from acknowledgements: the commit index, the leave of a joint configuration, the removed
// leader's step down, the answers to reads.
// Source: Raft paper 5.4.2 (only entries of the own term are counted); thesis 4.2.2, 4.3 and 6.4.

import { leaveJoint } from './confchange.ts'
import type { Progress } from './progress.ts'
import { isJoint, isVoter, membersOf, quorumReached } from './quorum.ts'
import { appendConf, isActive, leadingOf, sendAppends } from './replication.ts'
import { rules } from './rules.ts'
import { becomeFollower, type NodeState } from './state.ts'
import type { NodeId, ReadState } from './types.ts'

/** Commits what a quorum holds durably. The leader counts itself only up to what is durable here. */
export function advanceCommit(node: NodeState): void {
  const leading = leadingOf(node)
  const reached = quorumReached(node.conf, (id) =>
    id === node.id ? node.log.stable : (leading.progress.get(id)?.match ?? 0),
  )
  const before = node.log.commit
  if (reached <= before || !rules.mayCount(node.log.term(reached), node.term)) return
  node.log.commitTo(reached)
  leading.sendsDue = true
  // A configuration that an earlier leader committed is looked at once, with the first own commit.
  const { index } = node.confs.latest
  if (index <= reached && before < Math.max(index, leading.firstIndex)) confCommitted(node)
}

/** Closes the read rounds a quorum has answered, and answers their reads. */
export function advanceReads(node: NodeState): void {
  const leading = leadingOf(node)
  const reached = quorumReached(node.conf, (id) =>
    id === node.id ? leading.reads.latest : (leading.progress.get(id)?.round ?? 0),
  )
  if (leading.unprovenRound !== 0 && reached >= leading.unprovenRound) leading.unprovenRound = 0
  for (const { index, reads } of leading.reads.reached(reached)) {
    for (const { from, context } of reads) {
      if (from === node.id) node.outbox.readStates.push({ index, context })
      else answerRead(node, from, { index, context })
    }
  }
}

/**
 * A member under repair (negative contexts) must reach to the end of this log: answers of its earlier life may still be
 * under way, and what they vouch for be counted here, though the damage took it. None of it lies beyond that end.
 */
function answerRead(node: NodeState, to: NodeId, { index, context }: ReadState): void {
  const upTo = context < 0n ? node.log.lastIndex : index
  node.send({ kind: 'read-index-response', to, index: upTo, context })
}

/**
 * Names the voter that should lead next: alive, if one is, with the longest log, of equals the one of higher
 * priority.
 */
export function bestSuccessor(node: NodeState): NodeId | undefined {
  let best: Progress | undefined
  for (const progress of leadingOf(node).progress.values()) {
    if (!node.conf.voters.includes(progress.id)) continue
    if (best === undefined || isBetter(node, progress, best)) best = progress
  }
  return best?.id
}

function isBetter(node: NodeState, one: Progress, other: Progress): boolean {
  const isAlive = isActive(node, one)
  if (isAlive !== isActive(node, other)) return isAlive
  if (one.match !== other.match) return one.match > other.match
  return node.priorityOf(one.id) > node.priorityOf(other.id)
}

/** Leads no more in this term, and asks the best voter to campaign at once. */
export function stepDown(node: NodeState, why: string): void {
  const successor = bestSuccessor(node)
  node.note('stepped-down', { why, successor: successor ?? '' })
  sendAppends(node)
  if (successor !== undefined) node.send({ kind: 'timeout-now', to: successor })
  becomeFollower(node, node.term, undefined)
}

function confCommitted(node: NodeState): void {
  const leading = leadingOf(node)
  const { conf } = node
  if (isJoint(conf)) {
    appendConf(node, leaveJoint(conf))
    return
  }
  const members = new Set(membersOf(conf))
  for (const id of leading.progress.keys()) if (!members.has(id)) leading.progress.delete(id)
  if (leading.transferee !== undefined && !members.has(leading.transferee)) {
    leading.transferee = undefined
  }
  if (!isVoter(conf, node.id)) stepDown(node, 'no longer a voter')
}
