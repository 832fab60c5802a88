// Snapshots at rest: complete or absent, checked when read, and in step with the log.
import { createHash } from 'node:crypto'
import { DamagedLogError, DiskError, type SnapshotMeta, type Storage } from 'raft-ts'
import t from 'tap'
import { MemoryDisk } from './support/memory-disk.ts'
import {
  aConf,
  aHardState,
  anEntry,
  append,
  contentOf,
  open,
  powerCut,
  someEntries,
  tryOpen,
} from './support/storage.ts'

const aMeta = (index: number, term = 1): SnapshotMeta => ({
  index,
  term,
  conf: aConf(['a', 'b', 'c']),
})

/** Deterministic bytes that no chunk repeats. */
const someBytes = (length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32BE((at * 2654435761) >>> 0, at)
  return bytes
}

/** Saves a snapshot in pieces of `pieceBytes`; returns the first error. */
function save(
  disk: MemoryDisk,
  storage: Storage,
  meta: SnapshotMeta,
  { content, pieceBytes }: { readonly content: Buffer; readonly pieceBytes: number },
): Error | undefined {
  let result: Error | undefined = new Error('saving never ended')
  const { snapshots } = storage
  snapshots.begin(meta, (beginErr, draft) => {
    if (draft === undefined) {
      result = beginErr
      return
    }
    const next = (at: number): void => {
      if (at < content.length) {
        const piece = content.subarray(at, at + pieceBytes)
        draft.writer.write(piece, (err) => {
          if (err !== undefined) result = err
          else next(at + piece.length)
        })
        return
      }
      snapshots.seal(draft, (err) => {
        result = err
        if (err === undefined) {
          snapshots.publish(draft, (publishErr) => {
            result = publishErr
          })
        }
      })
    }
    next(0)
  })
  disk.run()
  return result
}

function load(storage: Storage): Buffer {
  const held = storage.snapshots.hold()
  if (held === undefined) throw new Error('no snapshot')
  const pieces: Uint8Array[] = []
  for (let at = 0; at < held.reader.totalBytes; at += (pieces.at(-1) as Uint8Array).length) {
    pieces.push(held.reader.read(at))
  }
  held.release()
  return Buffer.concat(pieces)
}

t.test('a snapshot of any size and any pieces reads back, also after a power cut', async (t) => {
  const chunk = 256 * 1024
  for (const [length, pieceBytes] of [
    [0, 10],
    [1, 10],
    [1000, 7],
    [chunk, 100_000],
    [chunk + 1, chunk * 3],
    [chunk * 5 + 123, 70_001],
    [chunk * 20, chunk * 30],
  ] as const) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    append(disk, storage, someEntries(1, 10), aHardState({ commit: 10 }))
    const content = someBytes(length)
    t.equal(save(disk, storage, aMeta(8), { content, pieceBytes }), undefined)
    t.ok(load(storage).equals(content))
    disk.crash(powerCut)
    const again = open(disk)
    t.same(again.restored.snapshot, aMeta(8))
    t.equal(again.restored.lastIndex, 10)
    t.ok(load(again).equals(content))
    const held = again.snapshots.hold()
    t.equal(held?.reader.hash, createHash('sha256').update(content).digest('hex'))
    t.equal(held?.reader.read(length).length, 0)
    if (length > 100)
      t.ok(Buffer.from(held?.reader.read(99) ?? []).equals(content.subarray(99, chunk)))
  }
})

t.test('an unfinished snapshot is gone after a crash', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ commit: 10 }))
  storage.snapshots.begin(aMeta(8), (_, draft) => draft?.writer.write(someBytes(1e6), () => {}))
  disk.run()
  disk.crash({ keep: (_, unsynced) => unsynced })
  const again = open(disk)
  t.equal(again.restored.snapshot, undefined)
  t.notOk(disk.list().some((name) => name.startsWith('snapshot')))
})

t.test('a failing disk fails the snapshot, and the older one stays', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ commit: 10 }))
  save(disk, storage, aMeta(5), { content: someBytes(10), pieceBytes: 10 })
  for (const operation of ['append', 'sync', 'rename', 'create']) {
    disk.fault = (at, name) => {
      if (at === operation && name.startsWith('snapshot')) throw new DiskError('FULL', 'full')
    }
    t.type(save(disk, storage, aMeta(9), { content: someBytes(10), pieceBytes: 10 }), DiskError)
    disk.fault = () => {}
    t.same(storage.snapshots.newest, aMeta(5))
  }
  t.equal(save(disk, storage, aMeta(9), { content: someBytes(12), pieceBytes: 10 }), undefined)
  t.same(storage.snapshots.newest, aMeta(9))
  t.equal(disk.list().filter((name) => /^snapshot-/.test(name)).length, 1, 'older ones are removed')
})

t.test('a snapshot that is being read stays until it is released', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ commit: 10 }))
  const content = someBytes(600_000)
  save(disk, storage, aMeta(5), { content, pieceBytes: 1e6 })
  const held = storage.snapshots.hold()
  save(disk, storage, aMeta(6), { content: someBytes(5), pieceBytes: 10 })
  t.ok(Buffer.from(held?.reader.read(0) ?? []).equals(content.subarray(0, 256 * 1024)))
  held?.release()
  held?.release()
  save(disk, storage, aMeta(7), { content: someBytes(5), pieceBytes: 10 })
  t.equal(disk.list().filter((name) => /^snapshot-/.test(name)).length, 1)
})

t.test('a snapshot that is published late does not displace a newer one', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ commit: 10 }))
  const content = someBytes(600)
  save(disk, storage, aMeta(9), { content, pieceBytes: 100 })
  save(disk, storage, aMeta(6), { content: someBytes(5), pieceBytes: 10 })
  t.equal(storage.snapshots.newest?.index, 9)
  t.ok(load(storage).equals(content))
  t.equal(disk.list().filter((name) => /^snapshot-/.test(name)).length, 1)
})

t.test('after a snapshot the log may be compacted and reopens', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  for (let i = 1; i <= 100; i++) {
    append(disk, storage, [anEntry(i, 1, 'x'.repeat(200))], aHardState({ commit: i }))
  }
  save(disk, storage, aMeta(60), { content: someBytes(10), pieceBytes: 10 })
  storage.log.compact(60)
  disk.run()
  disk.crash(powerCut)
  const again = open(disk)
  t.ok(again.restored.firstIndex > 40 && again.restored.firstIndex <= 61)
  t.equal(again.restored.lastIndex, 100)
  t.equal(again.log.term(60), 1)
  t.equal(contentOf(again).at(-1)?.slice(0, 6), '100/1 ')
  const name = disk.list().find((file) => file.startsWith('snapshot-')) ?? ''
  disk.files.delete(name)
  t.type(tryOpen(disk), DamagedLogError, 'without its snapshot the log is not whole')
})

t.test('truncation across a compacted segment keeps the log readable', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk, { segmentBytesMax: 1500 })
  append(disk, storage, someEntries(1, 9), aHardState({ commit: 4 }))
  append(disk, storage, [anEntry(10, 1, 'x'.repeat(1300))])
  append(disk, storage, [anEntry(5, 2, 'y'.repeat(1300))], aHardState({ term: 2, commit: 4 }))
  append(disk, storage, [anEntry(6, 2, 'z')])
  save(disk, storage, aMeta(4), { content: someBytes(10), pieceBytes: 10 })
  storage.log.compact(4)
  disk.run()
  disk.crash(powerCut)
  const again = open(disk)
  t.equal(again.restored.lastIndex, 6)
  t.equal(again.log.term(5), 2)
  t.equal(again.log.entries(5, 6, 1e6).length, 2)
})

t.test('a received snapshot replaces the log, at any point a crash may come', async (t) => {
  for (const isMarked of [false, true]) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    append(disk, storage, someEntries(1, 10), aHardState({ commit: 3 }))
    save(disk, storage, aMeta(50, 4), { content: someBytes(10), pieceBytes: 10 })
    if (isMarked) {
      storage.log.append(
        {
          base: { index: 50, term: 4 },
          hardState: aHardState({ term: 4, commit: 50 }),
          entries: [],
        },
        () => {},
      )
      disk.run()
      append(disk, storage, [anEntry(51, 4)])
    }
    disk.crash(powerCut)
    const again = open(disk)
    t.equal(again.restored.firstIndex, 51)
    t.equal(again.restored.lastIndex, isMarked ? 51 : 50)
    t.equal(again.restored.hardState.term, 4)
    t.equal(again.log.term(50), 4)
    append(disk, again, [anEntry(isMarked ? 52 : 51, 4, 'next')])
    disk.crash(powerCut)
    t.equal(contentOf(open(disk)).at(-1), `${isMarked ? 52 : 51}/4 next`)
  }
})

t.test('a snapshot that conflicts with the log wins', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ commit: 3 }))
  save(disk, storage, aMeta(7, 3), { content: someBytes(10), pieceBytes: 10 })
  disk.crash(powerCut)
  const again = open(disk)
  t.equal(again.restored.lastIndex, 7)
  t.equal(again.log.term(7), 3)
})

t.test('every flipped bit of a snapshot is noticed', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ commit: 10 }))
  const content = someBytes(700)
  save(disk, storage, aMeta(8), { content, pieceBytes: 100 })
  disk.crash(powerCut)
  const name = disk.list().find((file) => file.startsWith('snapshot-')) ?? ''
  for (let bit = 0; bit < disk.size(name) * 8; bit += 3) {
    disk.flip(name, bit)
    const noticed = ((): boolean => {
      const result = tryOpen(disk)
      if (result instanceof DamagedLogError) return true
      if (result instanceof Error) throw result
      try {
        return !load(result).equals(content) && false
      } catch (err) {
        return err instanceof DamagedLogError
      }
    })()
    t.ok(noticed, `bit ${bit}`)
    disk.flip(name, bit)
  }
})

t.test('what is short, blank or exchanged in a snapshot is noticed when it is read', async (t) => {
  const harms = [
    (bytes: Buffer) => bytes.fill(0, 300, 700),
    (bytes: Buffer) => bytes.fill(0, bytes.length - 60),
    (bytes: Buffer) => {
      // The second chunk in the place of the first: both sound, in the wrong order.
      const chunk = 256 * 1024 + 60
      const first = bytes.indexOf('rRec', bytes.indexOf('rRec') + 4)
      bytes.copy(bytes, first, first + chunk, first + 2 * chunk)
    },
  ]
  for (const harm of harms) {
    const disk = new MemoryDisk()
    const storage = open(disk)
    append(disk, storage, someEntries(1, 10), aHardState({ commit: 10 }))
    save(disk, storage, aMeta(8), { content: someBytes(600_000), pieceBytes: 1e6 })
    const name = disk.list().find((file) => file.startsWith('snapshot-')) ?? ''
    harm(disk.files.get(name)?.bytes ?? Buffer.alloc(0))
    // Its end was read when it was published.
    const isNoticed = ((): boolean => {
      try {
        load(storage)
        return false
      } catch (err) {
        return err instanceof DamagedLogError
      }
    })()
    const atOpen = tryOpen(disk)
    t.ok(isNoticed || atOpen instanceof DamagedLogError)
    t.equal(open(disk, { repair: true }).restored.repairing, true)
  }
})

t.test('repair of a damaged snapshot begins with nothing but the term', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ term: 6, vote: 'b', commit: 10 }))
  save(disk, storage, aMeta(8), { content: someBytes(700), pieceBytes: 100 })
  disk.crash(powerCut)
  const name = disk.list().find((file) => file.startsWith('snapshot-')) ?? ''
  disk.truncate(name, 500)
  t.type(tryOpen(disk), DamagedLogError)
  const repaired = open(disk, { repair: true })
  t.equal(repaired.restored.lastIndex, 0)
  t.equal(repaired.restored.repairing, true)
  t.same(repaired.restored.hardState, { term: 6, vote: 'b', commit: 0 })
})

t.test('repair looks into a snapshot, not only at its ends', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ term: 6, vote: 'b', commit: 10 }))
  save(disk, storage, aMeta(8), { content: someBytes(700), pieceBytes: 100 })
  disk.crash(powerCut)
  const name = disk.list().find((file) => file.startsWith('snapshot-')) ?? ''
  disk.flip(name, (disk.size(name) / 2) * 8)
  t.throws(() => load(open(disk.copy())), DamagedLogError)
  t.equal(open(disk, { repair: true }).restored.repairing, true)
})
