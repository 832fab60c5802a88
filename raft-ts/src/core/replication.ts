// A leader's sending: appends within each peer's window, snapshots for those too far behind, heartbeats.
// Source: Raft paper 5.3 and 7; thesis 10.2.1 (pipelining).
import { invariant } from './assert.ts'
import { entryBytes } from './entry-cache.ts'
import { Progress } from './progress.ts'
import { isVoter, membersOf } from './quorum.ts'
import type { Leading, NodeState } from './state.ts'
import type { ConfState, Entry, Index } from './types.ts'

/** The leader's own state. Only a leader may ask. */
export function leadingOf(node: NodeState): Leading {
  invariant(node.leading !== undefined, 'only a leader replicates', { role: node.role })
  return node.leading
}

/**
 * Whether the peer was heard from within the last election time-out. Its first answer may take two: on a slow network a
 * round trip takes longer than is known yet, later ones follow each other as fast as they are asked for.
 */
export function isActive(node: NodeState, progress: Progress): boolean {
  return progress.silentTicks < node.electionTicks * (progress.hasAnswered ? 1 : 2)
}

/** Appends the caller's bytes as an entry of this term. */
export function appendData(node: NodeState, data: Uint8Array): Index {
  const index = node.log.lastIndex + 1
  node.log.push({ kind: 'data', term: node.term, index, data })
  leadingOf(node).sendsDue = true
  return index
}

/** Appends a configuration: it holds at once. Source: thesis 4.1. */
export function appendConf(node: NodeState, conf: ConfState): Index {
  const leading = leadingOf(node)
  const index = node.log.lastIndex + 1
  node.log.push({ kind: 'conf', term: node.term, index, conf })
  node.confs.push(index, conf)
  node.note('configuration-appended', { index, joint: conf.outgoing.length > 0 })
  for (const id of membersOf(conf)) {
    if (id === node.id || leading.progress.has(id)) continue
    leading.progress.set(id, new Progress(id, index, node.config))
  }
  leading.sendsDue = true
  return index
}

/** Sends to every peer what its window takes, and the commit index where it rose. */
export function sendAppends(node: NodeState): void {
  const leading = leadingOf(node)
  leading.sendsDue = false
  for (const progress of leading.progress.values()) sendAppendsTo(node, progress)
}

/** One heartbeat to everyone. Its answer counts for all read rounds before. */
export function sendHeartbeats(node: NodeState): void {
  leadingOf(node).reads.beat()
  for (const progress of leadingOf(node).progress.values()) sendHeartbeat(node, progress)
}

/** Opens a read round for the reads that wait and asks the voters. */
export function startReadRound(node: NodeState): void {
  const leading = leadingOf(node)
  leading.reads.start(node.log.commit)
  for (const progress of leading.progress.values()) {
    if (isVoter(node.conf, progress.id)) sendHeartbeat(node, progress)
  }
}

function sendHeartbeat(node: NodeState, progress: Progress): void {
  // Not beyond what the peer is known to hold: its log past that may conflict with this one.
  const commit = Math.min(progress.match, node.log.commit)
  node.send({
    kind: 'heartbeat',
    to: progress.id,
    commit,
    round: leadingOf(node).reads.latest,
  })
}

function sendAppendsTo(node: NodeState, progress: Progress): void {
  const { log, config } = node
  while (!progress.isPaused) {
    const prevTerm = log.term(progress.next - 1)
    const entries = nextEntries(node, progress)
    if (prevTerm === undefined || entries === undefined) {
      sendSnapshot(node, progress)
      return
    }
    const isNews = entries.length > 0 || progress.nudged || progress.sentCommit < log.commit
    if (!isNews) return
    node.send({
      kind: 'append',
      to: progress.id,
      prevIndex: progress.next - 1,
      prevTerm,
      commit: log.commit,
      entries,
    })
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0)
    progress.sent(entries.length, bytes, log.commit)
    invariant(bytes <= config.messageBytesMax || entries.length === 1, 'messages are bounded')
  }
}

function nextEntries(node: NodeState, progress: Progress): readonly Entry[] | undefined {
  const { log, config } = node
  if (progress.next > log.lastIndex) return []
  return log.entries(progress.next, log.lastIndex, config.messageBytesMax)
}

function sendSnapshot(node: NodeState, progress: Progress): void {
  // Its content is large: not towards a peer that does not answer.
  if (!isActive(node, progress)) return
  const meta = node.log.snapshot
  invariant(meta !== undefined, 'a snapshot covers what was compacted')
  node.note('snapshot-sent', { to: progress.id, index: meta.index, match: progress.match })
  progress.startSnapshot(meta.index)
  node.send({ kind: 'snapshot', to: progress.id, meta })
}
