// What a follower does with its leader's messages, and with the passing of time.
// Source: Raft paper figure 2 (AppendEntries receiver), 7 (InstallSnapshot); thesis 3.10, 6.4.
import { invariant } from './assert.ts'
import { campaign } from './election.ts'
import { extraPatience } from './priority.ts'
import { becomeFollower, type NodeState } from './state.ts'
import type { Entry, Index, Message, NodeId } from './types.ts'

type Append = Extract<Message, { kind: 'append' }>
type Heartbeat = Extract<Message, { kind: 'heartbeat' }>
type Snapshot = Extract<Message, { kind: 'snapshot' }>
type ReadIndexResponse = Extract<Message, { kind: 'read-index-response' }>

/** A message of the present term, to a follower. */
export function stepFollower(node: NodeState, message: Message): void {
  switch (message.kind) {
    case 'append':
      followLeader(node, message.from)
      acceptAppend(node, message)
      return
    case 'heartbeat':
      followLeader(node, message.from)
      acceptHeartbeat(node, message)
      return
    case 'snapshot':
      followLeader(node, message.from)
      acceptSnapshot(node, message)
      return
    case 'timeout-now':
      campaign(node, 'transfer')
      return
    case 'read-index-response':
      acceptReadIndex(node, message)
      return
    // A read-index here means that leadership moved: its sender gives up and asks again.
    case 'read-index':
    case 'append-response':
    case 'heartbeat-response':
    case 'vote':
    case 'vote-response':
    case 'pre-vote':
    case 'pre-vote-response':
      return
  }
}

/** One tick of a node that does not lead. Source: Raft paper 5.2. */
export function tickFollower(node: NodeState): void {
  node.electionElapsed += 1
  node.forwardedElapsed += 1
  if (node.forwardedElapsed >= node.electionTicks) {
    node.forwardedElapsed = 0
    node.abortReads(node.forwarded.turn())
  }
  if (node.repair !== undefined) askForRepair(node)
  if (node.electionElapsed < node.patienceTicks) return
  if (node.isPromotable) {
    if (node.electionElapsed < node.patienceTicks + extraPatience(node)) return
    campaign(node, 'timeout')
    return
  }
  becomeFollower(node, node.term, undefined)
}

/** Ends the repair once all that its leader may have taken to be durable here when it was asked is so, and is committed. */
export function checkRepaired(node: NodeState): void {
  const target = node.repair?.target
  if (target === undefined || Math.min(node.log.stable, node.log.commit) < target) return
  node.repair = undefined
  node.note('repaired', { target })
}

function followLeader(node: NodeState, leader: NodeId): void {
  invariant(node.leader === undefined || node.leader === leader, 'a term has one leader', {
    term: node.term,
    known: node.leader,
    other: leader,
  })
  node.electionElapsed = 0
  node.setLeader(leader)
}

function acceptAppend(node: NodeState, message: Append): void {
  const { log } = node
  if (message.prevIndex < log.commit) {
    // Old news. What is committed matches for certain.
    node.sendAfterPersist({ kind: 'append-response', to: message.from, index: log.commit })
    return
  }
  if (log.term(message.prevIndex) !== message.prevTerm) {
    refuseAppend(node, message)
    return
  }
  if (!hasRoomFor(node, message)) return
  noteConfs(node, log.merge(message.entries))
  const lastNew = message.prevIndex + message.entries.length
  noteMatch(node, lastNew)
  log.commitTo(Math.min(message.commit, lastNew))
  checkRepaired(node)
  node.sendAfterPersist({ kind: 'append-response', to: message.from, index: lastNew })
}

/** What finds no room counts as lost on the way: the leader sends it again, and more slowly. */
function hasRoomFor(node: NodeState, { entries, from }: Append): boolean {
  const hasRoom = node.log.hasRoomFor(entries)
  if (!hasRoom && !node.isOverrun) {
    node.note('append-dropped', { from, unflushedBytes: node.log.unstableBytes })
  }
  if (entries.length > 0) node.isOverrun = !hasRoom
  return hasRoom
}

function refuseAppend(node: NodeState, message: Append): void {
  // Skips whole terms that cannot match. Source: Raft paper 5.3, end.
  const hint = node.log.findByTerm(message.prevIndex, message.prevTerm)
  node.sendAfterPersist({
    kind: 'append-response',
    to: message.from,
    index: message.prevIndex,
    reject: { hintIndex: hint.index, hintTerm: hint.term, lost: node.repair !== undefined },
  })
}

/** A configuration holds from its append, and no longer than its entry. Source: thesis 4.1. */
function noteConfs(node: NodeState, added: readonly Entry[]): void {
  const first = added[0]
  if (first === undefined) return
  if (node.confs.truncateFrom(first.index)) {
    node.note('configuration-rolled-back', { index: node.confs.latest.index })
  }
  for (const entry of added) {
    if (entry.kind === 'conf') node.confs.push(entry.index, entry.conf)
  }
}

/** A log under repair holds what this leader's holds, up to here. */
function noteMatch({ repair, term }: NodeState, index: Index): void {
  if (repair === undefined) return
  repair.matched = repair.matchedTerm === term ? Math.max(repair.matched, index) : index
  repair.matchedTerm = term
}

/**
 * Up to where a heartbeat's commit index may be trusted. The leader sends no more than it takes for matching,
 * but a log under repair may hold something else by now than what an earlier life acknowledged.
 */
function trustedIndex({ repair, term, log }: NodeState): Index {
  if (repair === undefined) return log.lastIndex
  return repair.matchedTerm === term ? repair.matched : 0
}

function acceptHeartbeat(node: NodeState, message: Heartbeat): void {
  node.log.commitTo(Math.min(message.commit, trustedIndex(node)))
  checkRepaired(node)
  node.send({ kind: 'heartbeat-response', to: message.from, round: message.round })
}

function acceptSnapshot(node: NodeState, { meta, from }: Snapshot): void {
  const { log } = node
  if (meta.index > log.commit) {
    if (log.term(meta.index) === meta.term) log.commitTo(meta.index)
    else installSnapshot(node, { kind: 'snapshot', meta, from, to: node.id, term: node.term })
  }
  node.sendAfterPersist({ kind: 'append-response', to: from, index: log.commit })
}

function installSnapshot(node: NodeState, { meta, from }: Snapshot): void {
  node.note('snapshot-received', { index: meta.index, from, lastIndex: node.log.lastIndex })
  node.log.restore(meta)
  node.confs.reset({ index: meta.index, conf: meta.conf })
  node.outbox.snapshot = meta
}

function acceptReadIndex(node: NodeState, { context, index }: ReadIndexResponse): void {
  if (node.repair !== undefined && node.repair.context === context) {
    node.repair.target ??= index
    checkRepaired(node)
    return
  }
  if (node.forwarded.answered(context)) node.outbox.readStates.push({ index, context })
}

/** Tells the leader where this log ends, and asks up to where it must reach again. */
function askForRepair(node: NodeState): void {
  const { repair, leader, log } = node
  if (repair === undefined || leader === undefined) return
  repair.ticks += 1
  if (repair.ticks < node.config.heartbeatTicks) return
  repair.ticks = 0
  if (repair.target === undefined) {
    node.send({ kind: 'read-index', to: leader, context: repair.context })
  }
  // As long as the leader may take more for matching than does: it sends nothing that it takes to be here.
  if (repair.target !== undefined && trustedIndex(node) >= repair.target) return
  node.sendAfterPersist({
    kind: 'append-response',
    to: leader,
    index: log.lastIndex + 1,
    reject: { hintIndex: log.lastIndex, hintTerm: log.lastTerm, lost: true },
  })
}
