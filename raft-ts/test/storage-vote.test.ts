// The second copy of term and vote: a member whose log is damaged never votes twice, and a log that
// lost a write with its newest vote is noticed.
import {
  DamagedLogError,
  type HardState,
  LostVoteError,
  type Storage,
  type StorageOptions,
} from 'raft-ts'
import t from 'tap'
import { MemoryDisk } from './support/memory-disk.ts'
import {
  aHardState,
  anEntry,
  append,
  close,
  contentOf,
  open,
  powerCut,
  processCrash,
  someEntries,
  tryOpen,
} from './support/storage.ts'

const segments = (disk: MemoryDisk): readonly string[] =>
  disk
    .list()
    .filter((name) => name.startsWith('log-'))
    .sort()

const newestSegment = (disk: MemoryDisk): string => segments(disk).at(-1) ?? 'none'

/** A log of three entries whose newest record holds nothing but the vote of term 5. */
function voted(): { readonly disk: MemoryDisk; readonly storage: Storage; before: number } {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 3), aHardState({ term: 4, vote: 'a', commit: 3 }))
  const before = disk.size(newestSegment(disk))
  append(disk, storage, [], aHardState({ term: 5, vote: 'b', commit: 3 }))
  return { disk, storage, before }
}

const ballotOf = (storage: Storage): Partial<HardState> => {
  const { term, vote } = storage.restored.hardState
  return { term, vote }
}

t.test('a vote costs a second sync, and only a vote does', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, [anEntry(1)], aHardState({ term: 1 }))
  const syncs = (run: () => void): number => {
    const before = disk.counts.sync
    run()
    return disk.counts.sync - before
  }
  t.equal(
    syncs(() => append(disk, storage, [anEntry(2)])),
    1,
  )
  t.equal(
    syncs(() => append(disk, storage, [], aHardState({ commit: 2 }))),
    1,
  )
  // The log's, the copy's, and the one that marks it as settled, for which nobody waits.
  t.equal(
    syncs(() => append(disk, storage, [], aHardState({ term: 2, vote: 'b' }))),
    3,
  )
})

t.test('a vote is acknowledged only when both copies are durable', async (t) => {
  for (const slow of ['vote', 'log-']) {
    const { disk, storage } = voted()
    disk.fault = (operation, name) => {
      if (operation === 'sync' && name.startsWith(slow)) throw new Error('the device failed')
    }
    const err = append(disk, storage, [], aHardState({ term: 6, vote: 'c' }))
    t.match(err, { message: 'the device failed' }, slow)
    disk.fault = () => {}
    t.match(append(disk, storage, []), { name: 'LogFailedError' })
  }
})

t.test('damage that takes the newest vote does not make the member forget it', async (t) => {
  const { disk, before } = voted()
  disk.crash(powerCut)
  disk.flip(newestSegment(disk), (before + 50) * 8)
  t.type(tryOpen(disk), DamagedLogError)
  const repaired = open(disk, { repair: true })
  t.same(ballotOf(repaired), { term: 5, vote: 'b' })
  t.equal(repaired.restored.repairing, true)
  disk.crash(powerCut)
  t.same(ballotOf(open(disk)), { term: 5, vote: 'b' }, 'and it is in the log again')
})

t.test('a log without its meta file is repaired with the vote it gave', async (t) => {
  const { disk } = voted()
  disk.crash(powerCut)
  disk.flip('meta', 100)
  const repaired = open(disk, { repair: true })
  t.equal(repaired.log.lastIndex, 0)
  t.same(ballotOf(repaired), { term: 5, vote: 'b' })
  disk.crash(powerCut)
  t.same(ballotOf(open(disk)), { term: 5, vote: 'b' })
})

t.test('log and copy both damaged: no repair makes a voter of it', async (t) => {
  for (const harm of [
    (disk: MemoryDisk) => disk.flip('vote', 900),
    (disk: MemoryDisk) => disk.files.delete('vote'),
    (disk: MemoryDisk) => disk.truncate('vote', 0),
  ]) {
    for (const name of ['meta', 'log-']) {
      const { disk, before } = voted()
      disk.crash(powerCut)
      disk.flip(name === 'meta' ? name : newestSegment(disk), (before + 50) * 8 - 1)
      if (name === 'meta') disk.flip(name, 100)
      harm(disk)
      const refused = tryOpen(disk, { repair: true })
      t.type(refused, LostVoteError)
      t.match(refused, { message: /remove this member and join it anew/ })
      const again = tryOpen(disk, { repair: true })
      t.type(again, LostVoteError, 'and nothing was changed')
    }
  }
})

t.test('a damaged or missing copy of a sound log is written anew, and said', async (t) => {
  for (const harm of [
    (disk: MemoryDisk) => disk.flip('vote', 900),
    (disk: MemoryDisk) => disk.files.delete('vote'),
  ]) {
    const { disk } = voted()
    disk.crash(powerCut)
    harm(disk)
    const mended = open(disk)
    t.type(mended.mended, DamagedLogError)
    t.equal(mended.restored.repairing, false)
    t.same(ballotOf(mended), { term: 5, vote: 'b' })
    disk.crash(powerCut)
    const again = open(disk)
    t.equal(again.mended, undefined)
    t.same(ballotOf(again), { term: 5, vote: 'b' })
  }
})

t.test('a log that lost the write with its newest vote is refused', async (t) => {
  // The sync lied: the record is gone, and the tail looks like that of an ordinary crash.
  for (const extra of [0, 20, 60]) {
    const { disk, before } = voted()
    disk.crash(powerCut)
    disk.truncate(newestSegment(disk), before + extra)
    const refused = tryOpen(disk)
    t.match(refused, { name: 'DamagedLogError', reason: /ends in term 4.*of 5/ }, `${extra} bytes`)
    const repaired = open(disk, { repair: true })
    t.same(ballotOf(repaired), { term: 5, vote: 'b' })
    t.equal(repaired.restored.repairing, true)
    t.equal(repaired.log.lastIndex, 3, 'what is sound stays')
  }
})

t.test('also one whose later votes are lost', async (t) => {
  const { disk, storage, before } = voted()
  append(disk, storage, [], aHardState({ term: 6, vote: 'c' }))
  disk.crash(powerCut)
  disk.truncate(newestSegment(disk), before)
  t.match(tryOpen(disk), { name: 'DamagedLogError', reason: /of 6/ })
})

t.test('two votes in one term are damage that no repair undoes', async (t) => {
  const { disk, before } = voted()
  disk.crash(powerCut)
  const other = voted()
  append(other.disk, other.storage, [], aHardState({ term: 5, vote: 'c' }))
  other.disk.crash(powerCut)
  const foreign = other.disk.files.get('vote')
  if (foreign !== undefined) disk.files.set('vote', foreign)
  t.ok(before > 0)
  t.match(tryOpen(disk), { name: 'DamagedLogError', reason: /another vote in term 5/ })
  t.type(tryOpen(disk, { repair: true }), LostVoteError)
})

t.test('a copy of another group or a newer format is refused', async (t) => {
  const { disk } = voted()
  disk.crash(powerCut)
  const other = new MemoryDisk()
  append(other, open(other, { group: 'other' }), [], aHardState({ term: 9, vote: 'x' }))
  other.crash(powerCut)
  const foreign = other.files.get('vote')
  if (foreign !== undefined) disk.files.set('vote', foreign)
  t.match(tryOpen(disk), { name: 'ForeignLogError', message: /of another group/ })
})

t.test('a crash between any two steps of a vote forgets no acknowledged one', async (t) => {
  for (let steps = 0; steps < 14; steps++) {
    for (const crash of [powerCut, processCrash, { keep: (_: string, n: number) => n >> 1 }]) {
      const { disk, storage } = voted()
      let isAcknowledged = false
      storage.log.append({ hardState: aHardState({ term: 7, vote: 'c' }), entries: [] }, () => {
        isAcknowledged = true
      })
      disk.run(steps)
      disk.crash(crash)
      const again = open(disk)
      t.equal(again.mended, undefined)
      t.equal(again.restored.repairing, false, 'an ordinary crash is no damage')
      const { term, vote } = again.restored.hardState
      const expected = isAcknowledged ? [7] : [5, 7]
      t.ok(expected.includes(term), `term ${term} after ${steps} steps`)
      t.equal(vote, term === 7 ? 'c' : 'b')
      disk.crash(powerCut)
      t.same(ballotOf(open(disk)), { term, vote })
    }
  }
})

t.test(
  'crashes in a vote and in the open after it are no lost write (simulation seed 134)',
  async (t) => {
    for (let first = 0; first < 10; first++) {
      for (let second = 0; second < 30; second++) {
        const { disk, storage } = voted()
        storage.log.append({ hardState: aHardState({ term: 7, vote: 'c' }), entries: [] }, () => {})
        disk.run(first)
        disk.crash(powerCut)
        tryOpenSteps(disk, second, {})
        disk.crash(powerCut)
        const again = tryOpen(disk)
        if (again instanceof Error) t.fail(`${first} and ${second} steps: ${again.message}`)
      }
    }
  },
)

t.test('a crash between any two steps of a repair keeps the vote', async (t) => {
  const damages = [
    (disk: MemoryDisk) => disk.flip('meta', 100),
    (disk: MemoryDisk) => disk.flip(segments(disk)[0] ?? '', 100 * 8),
    (disk: MemoryDisk) => disk.flip(newestSegment(disk), 100 * 8),
  ]
  for (const harm of damages) {
    for (let steps = 0; steps < 24; steps++) {
      const disk = new MemoryDisk()
      const storage = open(disk, { segmentBytesMax: 1000 })
      for (let i = 1; i <= 12; i++) {
        append(disk, storage, [anEntry(i, 1, 'x'.repeat(200))], aHardState({ term: i, vote: 'b' }))
      }
      disk.crash(powerCut)
      harm(disk)
      t.type(tryOpen(disk.copy()), DamagedLogError)
      const stop = tryOpenSteps(disk, steps, { repair: true })
      disk.crash(steps % 2 === 0 ? powerCut : processCrash)
      const plain = tryOpen(disk.copy())
      if (!(plain instanceof Error)) {
        t.equal(plain.restored.repairing, true, `${steps} steps: an empty log is not sound`)
        t.same(ballotOf(plain), { term: 12, vote: 'b' })
      }
      const repaired = open(disk, { repair: true })
      t.same(ballotOf(repaired), { term: 12, vote: 'b' }, `${steps} steps, ended: ${stop}`)
      t.equal(repaired.restored.repairing, true)
    }
  }
})

function tryOpenSteps(disk: MemoryDisk, steps: number, options: Partial<StorageOptions>): boolean {
  let isOpen = false
  const run = disk.run.bind(disk)
  disk.run = () => run(steps)
  isOpen = !(tryOpen(disk, options) instanceof Error)
  disk.run = run
  return isOpen
}

t.test('a repair that is not complete needs its copy', async (t) => {
  const { disk, before } = voted()
  disk.crash(powerCut)
  disk.flip(newestSegment(disk), (before + 50) * 8)
  open(disk, { repair: true })
  disk.crash(powerCut)
  disk.files.delete('vote')
  t.type(tryOpen(disk), LostVoteError)
})

t.test('damage met while reading is remembered until it is repaired', async (t) => {
  const { disk, storage } = voted()
  let result: Error | undefined
  storage.suspect((err) => {
    result = err
  })
  disk.run()
  t.equal(result, undefined)
  disk.crash(powerCut)
  t.match(tryOpen(disk), { name: 'DamagedLogError', file: 'meta', reason: /met earlier/ })
  const repaired = open(disk, { repair: true })
  t.equal(repaired.restored.repairing, true)
  t.equal(contentOf(repaired).length, 3, 'what reads well stays')
  repaired.repaired(() => {})
  disk.run()
  t.equal(close(disk, repaired), undefined)
  const again = open(disk)
  t.equal(again.restored.repairing, false)
})

t.test('hundreds of votes keep the copy small and readable', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  for (let term = 1; term <= 300; term++) {
    t.equal(append(disk, storage, [], aHardState({ term, vote: `m${term % 5}` })), undefined)
  }
  t.ok(disk.size('vote') <= 66 * 1024, `${disk.size('vote')} bytes`)
  disk.crash(powerCut)
  t.same(ballotOf(open(disk)), { term: 300, vote: 'm0' })
})

t.test('a crash while the copy is begun anew loses no vote', async (t) => {
  for (let steps = 0; steps < 14; steps++) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    let term = 0
    while (disk.size('vote') < 64 * 1024) {
      term += 1
      append(disk, storage, [], aHardState({ term, vote: 'a' }))
    }
    let isAcknowledged = false
    const hardState = aHardState({ term: term + 1, vote: 'b' })
    storage.log.append({ hardState, entries: [] }, () => {
      isAcknowledged = true
    })
    disk.run(steps)
    disk.crash(steps % 2 === 0 ? powerCut : processCrash)
    const found = open(disk).restored.hardState
    t.ok(isAcknowledged ? found.term === term + 1 : found.term >= term, `${steps} steps`)
    t.equal(found.vote, found.term === term ? 'a' : 'b')
  }
})

t.test('an id that does not fit is refused as such', async (t) => {
  const { disk, storage } = voted()
  const err = append(disk, storage, [], aHardState({ term: 6, vote: 'x'.repeat(600) }))
  t.match(err, { name: 'RangeError', message: /member id has at most/ })
})
