import { defaultRaftTuning, type Entry, type RaftTuning } from 'raft-ts'
import t from 'tap'
import { RaftLog } from '../build/core/log.js'
import { diskWithTerms } from './support/cluster.ts'
import type { MemoryLog } from './support/memory-log.ts'

function entry(term: number, index: number, size = 8): Entry {
  return { kind: 'data', term, index, data: new Uint8Array(size) }
}

function logOn(disk: MemoryLog, tuning: Partial<RaftTuning> = {}): RaftLog {
  return new RaftLog(disk, { ...defaultRaftTuning, ...tuning }, disk.restored())
}

/** Entries 2.. with these terms after the founding entry 1 of term 1, all durable. */
function logWith(...terms: readonly number[]): RaftLog {
  return logOn(diskWithTerms(['a'], terms))
}

t.test('a restarted log answers from storage', async (t) => {
  const log = logWith(1, 1, 2)
  t.same([log.firstIndex, log.lastIndex, log.lastTerm, log.stable], [1, 4, 2, 4])
  t.same(
    [0, 1, 3, 4, 5].map((index) => log.term(index)),
    [0, 1, 1, 2, undefined],
  )
  t.same(
    log.entries(2, 4, 1e6)?.map((e) => e.index),
    [2, 3, 4],
  )
})

t.test('5.4.1: up to date is by last term, then by length', async (t) => {
  const log = logWith(1, 2, 2)
  t.ok(log.isUpToDate(4, 2))
  t.ok(log.isUpToDate(5, 2))
  t.notOk(log.isUpToDate(3, 2))
  t.ok(log.isUpToDate(1, 3))
  t.notOk(log.isUpToDate(9, 1))
})

t.test('figure 2, AppendEntries 3 and 4: only a conflicting suffix is truncated', async (t) => {
  const log = logWith(1, 2, 2)
  t.same(log.merge([entry(1, 2), entry(2, 3)]), [], 'what is there already changes nothing')
  t.equal(log.lastIndex, 4)
  const added = log.merge([entry(2, 3), entry(3, 4), entry(3, 5)])
  t.same(
    added.map((e) => e.index),
    [4, 5],
  )
  t.same([log.lastIndex, log.lastTerm, log.stable], [5, 3, 3])
  t.same(
    log.takeUnhanded().map((e) => e.index),
    [4, 5],
  )
  t.notOk(log.hasUnhanded)
})

t.test('committed entries are never truncated', async (t) => {
  const log = logWith(1, 1)
  log.commitTo(3)
  t.throws(() => log.merge([entry(2, 3)]), /never truncated/)
})

t.test('a flush of entries truncated meanwhile makes nothing durable', async (t) => {
  const log = logWith(1)
  log.merge([entry(2, 3), entry(2, 4)])
  log.takeUnhanded()
  log.handedIn(1)
  log.merge([entry(3, 3)])
  log.takeUnhanded()
  log.handedIn(2)
  log.merge([entry(4, 3), entry(4, 4)])
  log.persisted(1)
  t.equal(log.stable, 2, 'entries 3 and 4 of term 2 are gone')
  log.persisted(2)
  t.equal(log.stable, 2, 'entry 3 of term 3 too')
  log.takeUnhanded()
  log.handedIn(3)
  log.persisted(3)
  t.equal(log.stable, 4)
})

t.test('findByTerm skips what cannot match and stops at what was compacted', async (t) => {
  const log = logWith(1, 1, 4, 4, 5)
  t.same(log.findByTerm(6, 5), { index: 6, term: 5 })
  t.same(log.findByTerm(6, 4), { index: 5, term: 4 })
  t.same(log.findByTerm(5, 3), { index: 3, term: 1 })
  t.same(log.findByTerm(99, 9), { index: 6, term: 5 })
  t.same(log.findByTerm(3, 0), { index: 0, term: 0 })
})

t.test(
  'only committed and durable entries are handed out to be applied, within the bound',
  async (t) => {
    const log = logOn(diskWithTerms(['a'], [1]), { applyingBytesMax: 99 })
    log.appliedTo(0)
    t.same(
      log.takeCommitted().map((e) => e.index),
      [1],
    )
    for (let index = 3; index <= 8; index++) log.push(entry(1, index))
    log.commitTo(8)
    t.same(
      log.takeCommitted().map((e) => e.index),
      [2],
      'the rest is not durable',
    )
    log.takeUnhanded()
    log.handedIn(1)
    log.persisted(1)
    t.notOk(log.hasCommitted, 'the bound is reached')
    log.appliedTo(2)
    t.same(
      log.takeCommitted().map((e) => e.index),
      [3, 4],
    )
    t.throws(() => log.appliedTo(5), /handed out/)
  },
)

t.test('pending bytes count what is not durable or not committed', async (t) => {
  const log = logWith(1)
  log.push(entry(1, 3))
  log.push(entry(1, 4))
  t.equal(log.pendingBytes, 80)
  log.takeUnhanded()
  log.handedIn(1)
  log.persisted(1)
  t.equal(log.pendingBytes, 80, 'durable, not committed')
  log.commitTo(3)
  t.equal(log.pendingBytes, 40)
  log.merge([entry(2, 4)])
  t.equal(log.pendingBytes, 40, 'replaced')
  log.commitTo(4)
  t.equal(log.pendingBytes, 40, 'committed, not durable')
  log.takeUnhanded()
  log.handedIn(2)
  log.persisted(2)
  t.equal(log.pendingBytes, 0)
})

t.test('the oldest settled entries leave memory and are read from storage', async (t) => {
  const disk = diskWithTerms(['a'], [])
  const log = logOn(disk, { cacheBytesMax: 120 })
  for (let index = 2; index <= 11; index++) log.push(entry(1, index))
  disk.write({ entries: log.takeUnhanded() })
  log.handedIn(1)
  log.persisted(1)
  log.commitTo(11)
  t.same(
    log.entries(2, 11, 1e6)?.map((e) => e.index),
    [2, 3, 4, 5, 6, 7, 8],
    'from storage',
  )
  t.same(
    log.entries(9, 11, 1e6)?.map((e) => e.index),
    [9, 10, 11],
    'from memory',
  )
})

t.test('7: compaction keeps the term before the first entry', async (t) => {
  const log = logWith(1, 2, 2, 3)
  log.commitTo(5)
  log.takeCommitted()
  log.appliedTo(5)
  t.throws(() => log.compact(4), /snapshot covers/)
  log.saved({
    index: 5,
    term: 3,
    conf: { voters: ['a'], outgoing: [], learners: [], learnersNext: [] },
  })
  log.compact(4)
  t.equal(log.firstIndex, 5)
  t.equal(log.term(4), 2)
  t.equal(log.term(3), undefined)
  t.equal(log.entries(4, 5, 1e6), undefined)
  t.equal(log.entries(5, 5, 1e6)?.length, 1)
})

t.test('7: a received snapshot replaces the log, durable only once it is flushed', async (t) => {
  const log = logWith(1, 1)
  log.push(entry(1, 4))
  log.takeUnhanded()
  log.handedIn(1)
  const conf = { voters: ['a'], outgoing: [], learners: [], learnersNext: [] }
  log.restore({ index: 10, term: 3, conf })
  t.same([log.firstIndex, log.lastIndex, log.lastTerm, log.commit], [11, 10, 3, 10])
  t.equal(log.pendingBytes, 0)
  log.merge([entry(3, 11)])
  log.commitTo(11)
  log.persisted(1)
  t.notOk(log.hasCommitted, 'the snapshot is not installed yet')
  log.takeUnhanded()
  log.handedIn(2)
  log.persisted(2)
  t.equal(log.stable, 11)
  t.same(
    log.takeCommitted().map((e) => e.index),
    [11],
  )
  t.throws(() => log.restore({ index: 9, term: 3, conf }), /moves forward/)
})
