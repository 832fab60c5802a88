// Rotation of the data key and of the key-encryption key of an open log: nothing stops, nothing is lost
// at any crash, a key never seals twice with one nonce, and goes when nothing needs it any more.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DamagedLogError,
  type Done,
  type KeyEncryptionKey,
  openKeyFile,
  openStorage,
  rotateKeyFile,
  type Storage,
  settleKeyFile,
  systemRandomBytes,
  WrongKeyError,
} from 'raft-ts'
import t, { type Test } from 'tap'
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
  testKek,
  tryOpen,
} from './support/storage.ts'

const aKek = (fill: number): KeyEncryptionKey => ({
  id: 'test',
  key: new Uint8Array(32).fill(fill),
})

const names = (disk: MemoryDisk, prefix: string): readonly string[] =>
  disk
    .list()
    .filter((name) => name.startsWith(prefix))
    .sort()

/** The data key that a segment or snapshot names in its header. */
const keyIdOf = (disk: MemoryDisk, name: string): number =>
  Buffer.from(disk.read(name, 10, 2)).readUInt16BE(0)

/** Numbers of the data keys in the meta file: all that can open anything. */
function storedKeyIds(disk: MemoryDisk): readonly number[] {
  const bytes = Buffer.from(disk.read('meta', 0, disk.size('meta')))
  const group = bytes.readUInt32BE(10)
  let at = 14 + group + 4
  const count = bytes.readUInt16BE(at)
  at += 2
  return Array.from({ length: count }, () => {
    const keyId = bytes.readUInt16BE(at)
    at += 2
    for (let field = 0; field < 3; field++) at += 4 + bytes.readUInt32BE(at)
    return keyId
  })
}

function settled(disk: MemoryDisk, run: (done: Done) => void): Error | undefined {
  let result: Error | undefined = new Error('it never ended')
  run((err) => {
    result = err
  })
  disk.run()
  return result
}

function snapshot(disk: MemoryDisk, storage: Storage, index: number): void {
  const { snapshots } = storage
  snapshots.begin({ index, term: 1, conf: aConf(['a']) }, (_, draft) => {
    if (draft === undefined) throw new Error('no draft')
    snapshots.seal(draft, () => snapshots.publish(draft, () => storage.log.compact(index)))
  })
  disk.run()
}

t.test('a fresh data key seals the next segment and the next snapshot', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 3), aHardState({ commit: 3 }))
  t.equal(
    settled(disk, (done) => storage.rotateDataKey(done)),
    undefined,
  )
  t.same(storedKeyIds(disk), [1, 2])
  append(disk, storage, [anEntry(4)])
  t.same(
    names(disk, 'log-').map((name) => keyIdOf(disk, name)),
    [1, 2],
  )
  snapshot(disk, storage, 2)
  t.equal(keyIdOf(disk, names(disk, 'snapshot-')[0] ?? ''), 2)
  t.same(contentOf(storage), ['1/1 entry 1', '2/1 entry 2', '3/1 entry 3', '4/1 entry 4'])
  disk.crash(powerCut)
  const again = open(disk)
  t.same(contentOf(again).at(-1), '4/1 entry 4')
  append(disk, again, [anEntry(5)])
  t.equal(keyIdOf(disk, names(disk, 'log-').at(-1) ?? ''), 2, 'also after a restart')
})

t.test('an older key goes with the last file that needs it', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 10), aHardState({ commit: 10 }))
  snapshot(disk, storage, 5)
  settled(disk, (done) => storage.rotateDataKey(done))
  append(disk, storage, [anEntry(11)])
  storage.log.compact(10)
  disk.run()
  t.same(storedKeyIds(disk), [1, 2], 'the snapshot still needs the first')
  const held = storage.snapshots.hold()
  append(disk, storage, [], aHardState({ commit: 11 }))
  snapshot(disk, storage, 11)
  t.same(storedKeyIds(disk), [1, 2], 'and is being read')
  t.equal(held?.reader.read(0).length, 0)
  held?.release()
  append(disk, storage, [anEntry(12)], aHardState({ commit: 12 }))
  snapshot(disk, storage, 12)
  t.same(storedKeyIds(disk), [2])
  settled(disk, (done) => storage.rotateDataKey(done))
  t.same(storedKeyIds(disk), [2, 3])
  disk.crash(powerCut)
  t.same(contentOf(open(disk)).at(-1), '12/1 entry 12')
})

t.test('appends under way go on through a rotation, in order', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  const order: number[] = []
  let rotations = 0
  for (let i = 1; i <= 200; i++) {
    storage.log.append({ entries: [anEntry(i)] }, (err) => {
      if (err === undefined) order.push(i)
    })
    if (i % 20 === 0) {
      storage.rotateDataKey((err) => {
        if (err === undefined) rotations += 1
      })
    }
    disk.run(i % 7)
  }
  disk.run()
  t.equal(rotations, 10)
  t.same(
    order,
    Array.from({ length: 200 }, (_, i) => i + 1),
  )
  disk.crash(powerCut)
  t.equal(contentOf(open(disk)).length, 200)
})

t.test('a crash between any two steps of a rotation loses nothing', async (t) => {
  for (const kind of ['data', 'kek', 'both'] as const) {
    for (let steps = 0; steps < 40; steps++) {
      const disk = new MemoryDisk()
      const storage = open(disk)
      append(disk, storage, someEntries(1, 6), aHardState({ commit: 6, vote: 'a' }))
      snapshot(disk, storage, 4)
      const fresh = aKek(9)
      if (kind !== 'kek') storage.rotateDataKey(() => {})
      if (kind !== 'data') storage.rewrap(fresh, () => {})
      let acknowledged = 6
      storage.log.append({ entries: [anEntry(7)] }, () => {
        acknowledged = 7
      })
      disk.run(steps)
      storage.log.append({ entries: [anEntry(8)] }, () => {
        acknowledged = 8
      })
      disk.run(3)
      disk.crash(steps % 2 === 0 ? powerCut : processCrash)
      const again = open(disk, { otherKeks: [fresh] })
      t.ok(again.log.lastIndex >= acknowledged, `${kind}, ${steps} steps`)
      t.equal(contentOf(again)[0], '1/1 entry 1')
      t.equal(again.restored.snapshot?.index, 4)
      append(disk, again, [anEntry(again.log.lastIndex + 1)])
      disk.crash(powerCut)
      t.ok(contentOf(open(disk, { otherKeks: [fresh] })).length > acknowledged)
    }
  }
})

t.test('all keys are wrapped anew: the new one opens the log, and not the old', async (t) => {
  const disk = new MemoryDisk()
  const storage = open(disk)
  append(disk, storage, someEntries(1, 3))
  settled(disk, (done) => storage.rotateDataKey(done))
  append(disk, storage, [anEntry(4)])
  t.same(storage.kek, testKek)
  t.equal(
    settled(disk, (done) => storage.rewrap(aKek(9), done)),
    undefined,
  )
  t.same(storage.kek, aKek(9))
  append(disk, storage, [anEntry(5)])
  settled(disk, (done) => storage.rotateDataKey(done))
  append(disk, storage, [anEntry(6)])
  t.equal(close(disk, storage), undefined)
  t.type(tryOpen(disk), WrongKeyError)
  t.type(tryOpen(disk, { otherKeks: [aKek(1), aKek(2)] }), WrongKeyError)
  t.type(tryOpen(disk, { repair: true }), WrongKeyError, 'which is told from damage')
  t.equal(contentOf(open(disk, { kek: aKek(9) })).length, 6)
})

t.test('of several keys the one that fits opens', async (t) => {
  const disk = new MemoryDisk()
  append(disk, open(disk), [anEntry(1)])
  disk.crash(powerCut)
  const storage = open(disk, { kek: aKek(1), otherKeks: [aKek(2), testKek] })
  t.same(storage.kek, testKek)
})

t.test('no nonce comes twice under one key', async (t) => {
  const disk = new MemoryDisk()
  const seen = new Map<string, string>()
  /** Every record of every file: its key, its nonce, its bytes. */
  const look = (): void => {
    for (const name of [...names(disk, 'log-'), ...names(disk, 'snapshot-')]) {
      const bytes = Buffer.from(disk.read(name, 0, disk.size(name)))
      const magic = Buffer.from([0x72, 0x52, 0x65, 0x63])
      for (let at = bytes.indexOf(magic); at !== -1; at = bytes.indexOf(magic, at + 1)) {
        const nonce = `${keyIdOf(disk, name)} ${bytes.subarray(at + 16, at + 28).toString('hex')}`
        const where = `${name} ${at}`
        const before = seen.get(nonce)
        if (before !== undefined && before !== where) t.fail(`${nonce} at ${before} and ${where}`)
        seen.set(nonce, where)
      }
    }
  }
  let next = 1
  for (let life = 0; life < 6; life++) {
    const storage = open(disk)
    for (let i = 0; i < 10; i++) {
      append(disk, storage, [anEntry(next)], aHardState({ commit: next }))
      next += 1
      if (i % 4 === life % 4) settled(disk, (done) => storage.rotateDataKey(done))
      if (i === 5) snapshot(disk, storage, next - 2)
      look()
    }
    disk.crash(powerCut)
  }
  t.ok(seen.size > 60, `${seen.size} records`)
})

t.test('a rotation on a failing disk changes nothing that counts, and stops the log', async (t) => {
  for (const operation of ['create', 'append', 'sync', 'rename']) {
    for (const rotate of [
      (storage: Storage, done: Done) => storage.rotateDataKey(done),
      (storage: Storage, done: Done) => storage.rewrap(aKek(9), done),
    ]) {
      const disk = new MemoryDisk()
      const storage = open(disk)
      append(disk, storage, someEntries(1, 3))
      disk.fault = (at, name) => {
        if (at === operation && name === 'meta.new') throw new Error('the device failed')
      }
      t.match(
        settled(disk, (done) => rotate(storage, done)),
        { message: 'the device failed' },
      )
      disk.fault = () => {}
      t.match(append(disk, storage, [anEntry(4)]), { name: 'LogFailedError' })
      t.match(
        settled(disk, (done) => rotate(storage, done)),
        { name: 'LogFailedError' },
      )
      disk.crash(powerCut)
      t.equal(contentOf(open(disk, { otherKeks: [aKek(9)] })).length, 3)
    }
  }
})

function aKeyPath(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'raft-ts-keys-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'key')
}

/** Runs the disk in memory while the key file on the real one is exchanged. */
async function rotate(path: string, disk: MemoryDisk, storage: Storage): Promise<void> {
  const timer = setInterval(() => disk.run(), 1)
  try {
    await rotateKeyFile(path, storage, systemRandomBytes)
  } finally {
    clearInterval(timer)
  }
}

t.test('the key file is exchanged with the log', async (t) => {
  const path = aKeyPath(t)
  const disk = new MemoryDisk()
  const first = openKeyFile(path, systemRandomBytes)
  t.same(first.otherKeks, [])
  const storage = open(disk, first)
  append(disk, storage, someEntries(1, 3))
  await rotate(path, disk, storage)
  const second = openKeyFile(path, systemRandomBytes)
  t.same(second.otherKeks, [])
  t.not(Buffer.from(second.kek.key).equals(first.kek.key), true)
  disk.crash(powerCut)
  t.type(tryOpen(disk, first), WrongKeyError)
  t.equal(contentOf(open(disk, second)).length, 3)
})

t.test('a crash between any two steps of the exchange locks nobody out', async (t) => {
  const path = aKeyPath(t)
  for (const isRewrapped of [false, true]) {
    const disk = new MemoryDisk()
    rmSync(path, { force: true })
    const storage = open(disk, openKeyFile(path, systemRandomBytes))
    append(disk, storage, someEntries(1, 3))
    const stopped = {
      kek: storage.kek,
      rewrap: (kek: KeyEncryptionKey, done: Done) => {
        if (isRewrapped) storage.rewrap(kek, () => {})
        disk.run()
        done(new Error('stopped here'))
      },
    }
    await t.rejects(rotateKeyFile(path, stopped, systemRandomBytes), { message: 'stopped here' })
    t.ok(existsSync(`${path}.next`))
    const next = readFileSync(`${path}.next`, 'utf8')
    disk.crash(powerCut)
    const both = openKeyFile(path, systemRandomBytes)
    t.equal(both.otherKeks.length, 1)
    const again = open(disk, both)
    t.equal(contentOf(again).length, 3)
    await settleKeyFile(path, again.kek)
    t.notOk(existsSync(`${path}.next`))
    t.equal(readFileSync(path, 'utf8') === next, isRewrapped, 'the key that opens is the one left')
    await rotate(path, disk, again)
    disk.crash(powerCut)
    t.equal(contentOf(open(disk, openKeyFile(path, systemRandomBytes))).length, 3)
  }
})

t.test('an exchange never overwrites the key of one whose last step failed', async (t) => {
  const path = aKeyPath(t)
  const disk = new MemoryDisk()
  const storage = open(disk, openKeyFile(path, systemRandomBytes))
  append(disk, storage, [anEntry(1)])
  const text = `${Buffer.alloc(32, 9).toString('hex')}\n`
  writeFileSync(`${path}.next`, text)
  settled(disk, (done) => storage.rewrap(aKek(9), done))
  const stopped = {
    kek: storage.kek,
    rewrap: (kek: KeyEncryptionKey, done: Done) =>
      kek === storage.kek ? done() : done(new Error('stopped here')),
  }
  await t.rejects(rotateKeyFile(path, stopped, systemRandomBytes))
  t.equal(readFileSync(path, 'utf8'), text)
  disk.crash(powerCut)
  t.equal(contentOf(open(disk, openKeyFile(path, systemRandomBytes))).length, 1)
})

t.test('after a failed exchange both keys stay, however often it is tried', async (t) => {
  const path = aKeyPath(t)
  const disk = new MemoryDisk()
  const storage = open(disk, openKeyFile(path, systemRandomBytes))
  append(disk, storage, [anEntry(1)])
  disk.fault = (operation, name) => {
    if (operation === 'rename' && name === 'meta.new') throw new Error('the device failed')
  }
  for (let i = 0; i < 3; i++) await t.rejects(rotate(path, disk, storage))
  t.ok(existsSync(`${path}.next`))
  disk.fault = () => {}
  disk.crash(powerCut)
  const again = open(disk, openKeyFile(path, systemRandomBytes))
  await settleKeyFile(path, again.kek)
  t.equal(contentOf(again).length, 1)
})

t.test('a key file that cannot be exchanged is said', async (t) => {
  const path = aKeyPath(t)
  writeFileSync(`${path}.next`, 'no key')
  t.throws(() => openKeyFile(path, systemRandomBytes), { message: /key\.next does not hold 64/ })
  const nowhere = join(path, 'below', 'a-file')
  const storage = { kek: testKek, rewrap: (_: KeyEncryptionKey, done: Done) => done() }
  await t.rejects(rotateKeyFile(nowhere, storage, systemRandomBytes), { name: 'DiskError' })
})

t.test(
  'a repair that lost the keys goes on after a crash between any two of its steps (simulation seed 241617663870)',
  async (t) => {
    let interrupted = 0
    // Other keys than before.
    const repair = { repair: true, randomBytes: systemRandomBytes }
    for (let steps = 0; steps < 40; steps++) {
      const disk = new MemoryDisk()
      const storage = open(disk)
      // Nothing is sealed with the first key, as after a compaction.
      storage.rotateDataKey(() => {})
      disk.run()
      append(disk, storage, someEntries(1, 5))
      disk.crash(powerCut)
      disk.flip('meta', 100)
      openStorage(storageOptions(disk, repair), () => {})
      disk.run(steps)
      disk.crash(powerCut)
      const again = tryOpen(disk)
      if (again instanceof Error) {
        t.type(again, DamagedLogError, `${steps} steps`)
        interrupted += 1
      }
      disk.crash(powerCut)
      const repaired = open(disk, repair)
      t.equal(repaired.restored.repairing, true)
      t.equal(repaired.log.lastIndex, 0)
    }
    t.ok(interrupted > 2, `${interrupted} times in the middle`)
  },
)
