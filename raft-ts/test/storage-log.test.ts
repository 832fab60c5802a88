// The durable log over a disk in memory: what is acknowledged is there after a crash, and what is
// damaged is refused.
import { crc32 } from 'node:zlib'
import {
  DamagedLogError,
  DiskError,
  ForeignLogError,
  LogFailedError,
  openStorage,
  WrongKeyError,
} from 'raft-ts'
import t from 'tap'
import { MemoryDisk } from './support/memory-disk.ts'
import {
  aConf,
  aHardState,
  anEntry,
  append,
  close,
  contentOf,
  open,
  powerCut,
  processCrash,
  someEntries,
  storageOptions,
  textOf,
  tryOpen,
} from './support/storage.ts'

const newestSegment = (disk: MemoryDisk): string =>
  disk
    .list()
    .filter((name) => name.startsWith('log-'))
    .sort()
    .at(-1) ?? 'none'

t.test('an empty directory opens as an empty log', async (t) => {
  const storage = open(new MemoryDisk())
  t.equal(storage.log.lastIndex, 0)
  t.equal(storage.log.firstIndex, 1)
  t.same(storage.restored, {
    hardState: { term: 0, vote: undefined, commit: 0 },
    firstIndex: 1,
    lastIndex: 0,
    confs: [],
    repairing: false,
  })
})

t.test('a new cluster begins with its first configuration, once', async (t) => {
  const disk = new MemoryDisk()
  const beginning = { kind: 'new', voters: ['a'] } as const
  const first = open(disk, { beginning })
  t.same(first.restored.confs, [{ index: 1, conf: aConf(['a']) }])
  append(disk, first, [anEntry(2)])
  disk.crash(powerCut)
  const second = open(disk, { beginning: { kind: 'new', voters: ['b'] } })
  t.same(second.restored.confs, [{ index: 1, conf: aConf(['a']) }])
  t.equal(second.restored.lastIndex, 2)
})

t.test('forcing a new cluster leaves one voter behind the old log', async (t) => {
  const disk = new MemoryDisk()
  const first = open(disk, { beginning: { kind: 'new', voters: ['a', 'b', 'c'] } })
  append(disk, first, someEntries(2, 4), aHardState({ commit: 3 }))
  disk.crash(powerCut)
  const forced = open(disk, { beginning: { kind: 'force-new', id: 'a' } })
  t.same(forced.restored.confs.at(-1), { index: 5, conf: aConf(['a']) })
  t.same(forced.restored.hardState, { term: 2, vote: undefined, commit: 3 })
})

t.test(
  'what was acknowledged survives a power cut, with hard state and configurations',
  async (t) => {
    const disk = new MemoryDisk()
    const storage = open(disk)
    const conf = { kind: 'conf', term: 2, index: 3, conf: aConf(['a', 'b']) } as const
    t.equal(
      append(disk, storage, [anEntry(1), anEntry(2), conf], aHardState({ vote: 'b' })),
      undefined,
    )
    t.equal(append(disk, storage, [], aHardState({ term: 3, vote: 'a', commit: 2 })), undefined)
    disk.crash(powerCut)
    const again = open(disk)
    t.same(again.restored.hardState, { term: 3, vote: 'a', commit: 2 })
    t.same(again.restored.confs, [{ index: 3, conf: aConf(['a', 'b']) }])
    t.same(contentOf(again), ['1/1 entry 1', '2/1 entry 2', textOf(conf)])
    t.equal(again.log.term(3), 2)
    t.equal(again.log.term(4), undefined)
  },
)

t.test('an entry at or below the last one truncates, also after reopening', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 6))
  append(disk, storage, [anEntry(4, 2, 'other')])
  const expected = ['1/1 entry 1', '2/1 entry 2', '3/1 entry 3', '4/2 other']
  t.same(contentOf(storage), expected)
  disk.crash(powerCut)
  t.same(contentOf(open(disk)), expected)
})

t.test('all that waits rides one flush', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, [anEntry(1)])
  const before = { ...disk.counts }
  const order: number[] = []
  for (let i = 2; i <= 50; i++) {
    storage.log.append({ entries: [anEntry(i)] }, () => order.push(i))
  }
  disk.run()
  t.equal(disk.counts.sync - before.sync, 2, 'the one that was under way and one for all others')
  t.same(
    order,
    Array.from({ length: 49 }, (_, i) => i + 2),
  )
  t.equal(storage.log.lastIndex, 50)
})

t.test('truncation among waiting appends leaves the last word', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  const batches = [someEntries(1, 2), someEntries(3, 6), [anEntry(4, 2, 'x')], [anEntry(5, 2, 'y')]]
  for (const entries of batches) storage.log.append({ entries }, () => {})
  disk.run()
  const expected = ['1/1 entry 1', '2/1 entry 2', '3/1 entry 3', '4/2 x', '5/2 y']
  t.same(contentOf(storage), expected)
  disk.crash(powerCut)
  t.same(contentOf(open(disk)), expected)
})

t.test('a noted commit index waits for the next flush', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, [anEntry(1)], aHardState())
  storage.log.note(aHardState({ commit: 1 }))
  t.equal(disk.run(), 0)
  append(disk, storage, [anEntry(2)])
  disk.crash(powerCut)
  t.equal(open(disk).restored.hardState.commit, 1)
})

t.test('every prefix of a torn append is cut and what was acknowledged stays', async (t) => {
  for (let keep = 0; keep < 200; keep += 1) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    append(disk, storage, [anEntry(1)], aHardState())
    storage.log.append({ entries: [anEntry(2, 1, 'x'.repeat(100))] }, () => t.fail('not durable'))
    disk.run(1)
    disk.crash({ keep: (_, unsynced) => Math.min(keep, unsynced) })
    const again = open(disk)
    const length = again.log.lastIndex
    t.ok(length === 1 || length === 2)
    t.equal(contentOf(again)[0], '1/1 entry 1')
    append(disk, again, [anEntry(length + 1, 2, 'later')])
    disk.crash(powerCut)
    t.equal(contentOf(open(disk)).at(-1), `${length + 1}/2 later`)
  }
})

t.test('blank sectors in a torn append are cut', async (t) => {
  for (let blank = 0; blank < 8; blank++) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    append(disk, storage, [anEntry(1)], aHardState())
    storage.log.append({ entries: [anEntry(2, 1, 'x'.repeat(3000))] }, () => {})
    disk.run(1)
    const name = newestSegment(disk)
    const sectors = Math.ceil(disk.size(name) / 512)
    disk.crash({ ...processCrash, blank: (_, sector) => sector === blank % sectors })
    t.same(contentOf(open(disk)).slice(0, 1), ['1/1 entry 1'])
  }
})

/** What a journal has behind its appends. */
function padWithZeros(disk: MemoryDisk, name: string): void {
  const file = disk.files.get(name)
  if (file === undefined) throw new Error(`no file ${name}`)
  const bytes = Buffer.concat([file.bytes, Buffer.alloc(5000)])
  disk.files.set(name, { bytes, durable: bytes.length })
}

t.test(
  'a torn append into zeros written ahead is cut, whichever sectors are missing',
  async (t) => {
    for (let missing = 0; missing < 1 << 6; missing += 3) {
      const disk = new MemoryDisk()
      const storage = open(disk)
      append(disk, storage, [anEntry(1)], aHardState())
      storage.log.append({ entries: [anEntry(2, 1, 'x'.repeat(2500))] }, () => {})
      disk.run(1)
      disk.crash({ ...processCrash, blank: (_, sector) => ((missing >> sector) & 1) === 1 })
      padWithZeros(disk, newestSegment(disk))
      const again = open(disk)
      t.equal(again.log.lastIndex, (missing & 0b111111) === 0 ? 2 : 1)
      append(disk, again, [anEntry(again.log.lastIndex + 1, 2, 'later')])
      disk.crash(powerCut)
      t.same(contentOf(open(disk)).at(0), '1/1 entry 1')
      t.match(contentOf(open(disk)).at(-1), 'later')
    }
  },
)

t.test('a segment that is nothing but zeros yet does not count', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), [anEntry(1)], aHardState())
  disk.crash(powerCut)
  const bytes = Buffer.alloc(4096)
  disk.files.set('log-000000000009', { bytes, durable: bytes.length })
  t.same(contentOf(open(disk)), ['1/1 entry 1'])
})

t.test('a flipped bit is damage although zeros follow', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, [anEntry(1)], aHardState())
  append(disk, storage, [anEntry(2, 1, 'x'.repeat(2500))])
  const name = newestSegment(disk)
  const bit = (disk.size(name) - 1000) * 8
  padWithZeros(disk, name)
  disk.flip(name, bit)
  t.throws(() => open(disk), { name: 'DamagedLogError' })
})

t.test('a record that only the page cache held is made durable before it counts', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, [anEntry(1)], aHardState())
  storage.log.append({ entries: [anEntry(2)] }, () => {})
  disk.run(1)
  // kill -9: the append happened, the sync never did.
  const file = disk.files.get(newestSegment(disk))
  const durable = file?.durable ?? 0
  disk.crash(processCrash)
  if (file !== undefined) Object.assign(disk.files.get(newestSegment(disk)) ?? {}, { durable })
  const again = open(disk)
  t.equal(again.log.lastIndex, 2)
  disk.crash(powerCut)
  t.same(contentOf(open(disk)), ['1/1 entry 1', '2/1 entry 2'])
})

t.test('restarts without writes leave no pile of files', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), [anEntry(1)], aHardState())
  for (let i = 0; i < 20; i++) {
    disk.crash(powerCut)
    t.same(contentOf(open(disk)), ['1/1 entry 1'])
  }
  t.ok(disk.list().length <= 3, `${disk.list()}`)
})

t.test('a crash between any two steps of opening loses nothing', async (t) => {
  for (let steps = 0; steps < 12; steps++) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    append(disk, storage, someEntries(1, 3), aHardState({ vote: 'c' }))
    disk.crash(powerCut)
    openStorage(storageOptions(disk), () => {})
    disk.run(steps)
    disk.crash(steps % 2 === 0 ? powerCut : processCrash)
    const again = open(disk)
    t.same(contentOf(again), ['1/1 entry 1', '2/1 entry 2', '3/1 entry 3'], `${steps} steps`)
    t.equal(again.restored.hardState.vote, 'c')
  }
})

t.test('segments rotate, and compaction drops whole ones', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  for (let i = 1; i <= 100; i++) append(disk, storage, [anEntry(i, 1, 'x'.repeat(200))])
  const segments = disk.list().filter((name) => name.startsWith('log-')).length
  t.ok(segments > 5, `${segments} segments`)
  storage.log.compact(50)
  disk.run()
  t.ok(storage.log.firstIndex > 1 && storage.log.firstIndex <= 51)
  t.same(storage.log.entries(1, 3, 1000), [])
  t.equal(storage.log.entries(51, 100, 1e9).length, 50)
  t.ok(disk.list().filter((name) => name.startsWith('log-')).length < segments)
  disk.crash(powerCut)
  const refused = tryOpen(disk)
  t.type(refused, DamagedLogError, 'without a snapshot the dropped entries are missing')
})

t.test(
  'entries are cut by what each counts as, but there is always one (simulation seed 1)',
  async (t) => {
    const disk = new MemoryDisk()
    const storage = open(disk, { segmentBytesMax: 1 << 20 })
    append(
      disk,
      storage,
      someEntries(1, 50).map((e) => anEntry(e.index, 1, 'x'.repeat(100))),
    )
    append(
      disk,
      storage,
      someEntries(51, 60).map((e) => anEntry(e.index, 1, 'x'.repeat(100))),
    )
    t.equal(storage.log.entries(10, 60, 1).length, 1)
    t.equal(storage.log.entries(10, 60, 10 * (100 + 32)).length, 10)
    t.same(
      storage.log.entries(48, 60, 5 * (100 + 32)).map((e) => e.index),
      [48, 49, 50, 51, 52],
    )
  },
)

t.test('after a failed flush nothing is written any more', async (t) => {
  for (const operation of ['append', 'sync'] as const) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    append(disk, storage, [anEntry(1)])
    const full = new DiskError('FULL', 'no space left')
    disk.fault = (at) => {
      if (at === operation) throw full
    }
    const results: (Error | undefined)[] = []
    storage.log.append({ entries: [anEntry(2)] }, (err) => results.push(err))
    storage.log.append({ entries: [anEntry(3)] }, (err) => results.push(err))
    disk.run()
    t.equal(results[0], full)
    t.type(results[1], LogFailedError)
    disk.fault = () => {}
    const size = disk.size(newestSegment(disk))
    t.type(append(disk, storage, [anEntry(2)]), LogFailedError)
    t.equal(disk.size(newestSegment(disk)), size)
    t.equal(storage.log.lastIndex, 1, 'only what is durable counts')
    t.type(close(disk, storage), Error)
    disk.crash(powerCut)
    t.equal(contentOf(open(disk))[0], '1/1 entry 1')
  }
})

t.test('a full disk at rotation fails the append and keeps the rest', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk, { segmentBytesMax: 600 })
  append(disk, storage, [anEntry(1, 1, 'x'.repeat(400))])
  disk.fault = (at) => {
    if (at === 'create') throw new DiskError('FULL', 'no space left')
  }
  t.type(append(disk, storage, [anEntry(2, 1, 'x'.repeat(400))]), DiskError)
  disk.fault = () => {}
  disk.crash(powerCut)
  t.equal(open(disk).log.lastIndex, 1)
})

t.test('opening on a full disk fails and changes nothing', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), someEntries(1, 3))
  disk.crash(powerCut)
  disk.fault = (at) => {
    if (at === 'append') throw new DiskError('FULL', 'no space left')
  }
  t.type(tryOpen(disk), DiskError)
  disk.fault = () => {}
  disk.crash(powerCut)
  t.equal(open(disk).log.lastIndex, 3)
})

t.test('the wrong key and another group are refused clearly', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), [anEntry(1)])
  disk.crash(powerCut)
  t.type(tryOpen(disk, { kek: { id: 'test', key: new Uint8Array(32) } }), WrongKeyError)
  t.type(tryOpen(disk, { group: 'other' }), ForeignLogError)
  t.equal(open(disk).log.lastIndex, 1)
})

t.test('files of a newer format are refused, not taken for damage', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), [anEntry(1)])
  disk.crash(powerCut)
  /** Raises the format version behind the eight bytes of magic and mends the checksum. */
  const raise = (name: string, crcAt: number): MemoryDisk => {
    const copy = disk.copy()
    const bytes = copy.files.get(name)?.bytes ?? Buffer.alloc(0)
    bytes.writeUInt16BE(3, 8)
    bytes.writeUInt32BE(crc32(bytes.subarray(0, crcAt)), crcAt)
    return copy
  }
  const meta = raise('meta', disk.size('meta') - 4)
  t.type(tryOpen(meta), ForeignLogError)
  t.type(tryOpen(meta, { repair: true }), ForeignLogError, 'repair does not touch it')
  t.type(tryOpen(raise(newestSegment(disk), 68)), ForeignLogError)
})

t.test('a log that was closed in order and shortened since is refused', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, [anEntry(1)])
  const length = disk.size(newestSegment(disk))
  append(disk, storage, [anEntry(2)])
  t.equal(close(disk, storage), undefined)
  disk.truncate(newestSegment(disk), length)
  t.type(tryOpen(disk), DamagedLogError)
})

t.test('a log shorter than what its hard state says is committed is refused', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, [anEntry(1)], aHardState({ commit: 1 }))
  append(disk, storage, [], aHardState({ commit: 2 }))
  disk.crash(powerCut)
  t.match(tryOpen(disk), { name: 'DamagedLogError', reason: /ends at entry 1.*up to 2/ })
})

t.test('a log shorter than when its next segment was begun is refused', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 3))
  const short = disk.size(newestSegment(disk))
  append(disk, storage, someEntries(4, 6))
  storage.log.append({ entries: [anEntry(7, 1, 'x'.repeat(5000))] }, () => t.fail('not durable'))
  // The next segment is there, and its header durable, but nothing in it.
  while (disk.list().filter((name) => name.startsWith('log-')).length < 2) disk.run(1)
  disk.run(2)
  disk.crash(powerCut)
  t.equal(disk.size(newestSegment(disk)), 72)
  t.equal(open(disk.copy()).log.lastIndex, 6)
  const [older] = disk.list().filter((name) => name.startsWith('log-'))
  disk.truncate(older ?? '', short)
  t.match(tryOpen(disk), { name: 'DamagedLogError', reason: /when the next segment was begun/ })
})

t.test('what is short, blank or flipped when it is read is noticed then', async (t) => {
  const harms = [
    (disk: MemoryDisk, name: string) => disk.flip(name, (72 + 100) * 8),
    (disk: MemoryDisk, name: string) => disk.truncate(name, 72 + 60),
    (disk: MemoryDisk, name: string) => disk.truncate(name, 72),
    // A write that the device said was done and never did.
    (disk: MemoryDisk, name: string) => disk.files.get(name)?.bytes.fill(0, 72, 400),
    // Another record, sound in itself, at the same place.
    (disk: MemoryDisk, name: string) => {
      const bytes = disk.files.get(name)?.bytes
      const next = bytes?.indexOf('rRec', 73) ?? 0
      bytes?.copy(bytes, 72, next)
    },
  ]
  for (const harm of harms) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    append(disk, storage, someEntries(1, 5))
    append(disk, storage, someEntries(6, 9))
    harm(disk, newestSegment(disk))
    t.throws(() => storage.log.entries(1, 5, 1e6), { name: 'DamagedLogError' })
  }
})

t.test('a missing meta file or a missing segment is damage', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  for (let i = 1; i <= 60; i++) append(disk, storage, [anEntry(i, 1, 'x'.repeat(200))])
  disk.crash(powerCut)
  const names = disk
    .list()
    .filter((name) => name.startsWith('log-'))
    .sort()
  for (const name of ['meta', ...names.slice(0, -1)]) {
    const file = disk.files.get(name)
    disk.files.delete(name)
    t.type(tryOpen(disk), DamagedLogError, name)
    if (file !== undefined) disk.files.set(name, file)
  }
  t.equal(open(disk).log.lastIndex, 60)
})

t.test('every flipped bit is noticed, or it hits what no longer counts', async (t) => {
  // Coprime to 8, so that all bits of bytes are hit; others in each run.
  const step = 31
  const begin = Math.floor(Math.random() * step)
  t.comment(`bits from ${begin}`)
  for (const isClosed of [true, false]) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    for (let i = 1; i <= 12; i++) append(disk, storage, [anEntry(i)], aHardState({ term: i }))
    const expected = contentOf(storage)
    if (isClosed) t.equal(close(disk, storage), undefined)
    else disk.crash(powerCut)
    let unnoticed = 0
    for (const name of disk.list()) {
      for (let bit = begin; bit < disk.size(name) * 8; bit += step) {
        const copy = disk.copy()
        copy.flip(name, bit)
        const result = tryOpen(copy)
        if (result instanceof Error) continue
        const isMended = name === 'vote' && result.mended !== undefined
        if (!isMended) unnoticed += 1
        if (JSON.stringify(contentOf(result)) !== JSON.stringify(expected)) {
          t.fail(`bit ${bit} of ${name} went unnoticed, closed: ${isClosed}`)
        }
      }
    }
    t.equal(unnoticed, 0, 'there is nothing that does not count')
  }
})

t.test('a new segment carries the hard state, so that older ones may go', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, [anEntry(1)], aHardState({ term: 7, vote: 'c' }))
  for (let i = 2; i <= 60; i++) append(disk, storage, [anEntry(i, 7, 'x'.repeat(300))])
  const { snapshots } = storage
  snapshots.begin({ index: 40, term: 7, conf: aConf(['c']) }, (_, draft) => {
    if (draft !== undefined) {
      snapshots.seal(draft, () => snapshots.publish(draft, () => storage.log.compact(40)))
    }
  })
  disk.run()
  t.ok(storage.log.firstIndex > 20)
  disk.crash(powerCut)
  t.match(open(disk).restored.hardState, { term: 7, vote: 'c' })
})

t.test('damage that comes while the log is open is noticed when it is read', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 5))
  append(disk, storage, someEntries(6, 9))
  disk.flip(newestSegment(disk), (72 + 60) * 8)
  t.throws(() => storage.log.entries(1, 5, 1e6), { name: 'DamagedLogError' })
  t.equal(storage.log.entries(6, 9, 1e6).length, 4)
})

t.test('repair cuts at the damage and remembers that it did', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  for (let i = 1; i <= 5; i++) append(disk, storage, [anEntry(i)], aHardState({ term: 3 }))
  disk.crash(powerCut)
  const name = newestSegment(disk)
  disk.flip(name, (disk.size(name) - 200) * 8)
  t.type(tryOpen(disk), DamagedLogError)
  const repaired = open(disk, { repair: true })
  t.type(repaired.damage, DamagedLogError)
  t.equal(repaired.restored.repairing, true)
  t.ok(repaired.log.lastIndex < 5 && repaired.log.lastIndex > 0)
  t.equal(repaired.restored.hardState.term, 3)
  disk.crash(powerCut)
  const again = open(disk)
  t.equal(again.restored.repairing, true, 'also after a restart')
  append(disk, again, someEntries(again.log.lastIndex + 1, 5))
  again.repaired((err) => t.equal(err, undefined))
  disk.run()
  disk.crash(powerCut)
  t.equal(open(disk).restored.repairing, false)
  t.equal(open(disk).log.lastIndex, 5)
})

t.test('repair without a readable meta file begins with nothing', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), someEntries(1, 5))
  disk.crash(powerCut)
  disk.flip('meta', 100)
  t.type(tryOpen(disk), DamagedLogError)
  const repaired = open(disk, { repair: true })
  t.equal(repaired.log.lastIndex, 0)
  t.equal(repaired.restored.repairing, true)
  append(disk, repaired, someEntries(1, 2))
  disk.crash(powerCut)
  t.same(contentOf(open(disk)), ['1/1 entry 1', '2/1 entry 2'])
})
