// The machine's own disk and the key file: what the Disk contract promises, on a real directory.
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Disk,
  DiskError,
  type DiskFile,
  openNodeDisk,
  readOrCreateKeyFile,
  systemRandomBytes,
} from 'raft-ts'
import t, { type Test } from 'tap'

function aDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'raft-ts-disk-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const created = (disk: Disk, name: string): Promise<DiskFile> =>
  new Promise((resolve, reject) => {
    disk.create(name, (err, file) => (file === undefined ? reject(err) : resolve(file)))
  })

const settled = (run: (done: (err?: Error) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    run((err) => (err === undefined ? resolve() : reject(err)))
  })

t.test('files are created, appended to in order, read, renamed and removed', async (t) => {
  const directory = join(aDirectory(t), 'made', 'on', 'the', 'way')
  const disk = openNodeDisk(directory)
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.same(disk.list(), [])
  const file = await created(disk, 'one')
  const order: number[] = []
  for (let i = 0; i < 10; i++) file.append(Buffer.from(`${i},`), () => order.push(i))
  await settled((done) => file.sync(done))
  t.same(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await settled((done) => file.close(done))
  t.equal(disk.size('one'), 20)
  t.equal(Buffer.from(disk.read('one', 4, 4)).toString(), '2,3,')
  t.equal(disk.read('one', 18, 100).length, 2)
  t.equal(disk.read('one', 50, 10).length, 0)
  await settled((done) => disk.rename('one', 'two', done))
  t.same(disk.list(), ['two'])
  await settled((done) => disk.remove('two', done))
  await settled((done) => disk.remove('two', done))
  t.same(disk.list(), [])
})

t.test('a journal grows in steps of zeros, and its appends follow one another', async (t) => {
  const disk = openNodeDisk(aDirectory(t))
  const journal = { stepBytes: 100, bytesMax: 250 }
  const file = await new Promise<DiskFile>((resolve, reject) => {
    const done = (err: Error | undefined, made: DiskFile | undefined): void =>
      made === undefined ? reject(err) : resolve(made)
    disk.create('journal', done, journal)
  })
  await settled((done) => file.sync(done))
  const append = async (length: number): Promise<number> => {
    await settled((done) => file.append(Buffer.alloc(length, 'x'), done))
    await settled((done) => file.sync(done))
    return disk.size('journal')
  }
  t.equal(await append(30), 100)
  t.equal(await append(70), 100, 'exactly full')
  t.equal(await append(1), 200)
  t.equal(await append(149), 250, 'not beyond the bound')
  t.equal(await append(20), 270, 'but for what is appended')
  const content = Buffer.from(disk.read('journal', 0, 1000)).toString()
  t.equal(content, 'x'.repeat(270))
  t.equal(await append(1), 271)
  await settled((done) => file.close(done))
})

t.test('what is missing, exists already or cannot be used is said by code', async (t) => {
  const directory = aDirectory(t)
  const disk = openNodeDisk(directory)
  const file = await created(disk, 'one')
  await t.rejects(created(disk, 'one'), { name: 'DiskError', code: 'EXISTS' })
  t.throws(() => disk.read('none', 0, 1), { code: 'NOT_FOUND' })
  t.throws(() => disk.size('none'), { code: 'NOT_FOUND' })
  await t.rejects(
    settled((done) => disk.rename('none', 'other', done)),
    { code: 'NOT_FOUND' },
  )
  await settled((done) => file.close(done))
  await t.rejects(
    settled((done) => file.append(Buffer.from('x'), done)),
    DiskError,
  )
  await t.rejects(
    settled((done) => file.sync(done)),
    DiskError,
    'after an error nothing works',
  )
  writeFileSync(join(directory, 'plain'), '')
  t.throws(() => openNodeDisk(join(directory, 'plain')), { code: 'EXISTS' })
  rmSync(directory, { recursive: true })
  t.throws(() => disk.list(), { code: 'NOT_FOUND' })
  await t.rejects(created(disk, 'one'), { code: 'NOT_FOUND' })
})

t.test('a key file is made once, for its owner only, and must be whole', async (t) => {
  const path = join(aDirectory(t), 'key')
  const made = readOrCreateKeyFile(path, systemRandomBytes)
  t.equal(made.key.length, 32)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.same(readOrCreateKeyFile(path, systemRandomBytes), made)
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, 20))
  t.throws(() => readOrCreateKeyFile(path, systemRandomBytes), { message: /64 hex digits/ })
  rmSync(path)
  writeFileSync(`${path}.new`, 'left by a crash')
  t.not(readOrCreateKeyFile(path, systemRandomBytes).key, made.key)
  const nowhere = join(path, 'below-a-file')
  t.throws(() => readOrCreateKeyFile(nowhere, systemRandomBytes), DiskError)
  chmodSync(path, 0o600)
})
