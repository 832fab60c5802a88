// Archives of real folders: there and back, read by GNU tar and made by it, and what must not lead out of the folder.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { packTree, type UnpackOptions, unpackTree } from '../../../../proto/lib/file-tree.ts'
import { HeldFolder, readInRoot, walkInRoot } from '../../../../proto/lib/rooted-files.ts'
import { readTar, tarEnd, tarHeader, tarPadding } from '../../../../proto/lib/tar-stream.ts'

const refusal = (reason: string) => ({ name: 'RootedError', reason })

function aFolder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tsswarm-tree-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function packed(dir: string, name: string, at = ''): Promise<Buffer> {
  const folder = await HeldFolder.open(dir)
  const pieces: Uint8Array[] = []
  for await (const piece of packTree({ folder, name: at }, { name, onLeftOut: () => {} })) {
    pieces.push(piece)
  }
  await folder.close()
  return Buffer.concat(pieces)
}

/** In pieces of odd lengths. */
async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 777) yield bytes.subarray(at, at + 777)
}

async function unpacked(
  dir: string,
  archive: Uint8Array,
  options: Partial<UnpackOptions> = {},
): Promise<readonly string[]> {
  const folder = await HeldFolder.open(dir)
  const left: string[] = []
  const whole = { owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 } }
  try {
    const onLeftOut = (path: string): void => void left.push(path)
    await unpackTree(folder, inPieces(archive), { ...whole, onLeftOut, ...options })
  } finally {
    await folder.close()
  }
  return left
}

function member(path: string, data = '', more: object = {}): Buffer {
  const facts = { path, mode: 0o644, uid: 0, gid: 0, mtimeMs: 0, target: '', ...more }
  const header = tarHeader({ kind: 'file', sizeBytes: Buffer.byteLength(data), ...facts })
  return Buffer.concat([header, Buffer.from(data), tarPadding(Buffer.byteLength(data))])
}

const archiveOf = (...members: readonly Buffer[]): Buffer => Buffer.concat([...members, tarEnd])
const longName = 'ä'.repeat(90)

/** A folder with one of everything. */
function aTree(t: Test): string {
  const dir = aFolder(t)
  mkdirSync(join(dir, 'sub/empty'), { recursive: true })
  writeFileSync(join(dir, 'big'), Buffer.alloc(200_001, 'b'))
  writeFileSync(join(dir, 'sub/script'), '#!/bin/sh\n')
  chmodSync(join(dir, 'sub/script'), 0o4755)
  linkSync(join(dir, 'big'), join(dir, 'sub/same'))
  symlinkSync('../big', join(dir, 'sub/link'))
  symlinkSync('/nowhere', join(dir, 'dangling'))
  writeFileSync(join(dir, longName), 'long')
  utimesSync(join(dir, 'sub'), 1_000_000, 1_000_000.25)
  return dir
}

function checkTree(t: Test, dir: string): void {
  t.equal(readFileSync(join(dir, 'big'), 'utf8').length, 200_001)
  t.equal(statSync(join(dir, 'big')).ino, statSync(join(dir, 'sub/same')).ino, 'still one file')
  t.equal(statSync(join(dir, 'sub/script')).mode & 0o7777, 0o4755)
  t.equal(readlinkSync(join(dir, 'sub/link')), '../big')
  t.equal(readlinkSync(join(dir, 'dangling')), '/nowhere')
  t.equal(readFileSync(join(dir, longName), 'utf8'), 'long')
  t.ok(lstatSync(join(dir, 'sub/empty')).isDirectory())
}

t.test('there and back again', async (t) => {
  const [from, to] = [aTree(t), aFolder(t)]
  t.same(await unpacked(to, await packed(from, 'top')), [])
  checkTree(t, join(to, 'top'))
  t.equal(statSync(join(to, 'top/sub')).mtimeMs, 1_000_000_250, 'times of folders too')
  const renamed = aFolder(t)
  await unpacked(renamed, await packed(from, 'top'), { rename: { from: 'top', to: 'other' } })
  checkTree(t, join(renamed, 'other'))
  const contents = aFolder(t)
  await unpacked(contents, await packed(from, ''))
  checkTree(t, contents)
  const single = aFolder(t)
  await unpacked(single, await packed(from, 'renamed', 'big'))
  t.equal(readFileSync(join(single, 'renamed')).length, 200_001)
})

t.test('GNU tar reads ours, and we read its', async (t) => {
  const from = aTree(t)
  const to = aFolder(t)
  const input = await packed(from, 'top')
  const { status, stderr } = spawnSync('tar', ['-x', '-C', to], { input })
  t.equal(status, 0, stderr.toString())
  checkTree(t, join(to, 'top'))
  for (const format of ['gnu', 'pax', 'ustar']) {
    const dir = aFolder(t)
    const excluded = format === 'ustar' ? ['--exclude', longName] : []
    const made = spawnSync('tar', [`--format=${format}`, ...excluded, '-c', '-C', from, '.'])
    t.equal(made.status, 0, made.stderr.toString())
    await unpacked(dir, made.stdout)
    if (excluded.length > 0) writeFileSync(join(dir, longName), 'long')
    checkTree(t, dir)
  }
})

t.test('what is there is replaced, but no directory by a file', async (t) => {
  const dir = aFolder(t)
  mkdirSync(join(dir, 'folder'))
  const outside = join(aFolder(t), 'file')
  writeFileSync(outside, 'kept')
  symlinkSync(outside, join(dir, 'link'))
  linkSync(outside, join(dir, 'hard'))
  await unpacked(dir, archiveOf(member('link', 'new'), member('hard', 'new')))
  t.equal(readFileSync(join(dir, 'link'), 'utf8'), 'new')
  t.equal(readFileSync(outside, 'utf8'), 'kept', 'not written through a link')
  await t.rejects(unpacked(dir, archiveOf(member('folder', 'x'))), refusal('invalid'))
})

t.test('nothing leads out of the folder', async (t) => {
  const dir = aFolder(t)
  const outside = aFolder(t)
  symlinkSync(outside, join(dir, 'out'))
  const refused = { name: 'RootedError', reason: 'invalid' }
  await t.rejects(unpacked(dir, archiveOf(member('../up', 'x'))), refused)
  await t.rejects(unpacked(dir, archiveOf(member('a/../../up', 'x'))), refused)
  await t.rejects(unpacked(dir, archiveOf(member('out/file', 'x'))), refused)
  const link = member('made', '', { kind: 'symlink', target: outside })
  await t.rejects(unpacked(dir, archiveOf(link, member('made/file', 'x'))), refused)
  const hard = member('hard', '', { kind: 'hardlink', target: '../../etc/passwd' })
  await t.rejects(unpacked(dir, archiveOf(hard)), refused)
  const through = member('hard', '', { kind: 'hardlink', target: 'out/secret' })
  writeFileSync(join(outside, 'secret'), 'x')
  await t.rejects(unpacked(dir, archiveOf(through)), { code: /ENOTDIR|ELOOP/ })
  t.notOk(existsSync(join(outside, 'file')))
  await unpacked(dir, archiveOf(member('/abs', 'inside')))
  t.equal(readFileSync(join(dir, 'abs'), 'utf8'), 'inside', 'absolute paths are of the folder')
})

t.test('devices are left out, damage is noticed', async (t) => {
  const dir = aFolder(t)
  spawnSync('mkfifo', [join(dir, 'pipe')])
  const made = spawnSync('tar', ['-c', '-C', dir, '.'])
  t.same(await unpacked(aFolder(t), made.stdout), ['./pipe'])
  const whole = archiveOf(member('file', 'data'))
  await t.rejects(unpacked(dir, whole.subarray(0, 600)), { message: /ends too soon/ })
  await t.rejects(unpacked(dir, Buffer.alloc(512, 'x')), { message: /no tar archive/ })
  await t.rejects(unpacked(dir, member('x'.repeat(200), '').fill('9', 512, 513)), {
    name: 'TarError',
  })
  const { headers } = await (async () => {
    const headers: unknown[] = []
    for await (const { header } of readTar(inPieces(whole))) headers.push(header)
    return { headers }
  })()
  t.match(headers, [{ path: 'file', kind: 'file', sizeBytes: 4 }])
})

t.test('paths of a root: links are walked within it', async (t) => {
  const root = aFolder(t)
  mkdirSync(join(root, 'etc/real'), { recursive: true })
  writeFileSync(join(root, 'etc/real/file'), 'inside')
  symlinkSync('/etc/real', join(root, 'abs'))
  symlinkSync('../../../../../../etc/real', join(root, 'up'))
  symlinkSync('round', join(root, 'round'))
  for (const path of ['/etc/real/file', 'abs/file', '/up/file', '../../abs/./file']) {
    t.equal(await readInRoot(root, path), 'inside', path)
  }
  t.equal(await readInRoot(root, '/etc/passwd'), '', "not the host's")
  t.equal(await readInRoot(root, '/etc'), '')
  const place = await walkInRoot(root, '/abs/new', true)
  t.equal(place.name, 'new')
  await place.folder.close()
  await t.rejects(walkInRoot(root, '/nowhere/file', true), refusal('absent'))
  await t.rejects(walkInRoot(root, '/round/file', true), { reason: 'invalid', message: /circles/ })
  await t.rejects(walkInRoot(root, '/etc/real/file/below', true), refusal('invalid'))
  const top = await walkInRoot(root, '/..', true)
  t.equal(top.name, '')
  await top.folder.close()
})
