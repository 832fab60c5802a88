// image build: what goes to the daemon, and what comes back.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SwarmError } from '../../../proto/errors.ts'
import type { ImageProgress } from '../../../proto/gen/tsswarm/v1/daemon.ts'
import type {
  BuildImageOptions,
  BuildImageProgress,
  BuildImageRequest,
  ImportImageOptions,
  ImportImageRequest,
} from '../../../proto/gen/tsswarm/v1/image.ts'
import { writeTar } from '../../../proto/lib/tar.ts'
import { readTar } from '../../../proto/lib/tar-stream.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'

const id = `sha256:${'ab'.repeat(32)}`

async function aWorld(t: Test) {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  const dir = await mkdtemp(join(tmpdir(), 'tsswarm-build-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const got: { options: BuildImageOptions | undefined; context: Buffer } = {
    options: undefined,
    context: Buffer.alloc(0),
  }
  const build = async (
    _: unknown,
    incoming: AsyncIterable<BuildImageRequest>,
    send: (message: BuildImageProgress) => Promise<void>,
  ): Promise<void> => {
    const pieces: Uint8Array[] = []
    for await (const { kind } of incoming) {
      if (kind?.$case === 'options') got.options = kind.value
      if (kind?.$case === 'chunk') pieces.push(kind.value)
    }
    got.context = Buffer.concat(pieces)
    await send({ output: 'STEP 1/1: FROM x\n', imageId: '' })
    await send({ output: '', imageId: id })
  }
  daemon.daemon['buildImage'] = build as TestDaemon['daemon'][string]
  return { daemon, dir, got }
}

async function names(archive: Uint8Array): Promise<readonly string[]> {
  const found: string[] = []
  const pieces = (async function* () {
    yield archive
  })()
  for await (const member of readTar(pieces)) {
    found.push(member.header.path)
    for await (const _ of member.data);
  }
  return found.toSorted()
}

t.test('a folder goes as an archive, the Dockerfile as text', async (t) => {
  const { daemon, dir, got } = await aWorld(t)
  await writeFile(`${dir}/Dockerfile`, 'FROM x\n')
  await mkdir(`${dir}/sub`)
  await writeFile(`${dir}/sub/file`, 'content')
  const flags = '-t a:1 --tag b --build-arg A=1 --build-arg B --build-arg C --target t'
  const rest = '--no-cache --pull --network none'
  const run = await daemon.run(`image build ${flags} ${rest} --iidfile ${dir}/id ${dir}`, {
    env: { B: '2' },
  })
  const stdout = 'STEP 1/1: FROM x\nSuccessfully built abababababab\n'
  t.strictSame(run, { code: 0, stdout, stderr: '' })
  t.match(got.options, {
    ...{ tags: ['a:1', 'b'], dockerfile: 'FROM x\n', buildArgs: ['A=1', 'B=2', 'C'], target: 't' },
    ...{ noCache: true, pull: true, network: 'none', credentials: [] },
  })
  t.same(await names(got.context), ['./', 'Dockerfile', 'sub/', 'sub/file'])
  t.equal(await readFile(`${dir}/id`, 'utf8'), id)
  await writeFile(`${dir}/other`, 'FROM other\n')
  t.match(await daemon.run(`image build -q -f ${dir}/other ${dir}`), { stdout: `${id}\n` })
  t.match(got.options, { dockerfile: 'FROM other\n' })
})

t.test('stdin is an archive, or a Dockerfile that becomes one', async (t) => {
  const { daemon, got } = await aWorld(t)
  const dockerfile = [Buffer.from('FROM '), Buffer.from('x\n')]
  t.match(await daemon.run('image build -', { stdin: dockerfile }), { code: 0 })
  t.same(await names(got.context), ['Dockerfile'])
  const archive = writeTar([
    { kind: 'file', path: 'Dockerfile', data: Buffer.from('FROM x') },
    { kind: 'file', path: 'large', data: Buffer.alloc(700_000) },
  ])
  const pieces = [
    archive.subarray(0, 100),
    archive.subarray(100, 600_000),
    archive.subarray(600_000),
  ]
  await daemon.run('image build -', { stdin: pieces })
  t.ok(got.context.equals(archive))
  const packed = Buffer.from('1f8b0800000000000003', 'hex')
  await daemon.run('image build -', { stdin: [packed] })
  t.ok(got.context.equals(packed))
})

t.test('what cannot be built is said before the daemon is asked', async (t) => {
  const { daemon, dir } = await aWorld(t)
  await writeFile(`${dir}/empty`, '')
  await writeFile(`${dir}/large`, Buffer.alloc(1_100_000, 'x'))
  await writeFile(`${dir}/Fine`, 'FROM x')
  for (const [line, stderr] of [
    [
      `image build ${dir}`,
      /^Error: cannot read the Dockerfile .*Dockerfile: no such file or directory$/m,
    ],
    [`image build -f ${dir}/empty ${dir}`, /cannot be empty/],
    [`image build -f ${dir}/large ${dir}`, /over 1 MiB/],
    [
      `image build -f ${dir}/Fine ${dir}/none`,
      /unable to prepare context: path .*none: no such file or directory$/m,
    ],
    [`image build -f ${dir}/Fine ${dir}/Fine`, /is no folder/],
    [`image build -f ${dir}/Fine https://x/y.git`, /clone or download it first/],
    ['image build -', /from stdin cannot be empty/],
    [`image build -f - ${dir}`, /from stdin cannot be empty/],
  ] as const) {
    t.match(await daemon.run(line), { code: 1, stderr }, line)
  }
  for (const [line, stderr] of [
    ['image build -f x -', /--file cannot be used/],
    ['image build -f - -', /--file cannot be used/],
    ['image build', /requires exactly 1 argument/],
    ['image build --network bridge .', /must be one of host, none/],
  ] as const) {
    t.match(await daemon.run(line), { code: 125, stderr }, line)
  }
  t.match(await daemon.run('image build -', { stdinIsTerminal: true }), {
    code: 125,
    stderr: /stdin is a terminal/,
  })
  const large = { stdin: [Buffer.alloc(1_100_000, 'x')] }
  t.match(await daemon.run('image build -', large), { code: 1, stderr: /over 1 MiB/ })
  t.match(await daemon.run(`image build -f - ${dir}`, large), { code: 1, stderr: /over 1 MiB/ })
  t.match(await daemon.run(`image build -f - ${dir}`, { stdinIsTerminal: true }), {
    code: 125,
    stderr: /the Dockerfile from stdin, but stdin is a terminal/,
  })
  t.match(await daemon.run(`image build --iidfile ${dir}/none/id -f ${dir}/Fine ${dir}`), {
    code: 1,
    stderr: /cannot write .*id: no such file or directory$/m,
  })
  const failing = async (): Promise<void> => {
    throw new SwarmError('INVALID_ARGUMENT', 'the build failed: exit status 7')
  }
  daemon.daemon['buildImage'] = failing as TestDaemon['daemon'][string]
  t.match(await daemon.run(`image build -f ${dir}/Fine ${dir}`), { code: 1, stderr: /status 7/ })
})

t.test('image import: options first, then the archive, and the id alone is printed', async (t) => {
  const { daemon, dir } = await aWorld(t)
  const got: { options?: ImportImageOptions; sizes: number[] } = { sizes: [] }
  const image = { id, names: [], digests: [], sizeBytes: 1, createdAtMs: 0 }
  const importImage = async (
    _: unknown,
    incoming: AsyncIterable<ImportImageRequest>,
    send: (message: ImageProgress) => Promise<void>,
  ): Promise<void> => {
    got.sizes = []
    for await (const { kind } of incoming) {
      if (kind?.$case === 'options') got.options = kind.value
      if (kind?.$case === 'chunk') got.sizes.push(kind.value.length)
    }
    const step = { step: 'storing', subject: 'x', doneBytes: 0, totalBytes: 0, image: undefined }
    await send(step)
    await send({ ...step, step: 'done', image })
  }
  daemon.daemon['importImage'] = importImage as TestDaemon['daemon'][string]
  const stdin = [new Uint8Array(300_000)]
  const words = [
    '-c',
    'CMD ["sh"]',
    '--change',
    'ENV A=1',
    '-m',
    'flat',
    '--platform',
    'linux/arm64',
  ]
  t.strictSame(await daemon.run(['image', 'import', ...words, '-', 'team/x:1'], { stdin }), {
    ...{ code: 0, stdout: `${id}\n`, stderr: '' },
  })
  t.same(got.options, {
    ...{ reference: 'team/x:1', changes: ['CMD ["sh"]', 'ENV A=1'], message: 'flat' },
    platform: 'linux/arm64',
  })
  t.same(got.sizes, [262_144, 37_856])
  await writeFile(join(dir, 'x.tar'), 'abc')
  t.match(await daemon.run(`image import ${dir}/x.tar`), { code: 0, stdout: `${id}\n` })
  t.match(got, { options: { reference: '', changes: [], message: '', platform: '' }, sizes: [3] })
  for (const [line, stderr] of [
    ['image import https://x/y.tar', /is no file of this host/],
    [`image import ${dir}/none`, /^Error: cannot read .*none: no such file or directory$/m],
    [`image import ${dir}`, /it is a folder/],
  ] as const) {
    t.match(await daemon.run(line), { code: 1, stderr })
  }
  const atTerminal = await daemon.run('image import -', { stdinIsTerminal: true })
  t.match(atTerminal, { code: 125, stderr: /stdin is a terminal: name a file/ })
})
