// Copies as the node does them, with a folder for a container.
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CopyOpen, StreamFrame } from '../../../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { walkInRoot } from '../../../../proto/lib/rooted-files.ts'
import { writeTar } from '../../../../proto/lib/tar.ts'
import { readTar } from '../../../../proto/lib/tar-stream.ts'
import { serveCopy } from '../../../../worker/streams/serve-copy.ts'

type FrameKind = NonNullable<StreamFrame['kind']>

function aContainer(t: Test): string {
  const root = mkdtempSync(join(tmpdir(), 'tsswarm-copy-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  mkdirSync(join(root, 'srv/html'), { recursive: true })
  writeFileSync(join(root, 'srv/html/index'), 'hello')
  symlinkSync('/srv/html', join(root, 'web'))
  return root
}

async function copy(
  root: string,
  wish: Partial<CopyOpen>,
  archive?: Uint8Array,
): Promise<readonly FrameKind[]> {
  const sent: FrameKind[] = []
  const frames = (async function* (): AsyncGenerator<StreamFrame> {
    if (archive === undefined) return
    yield { kind: { $case: 'data', value: archive } }
    yield { kind: { $case: 'dataEnd', value: true } }
  })()
  const whole = {
    path: '/',
    into: false,
    keepOwners: false,
    followLink: false,
    rename: '',
    ...wish,
  }
  const containers = {
    place: (_: string, path: string, follow: boolean) => walkInRoot(root, path, follow),
  }
  await serveCopy(
    containers,
    { id: 'c', copy: whole },
    {
      ...{ frames, clock: systemClock, signal: new AbortController().signal },
      send: async (kind) => void sent.push(kind),
    },
  )
  return sent
}

async function names(frames: readonly FrameKind[]): Promise<readonly string[]> {
  const bytes = frames.flatMap((one) => (one.$case === 'data' ? [one.value] : []))
  const found: string[] = []
  const pieces = (async function* () {
    yield* bytes
  })()
  for await (const { header } of readTar(pieces)) found.push(header.path)
  return found
}

const file = (path: string, data = 'new') =>
  writeTar([{ kind: 'file', path, data: Buffer.from(data), uid: 7, gid: 8 }])

t.test('out: a folder, what is in it, a file, a link and what it points to', async (t) => {
  const root = aContainer(t)
  t.same(await names(await copy(root, { path: '/srv/html' })), ['html/', 'html/index'])
  t.same(await names(await copy(root, { path: '/srv/html/.' })), ['./', 'index'])
  t.same(await names(await copy(root, { path: 'srv/html/index' })), ['index'])
  t.same(await names(await copy(root, { path: '/web' })), ['web'])
  t.same(await names(await copy(root, { path: '/web', followLink: true })), ['web/', 'web/index'])
  t.same((await names(await copy(root, {}))).slice(0, 2), ['./', 'srv/'])
  t.match(await copy(root, { path: '/web' }), [{ $case: 'opened', value: { pathKind: 'symlink' } }])
  await t.rejects(copy(root, { path: '/none' }), { code: 'NOT_FOUND' })
  await t.rejects(copy(root, { path: '/srv/html/index/x' }), { code: 'INVALID_ARGUMENT' })
})

t.test('into: a folder that is there, another name, contents', async (t) => {
  const root = aContainer(t)
  const into = (path: string, rename: string, archive = file('new')) =>
    copy(root, { into: true, path, rename }, archive)
  await into('/web', 'new')
  t.equal(readFileSync(join(root, 'srv/html/new'), 'utf8'), 'new', 'through a link of its own')
  await into('/srv/other', 'new')
  t.equal(readFileSync(join(root, 'srv/other'), 'utf8'), 'new')
  await into('/srv/html/index', 'new')
  t.equal(readFileSync(join(root, 'srv/html/index'), 'utf8'), 'new', 'in place of the file')
  await into('/srv/made', '.')
  t.equal(readFileSync(join(root, 'srv/made/new'), 'utf8'), 'new')
  await t.rejects(into('/srv/none/', 'new'), { code: 'INVALID_ARGUMENT', message: /no directory/ })
  await t.rejects(into('/srv/none/deep', 'new'), { code: 'NOT_FOUND' })
  await t.rejects(into('/srv/none', ''), { code: 'INVALID_ARGUMENT' })
  await t.rejects(into('/srv', 'new', Buffer.alloc(600, 1)), {
    code: 'INVALID_ARGUMENT',
    message: /archive/,
  })
  await t.rejects(copy(root, { into: true, path: '/srv' }), { code: 'CANCELLED' })
})

t.test('owners are kept when that is asked for', { skip: process.getuid?.() !== 0 }, async (t) => {
  const root = aContainer(t)
  await copy(root, { into: true, path: '/srv', rename: 'new' }, file('new'))
  t.match(statSync(join(root, 'srv/new')), { uid: 0, gid: 0 })
  await copy(root, { into: true, path: '/srv', keepOwners: true }, file('new'))
  t.match(statSync(join(root, 'srv/new')), { uid: 7, gid: 8 })
})
