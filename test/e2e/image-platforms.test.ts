// Images of other platforms beside the node's own, and all tags of a repository.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { chainText } from '../../proto/lib/error-chain.ts'
import { createImagesEngine, type ImageProgress } from '../../worker/engine/images.ts'
import type { OpenExecutorOptions } from '../../worker/executor/container/open.ts'
import { parseMirror } from '../../worker/image/registries-conf.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aScript } from '../support/container-configs.ts'
import { createExecutorHost, never, runToEnd } from '../support/executor-host.ts'
import { startFaultyRegistry } from '../support/faulty-registry.ts'
import { pushList } from '../support/registry.ts'

t.setTimeout(600_000)

const bcrypt = '$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a'
const auth = { username: 'someone', password: 'secret' }
const own = process.arch === 'x64' ? 'amd64' : process.arch
const other = own === 'arm64' ? 'amd64' : 'arm64'

async function failure(
  work: Promise<unknown>,
): Promise<{ readonly code: unknown; readonly text: string }> {
  const err = await work.then(
    () => new Error('it did not fail'),
    (cause: unknown) => cause,
  )
  const code = err instanceof Error && 'code' in err ? err.code : undefined
  return { code, text: chainText(err) }
}

async function all(steps: AsyncIterable<ImageProgress>): Promise<readonly ImageProgress[]> {
  const seen: ImageProgress[] = []
  for await (const step of steps) seen.push(step)
  return seen
}

async function aRegistry(t: Test, login = false) {
  const registry = await startFaultyRegistry(login ? { login: { ...auth, bcrypt } } : {})
  t.teardown(() => registry.close())
  return registry
}

async function aHost(t: Test, registry: string, over: Partial<OpenExecutorOptions> = {}) {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const opened = await host.open({ insecureRegistries: [registry], ...over })
  return { ...opened, engine: createImagesEngine(opened.images) }
}

/** The beginning of a program for a machine that no host is. */
const foreignProgram = Buffer.alloc(4096)
foreignProgram.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
foreignProgram.writeUInt16LE(2, 16)
foreignProgram.writeUInt16LE(0x5441, 18)
const program = { kind: 'file', path: 'foreign', data: foreignProgram, mode: 0o755 } as const

/** team/app:1 for this host and another platform, team/app:one for this host alone. */
async function aListOfTwo(t: Test) {
  const registry = await aRegistry(t)
  const push = async (tag: string, architecture: string): Promise<void> => {
    const env = [`FOR=${architecture}`]
    const name = 'x/y:1'
    await registry.push(
      await busyboxImage({ name, env, architecture, files: [program] }),
      `team/app:${tag}`,
    )
  }
  await push('one', own)
  await push('other', other)
  const platforms = { [`linux/${other}`]: 'other', [`linux/${own}`]: 'one' }
  const digest = await pushList(registry.address, 'team/app', { tag: '1', platforms })
  return { registry, digest, name: `${registry.address}/team/app` }
}

t.test('a tag is of the platform that was pulled last', async (t) => {
  const { registry, digest, name } = await aListOfTwo(t)
  const { engine, images, executor } = await aHost(t, registry.address)
  const pull = (reference: string, platform?: string) =>
    all(engine.pull({ reference, ...(platform === undefined ? {} : { platform }) }, never))
  const platformOf = async (reference: string): Promise<string> =>
    JSON.parse((await engine.inspect({ reference })).rawConfig).architecture
  const runs = async (id: string, image: string): Promise<string> => {
    const run = await runToEnd(executor, aScript(id, 'echo $FOR', { image }))
    await executor.remove(id)
    return run.output
  }

  t.match((await pull(`${name}:1`, `linux/${other}`)).at(-1), {
    step: 'done',
    image: { names: [`${name}:1`], digests: [`${name}@${digest}`] },
  })
  t.equal(await platformOf(`${name}:1`), other)
  await pull(`${name}:1`)
  t.equal(await platformOf(`${name}:1`), own)
  t.equal((await images.list()).length, 2, 'the other stays, without a name')
  await pull(`${name}:1`, `linux/${other}`)
  t.equal(await platformOf(`${name}:1`), other)
  t.equal((await images.list()).length, 2)

  // What a service is pinned to is the list.
  const pinned = `${name}:1@${digest}`
  t.equal(await runs('pinned', pinned), own, 'a task has the one for its node')
  await engine.remove({ reference: (await images.get(`${name}@${digest}`)).id, force: true })
  t.equal((await images.list()).length, 1)
  await images.pull(pinned, { policy: 'missing' })
  t.equal(await runs('again', pinned), own, 'also where only the other was')
  await pull(`${name}:1`, `linux/${other}`)
  await images.pull(`${name}:1`, { policy: 'missing' })
  t.equal(await platformOf(`${name}:1`), own, 'a task asks for its own')

  const single = await failure(pull(`${name}:one`, `linux/${other}`))
  t.equal(single.code, 'IMAGE_NOT_FOUND')
  const place = `registry ${registry.address}`
  t.equal(
    single.text,
    `No such image: ${name}:one for platform linux/${other}: ${place} has it for linux/${own}`,
  )
  t.match(await failure(pull(`${name}:1`, 'linux/s390x')), {
    code: 'IMAGE_NOT_FOUND',
    text: `for platform linux/s390x: ${place} has it for linux/${other}, linux/${own}`,
  })
  t.match(await failure(pull(`${name}:1`, 'windows/amd64')), {
    code: 'INVALID_ARGUMENT',
    text: /platform "windows\/amd64" is not for images of this host/,
  })
  await pull(`${name}@${digest}`, `linux/${other}`)
  t.equal((await images.list()).length, 2, 'by the digest of the list, too')
  t.same(await engine.remove({ reference: `${name}@${digest}`, force: false }), {
    ...{ untagged: [`${name}@${digest}`], deleted: [] },
  })
  t.match(
    await images.get(`${name}:1`),
    { names: [`${name}:1`], digests: [] },
    'a digest goes, the tag and its image stay',
  )
})

t.test('a program for another machine is told as such', async (t) => {
  const { registry, name } = await aListOfTwo(t)
  const { executor, images } = await aHost(t, registry.address)
  await images.pull(`${name}:1`, { platform: `linux/${other}` })
  const config = aContainer('foreign', { image: `${name}:1`, entrypoint: ['/foreign'] })
  const { exitCode, output } = await runToEnd(executor, config)
  t.match(output, /\/foreign\b.*exec format error/i, 'as the kernel says, in its log')
  t.not(exitCode, 0)
  const { error } = await executor.wait('foreign', never)
  t.equal(error, `the image is for linux/${other}, this node is linux/${own}`, 'for the task')
  await executor.remove('foreign')
})

t.test('all tags of a repository are pulled', async (t) => {
  const registry = await aRegistry(t, true)
  for (const tag of ['1', '2', '3']) {
    const archive = await busyboxImage({ name: 'x/y:1', env: [`V=${tag}`] })
    await registry.push(archive, `team/app:${tag}`)
  }
  const name = `${registry.address}/team/app`
  const patience = { answerMs: 3_000, stalledMs: 120_000, unpackMs: 3_600_000 }
  const { engine, images } = await aHost(t, registry.address, { patience })
  const pull = (reference: string, over = {}) =>
    all(engine.pull({ reference, allTags: true, auth, ...over }, never))
  const names = async (): Promise<readonly string[]> =>
    (await images.list()).flatMap((image) => image.names).toSorted()
  const three = ['1', '2', '3'].map((tag) => `${name}:${tag}`)

  const steps = await pull(name)
  t.same(await names(), three)
  const digests = steps.filter(({ step }) => /^digest: sha256:[0-9a-f]{64}$/.test(step))
  t.same(digests.map(({ subject }) => subject).toSorted(), ['1', '2', '3'])
  t.equal(steps.filter(({ image }) => image !== undefined).length, 3)

  t.match(await failure(pull(`${name}:1`)), {
    code: 'INVALID_ARGUMENT',
    text: /^tag can't be used/,
  })
  t.match(await failure(pull(`${registry.address}/team/none`)), { code: 'IMAGE_NOT_FOUND' })
  t.match(await failure(pull(name, { auth: { ...auth, password: 'wrong' } })), {
    code: 'UNAUTHENTICATED',
    text: /^pull access denied for .*HTTP 401/,
  })

  for (const reference of three) await engine.remove({ reference, force: false })
  const gone = {
    kind: 'refused',
    status: 404,
    words: 'MANIFEST_UNKNOWN: manifest unknown',
  } as const
  registry.fail((_, path) => (path.endsWith('/manifests/2') ? gone : undefined))
  const two = await failure(pull(name))
  t.equal(two.code, 'IMAGE_NOT_FOUND')
  t.match(two.text, `1 of 3 tags of ${name} are not here. Failed: 2: No such image: ${name}:2`)
  t.same(await names(), [three[0], three[2]], 'the others are')
  const closed = { kind: 'refused', status: 503, words: 'UNAVAILABLE: in maintenance' } as const
  registry.fail((_, path) => (path.endsWith('/manifests/1') ? closed : undefined))
  t.match(await failure(pull(name)), {
    code: 'UNAVAILABLE',
    text: /^[1-3] of 3 tags of .* are not here\. Failed: 1: cannot pull .*:1 .*503/,
  })
  registry.fail((_, path) => (path.includes('/tags/list') ? { kind: 'silent' } : undefined))
  t.match(await failure(pull(name)), { code: 'UNAVAILABLE', text: /no answer within 3 s/ })
})

/** Lists tags, so many on each of its pages, and has no image. */
async function aListingRegistry(t: Test, tags: readonly string[], pageSize: number) {
  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '', 'http://x')
    if (!url.pathname.endsWith('/tags/list')) {
      outgoing.writeHead(url.pathname === '/v2/' ? 200 : 404).end('{}')
      return
    }
    const at = Number(url.searchParams.get('last') ?? '0')
    const page = tags.slice(at, at + pageSize)
    const next = `<${url.pathname}?last=${at + pageSize}>; rel="next"`
    const link = at + pageSize < tags.length ? { link: next } : {}
    outgoing.writeHead(200, { 'content-type': 'application/json', ...link })
    outgoing.end(JSON.stringify({ name: 'team/app', tags: page }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  const { port } = server.address() as AddressInfo
  return `127.0.0.1:${port}`
}

t.test('lists of tags have pages, a bound, and mirrors', async (t) => {
  const many = await aListingRegistry(
    t,
    Array.from({ length: 10_001 }, (_, at) => `t${at}`),
    5_000,
  )
  const strange = await aListingRegistry(t, ['1', '../2'], 10)
  const mirror = await aRegistry(t)
  const archive = await busyboxImage({ name: 'x/y:1' })
  for (const tag of ['1', '2']) await mirror.push(archive, `team/app:${tag}`)
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const registryMirrors = [
    parseMirror(`nowhere.invalid=http://${strange.replace(/:.*/, ':1')}`),
    parseMirror(`nowhere.invalid=http://${mirror.address}`),
  ]
  const insecureRegistries = [many, strange]
  const { images } = await host.open({ insecureRegistries, registryMirrors })
  t.match(await failure(images.pullAll(`${many}/team/app`, {})), {
    code: 'FAILED_PRECONDITION',
    text: `registry ${many} has more than 10000 tags of ${many}/team/app: pull those`,
  })
  t.match(await failure(images.pullAll(`${strange}/team/app`, {})), {
    code: 'UNAVAILABLE',
    text: /lists "\.\.\/2" of .*, which is no tag/,
  })
  const pulled = await images.pullAll('nowhere.invalid/team/app', {})
  t.same(pulled.map(({ reference }) => reference).toSorted(), [
    'nowhere.invalid/team/app:1',
    'nowhere.invalid/team/app:2',
  ])
})
