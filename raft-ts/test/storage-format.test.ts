// Directories written by earlier versions of the format: opened, read whole, written on, reopened. The
// files in test/fixtures were written by the program of that version and are never made anew.
import { readdirSync, readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { ForeignLogError } from 'raft-ts'
import t from 'tap'
import { MemoryDisk } from './support/memory-disk.ts'
import { anEntry, append, close, contentOf, open, powerCut, tryOpen } from './support/storage.ts'

const folder = new URL('../test/fixtures/', import.meta.url)
const options = {
  segmentBytesMax: 1500,
  group: 'fixture',
  kek: { id: 'fixture', key: new Uint8Array(32).fill(11) },
}

function aDisk(name: string): MemoryDisk {
  const disk = new MemoryDisk()
  const directory = new URL(`${name}/`, folder)
  for (const file of readdirSync(directory)) {
    const bytes = readFileSync(new URL(file, directory))
    disk.files.set(file, { bytes, durable: bytes.length })
  }
  return disk
}

/** The format version in a file's header. */
const formatOf = (disk: MemoryDisk, name: string): number =>
  Buffer.from(disk.read(name, 8, 2)).readUInt16BE(0)

const headed = (disk: MemoryDisk): readonly string[] =>
  disk.list().filter((name) => !name.startsWith('vote'))

for (const state of ['closed', 'torn']) {
  const name = `format-1/${state}`
  const expected = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))

  t.test(`${name}: opened, read, written on, reopened`, async (t) => {
    const disk = aDisk(name)
    t.ok(headed(disk).every((file) => formatOf(disk, file) === 1))
    const storage = open(disk, options)
    t.equal(storage.damage, undefined)
    t.equal(storage.mended, undefined, 'it had no copy of the vote, and need not')
    t.same(storage.restored.hardState, expected.hardState)
    t.same(storage.restored.confs, expected.confs)
    t.equal(storage.restored.firstIndex, expected.first)
    t.match(storage.restored.snapshot, { index: 9, term: 2 })
    t.same(contentOf(storage), expected.contents)
    const snapshot = Buffer.from(storage.snapshots.hold()?.reader.read(0) ?? []).toString()
    t.equal(snapshot, 'the state after nine entries '.repeat(40))

    const next = storage.log.lastIndex + 1
    const hardState = { term: 7, vote: 'a', commit: next - 1 }
    t.equal(append(disk, storage, [anEntry(next, 7, 'of format 2')], hardState), undefined)
    t.equal(formatOf(disk, 'meta'), 2)
    t.equal(formatOf(disk, [...headed(disk)].sort().at(-3) ?? ''), 2, 'the newest segment')
    disk.crash(powerCut)
    const again = open(disk, options)
    t.same(contentOf(again), [...expected.contents, `${next}/7 of format 2`])
    t.same(again.restored.hardState, hardState)
    t.equal(close(disk, again), undefined)
    t.same(contentOf(open(disk, options)).length, expected.contents.length + 1)
  })

  t.test(`${name}: a crash between any two steps of the upgrade loses nothing`, async (t) => {
    for (let steps = 0; steps < 30; steps++) {
      const disk = aDisk(name)
      const run = disk.run.bind(disk)
      disk.run = () => run(steps)
      const first = tryOpen(disk, options)
      disk.run = run
      disk.crash(powerCut)
      const storage = open(disk, options)
      t.same(contentOf(storage), expected.contents, `${steps} steps`)
      t.same(storage.restored.hardState, expected.hardState)
      if (!(first instanceof Error)) break
    }
  })

  t.test(`${name}: damage is still noticed`, async (t) => {
    const log = aDisk(name)
      .list()
      .filter((file) => file.startsWith('log-'))
    for (const file of log.slice(0, -1)) {
      const disk = aDisk(name)
      disk.flip(file, 200 * 8)
      t.match(tryOpen(disk, options), { name: 'DamagedLogError', file })
      t.match(tryOpen(disk, { ...options, repair: true }), { name: 'LostVoteError' })
    }
  })
}

t.test('what is written is marked as format 2, which older programs refuse', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), [anEntry(1)])
  for (const file of headed(disk)) t.equal(formatOf(disk, file), 2, file)
})

t.test('a copy of the vote in a newer format is refused, not taken for damage', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), [anEntry(1)])
  disk.crash(powerCut)
  const bytes = disk.files.get('vote')?.bytes ?? Buffer.alloc(0)
  bytes.writeUInt16BE(3, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(8, 512)), 4)
  t.type(tryOpen(disk), ForeignLogError)
  t.type(tryOpen(disk, { repair: true }), ForeignLogError)
})
