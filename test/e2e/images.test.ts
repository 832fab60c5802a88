// Images for real: archives, a registry on loopback, names, digests, what is in use, what a crash leaves.
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { buildHelloImage } from '../../cli/lab/hello-image.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { createImagesEngine, type ImageProgress } from '../../worker/engine/images.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aScript } from '../support/container-configs.ts'
import { createExecutorHost, never, runToEnd } from '../support/executor-host.ts'
import { startRegistry } from '../support/registry.ts'

t.setTimeout(180_000)

async function aWorld(t: Test, insecureRegistries: readonly string[] = []) {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const opened = await host.open({ insecureRegistries })
  return { host, ...opened, engine: createImagesEngine(opened.images) }
}

async function* inChunks(archive: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < archive.length; at += 100_000) yield archive.subarray(at, at + 100_000)
}

async function all(steps: AsyncIterable<ImageProgress>): Promise<readonly ImageProgress[]> {
  const seen: ImageProgress[] = []
  for await (const step of steps) seen.push(step)
  return seen
}

t.test('an archive is loaded, listed, run, and removed', async (t) => {
  const { engine, executor, host } = await aWorld(t)
  const steps = await all(engine.load(inChunks(await buildHelloImage()), never))
  t.match(steps.at(-1), { step: 'done', image: { names: ['lab/hello:latest'] } })
  const [image] = await engine.list({ reference: '' })
  t.match(image, { names: ['lab/hello:latest'], digests: [] })
  t.ok((image?.sizeBytes ?? 0) > 1_000_000)
  t.same(await engine.list({ reference: 'lab/hello' }), [image])
  t.same(await engine.list({ reference: 'other' }), [])
  t.match(await engine.inspect({ reference: 'lab/hello' }), { config: { command: ['/bin/serve'] } })
  await t.rejects(engine.inspect({ reference: 'lab/helo' }), {
    code: 'IMAGE_NOT_FOUND',
    message: 'No such image: lab/helo (did you mean lab/hello?)',
  })

  const twice = await all(engine.load(inChunks(await buildHelloImage()), never))
  t.match(twice.at(-1)?.image, image, 'the same bytes are the same image')

  const config = aScript('user', 'true', { image: image?.id ?? '' })
  t.equal((await runToEnd(executor, config)).exitCode, 0, 'an id names it too')
  await t.rejects(engine.remove({ reference: 'lab/hello', force: false }), {
    code: 'IN_USE',
    message: /must be forced.*user/,
  })
  await executor.create(aContainer('runs', { image: 'lab/hello', args: ['sleep', '99'] }), never)
  await executor.start('runs', never)
  await t.rejects(engine.remove({ reference: 'lab/hello', force: true }), {
    code: 'IN_USE',
    message: /cannot be forced.*runs/,
  })
  await executor.remove('runs')
  t.match(await engine.remove({ reference: 'lab/hello', force: true }), {
    untagged: ['lab/hello:latest'],
    deleted: [image?.id],
  })
  t.same(await engine.list({ reference: '' }), [])
  await t.rejects(engine.remove({ reference: 'lab/hello', force: true }), {
    code: 'IMAGE_NOT_FOUND',
  })
  t.same(await readdir(`${host.dirs.stateDir}/images/overlay/l`), [], 'its layers are gone')
})

t.test('several names of an image go one by one', async (t) => {
  const { engine } = await aWorld(t)
  for (const name of ['one/name:1', 'other/name:2']) {
    const steps = await all(engine.load(inChunks(await busyboxImage({ name })), never))
    t.same(steps.at(-1)?.image?.names, [name], 'only names of the archive were loaded')
  }
  const [image, ...more] = await engine.list({ reference: '' })
  t.same(more, [])
  t.same(image?.names.toSorted(), ['one/name:1', 'other/name:2'])
  await t.rejects(engine.remove({ reference: image?.id ?? '', force: false }), { code: 'IN_USE' })
  t.match(await engine.remove({ reference: 'one/name:1', force: false }), {
    untagged: ['one/name:1'],
    deleted: [],
  })
  t.match(await engine.list({ reference: '' }), [{ names: ['other/name:2'] }])
  await engine.remove({ reference: 'other/name:2', force: false })
  t.same(await engine.list({ reference: '' }), [])
})

t.test('what is no image archive is refused', async (t) => {
  const { engine, host } = await aWorld(t)
  const load = (bytes: Uint8Array) => all(engine.load(inChunks(bytes), never))
  await t.rejects(load(Buffer.from('not a tar at all')), { code: 'INVALID_ARGUMENT' })
  await t.rejects(load(Buffer.alloc(10_240)), { code: 'INVALID_ARGUMENT' })
  t.same(await readdir(`${host.dirs.stateDir}/image-state/tmp`), [])
  t.same(await readdir(`${host.dirs.stateDir}/image-state/transfers`), [])
})

t.test('compressed and OCI archives are loaded too', async (t) => {
  const { engine, host } = await aWorld(t)
  const plain = `${host.scratchDir}/plain.tar`
  await writeFile(plain, await busyboxImage({ name: 'packed/image:1' }))
  await runCommand(['gzip', '-k', plain])
  const oci = `${host.scratchDir}/oci.tar`
  const copied = await runCommand([
    ...['skopeo', '--insecure-policy', 'copy', `docker-archive:${plain}`],
    `oci-archive:${oci}:docker.io/oci/image:2`,
  ])
  t.equal(copied.code, 0, copied.stderr)
  for (const path of [`${plain}.gz`, oci]) await all(engine.load(createReadStream(path), never))
  const names = (await engine.list({ reference: '' })).flatMap((image) => image.names)
  t.same(names.toSorted(), ['oci/image:2', 'packed/image:1'])
})

t.test('an image is pulled from a registry', async (t) => {
  const registry = await startRegistry()
  t.teardown(() => registry.close())
  const { engine, executor, images } = await aWorld(t, [registry.address])
  const reference = `${registry.address}/team/app:1`
  await registry.push(await busyboxImage({ name: 'x/y:1', env: ['V=1'] }), 'team/app:1')

  const steps = await all(engine.pull({ reference }, never))
  t.same(steps[0]?.step, 'resolving')
  t.match(steps.at(-1), { step: 'done', image: { names: [reference] } })
  const first = steps.at(-1)?.image
  const digest = first?.digests[0] ?? ''
  t.match(digest, new RegExp(`^${registry.address}/team/app@sha256:[0-9a-f]{64}$`))

  await t.test('again without change: nothing is fetched', async (t) => {
    const again = await all(engine.pull({ reference }, never))
    t.ok(again.some(({ step }) => step === 'up to date'))
    t.notOk(again.some(({ step }) => step === 'storing'))
  })

  await t.test('by digest, and by both tag and digest', async (t) => {
    const pinned = digest.replace('@', ':1@')
    t.match(await images.pull(pinned, {}), { id: first?.id })
    const run = await runToEnd(executor, aScript('pinned', 'echo $V', { image: pinned }))
    t.equal(run.output, '1')
  })

  await t.test(
    'moved on: the tag means the new one, the old one stays for who uses it',
    async (t) => {
      await registry.push(await busyboxImage({ name: 'x/y:1', env: ['V=2'] }), 'team/app:1')
      t.match(await images.pull(reference, { policy: 'missing' }), { id: first?.id })
      const moved = await images.pull(reference, {})
      t.not(moved.id, first?.id)
      const run = await runToEnd(executor, aScript('moved', 'echo $V', { image: reference }))
      t.equal(run.output, '2')
      t.equal((await engine.inspect({ reference: first?.id ?? '' })).config.env.at(-1), 'V=1')
    },
  )

  await t.test('by many at once: one pull', async (t) => {
    await registry.push(await busyboxImage({ name: 'x/y:1', env: ['V=3'] }), 'team/many:1')
    const many = `${registry.address}/team/many:1`
    const giving = new AbortController()
    const pulls = Array.from({ length: 5 }, () => images.pull(many, {}))
    const left = images.pull(many, { signal: giving.signal })
    giving.abort()
    await t.rejects(left, { code: 'CANCELLED' })
    t.equal(new Set((await Promise.all(pulls)).map(({ id }) => id)).size, 1)
  })

  await t.test('large: with progress in bytes', async (t) => {
    const data = randomBytes(40_000_000)
    const files = [{ kind: 'file' as const, path: 'noise', data }]
    await registry.push(await busyboxImage({ name: 'x/y:1', files }), 'team/large:1')
    const seen = await all(engine.pull({ reference: `${registry.address}/team/large:1` }, never))
    const loading = seen.filter(({ step }) => step === 'downloading')
    t.ok(loading.length > 0)
    t.ok(loading.every(({ doneBytes, totalBytes }) => doneBytes > 0 && doneBytes <= totalBytes))
    t.ok((loading[0]?.totalBytes ?? 0) > data.length)
    const grows = loading.every((one, i) => one.doneBytes > (loading[i - 1]?.doneBytes ?? 0))
    t.ok(grows, 'it only grows')
  })

  await t.test('a list of platforms tells them, and this host takes its own', async (t) => {
    const own = process.arch === 'x64' ? 'amd64' : process.arch
    await registry.push(await busyboxImage({ name: 'x/y:1', env: ['FOR=own'] }), 'team/multi:own')
    await registry.push(await busyboxImage({ name: 'x/y:1', env: ['FOR=no'] }), 'team/multi:other')
    await pushList(registry.address, 'team/multi:1', { own, other: 's390x' })
    await pushList(registry.address, 'team/multi:2', { other: 's390x' })
    const offered = (tag: string) =>
      engine.resolve({ reference: `${registry.address}/team/multi:${tag}` }, never)
    t.match(await offered('1'), {
      digest: /^sha256:/,
      platforms: [
        { os: 'linux', architecture: own },
        { os: 'linux', architecture: 's390x' },
      ],
      failure: '',
      isLocal: false,
    })
    t.same((await offered('own')).platforms, [{ os: 'linux', architecture: own }])
    t.match(await offered('none'), { platforms: [], failure: /^No such image/ })
    const image = `${registry.address}/team/multi:1`
    await images.pull(image, {})
    t.equal((await runToEnd(executor, aScript('multi', 'echo $FOR', { image }))).output, 'own')
    const { digest: listed } = await offered('1')
    t.match(await offered('1'), { isLocal: true, failure: '' })
    // As services are pinned: to the list. A second pull finds it here.
    const pinned = `${image}@${listed}`
    const { id } = await images.pull(pinned, {})
    t.equal(
      (await runToEnd(executor, aScript('listed', 'echo $FOR', { image: pinned }))).output,
      'own',
    )
    const steps: string[] = []
    t.match(await images.pull(pinned, { progress: ({ step }) => steps.push(step) }), { id })
    t.same(steps, ['up to date'])
    await t.rejects(images.pull(`${registry.address}/team/multi:2`, {}), {
      code: 'IMAGE_NOT_FOUND',
      message: /for platform linux\/\S+: registry \S+ has it for linux\/s390x$/,
    })
  })

  await t.test('that does not have it, or is not there', async (t) => {
    await t.rejects(images.pull(`${registry.address}/team/none:1`, {}), {
      code: 'IMAGE_NOT_FOUND',
      message: /^No such image: /,
    })
    await t.rejects(images.pull('127.0.0.1:1/x/y', {}), { code: 'UNAVAILABLE' })
    await t.rejects(images.pull('Bad Name', {}), { code: 'INVALID_ARGUMENT' })
  })
})

/** A manifest list of tags that are there, each for an architecture. */
async function pushList(
  address: string,
  name: string,
  architectures: Readonly<Record<string, string>>,
): Promise<void> {
  const [repository = '', tag = ''] = name.split(':')
  const type = 'application/vnd.docker.distribution.manifest'
  const at = (what: string): string => `http://${address}/v2/${repository}/manifests/${what}`
  const manifests = await Promise.all(
    Object.entries(architectures).map(async ([of, architecture]) => {
      const mediaType = `${type}.v2+json`
      const answer = await fetch(at(of), { headers: { accept: mediaType } })
      const size = (await answer.arrayBuffer()).byteLength
      const digest = answer.headers.get('docker-content-digest')
      return { mediaType, size, digest, platform: { os: 'linux', architecture } }
    }),
  )
  const mediaType = `${type}.list.v2+json`
  const answer = await fetch(at(tag), {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: JSON.stringify({ schemaVersion: 2, mediaType, manifests }),
  })
  if (answer.status !== 201) throw new Error(`list ${name}: ${await answer.text()}`)
}

t.test('a registry that is not listed as insecure must speak TLS', async (t) => {
  const registry = await startRegistry()
  t.teardown(() => registry.close())
  const { images } = await aWorld(t)
  await t.rejects(images.pull(`${registry.address}/x/y:1`, {}), {
    code: 'UNAVAILABLE',
    message: /plain HTTP.*insecure registries/,
  })
})

t.test('a registry that wants a login', async (t) => {
  const bcrypt = '$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a'
  const login = { username: 'someone', password: 'secret', bcrypt }
  const registry = await startRegistry({ login })
  t.teardown(() => registry.close())
  const { images, host } = await aWorld(t, [registry.address])
  await registry.push(await busyboxImage(), 'private/app:1')
  const reference = `${registry.address}/private/app:1`
  await t.rejects(images.pull(reference, {}), { code: 'UNAUTHENTICATED' })
  const wrong = { username: 'someone', password: 'wrong' }
  await t.rejects(images.pull(reference, { auth: wrong }), { code: 'UNAUTHENTICATED' })
  t.match(await images.pull(reference, { auth: login }), { reference })
  const left = (await readdir(`${host.dirs.runDir}/images`)).filter((name) => /auth/.test(name))
  t.same(left, [], 'no credentials are left')
})

t.test('after a crash of the host amid a pull, only what was surely written counts', async (t) => {
  const { engine, executor, host } = await aWorld(t)
  await all(engine.load(inChunks(await busyboxImage({ name: 'safe/one:1' })), never))
  await all(engine.load(inChunks(await buildHelloImage('unsafe/two:1')), never))
  await executor.close()
  const state = `${host.dirs.stateDir}/image-state`
  t.equal((await readdir(`${state}/ready`)).length, 2)
  // As if power failed after the second was written and before it was known to be on disk.
  const second = (await engine.inspect({ reference: 'unsafe/two:1' })).id.slice('sha256:'.length)
  await rm(`${state}/ready/${second}`)
  await mkdir(`${state}/transfers`, { recursive: true })
  await writeFile(`${state}/transfers/cut`, 'another boot')
  const again = await host.open()
  t.match(await again.images.list(), [{ names: ['safe/one:1'] }])
  t.equal((await again.images.list()).length, 1)
  t.same(await readdir(`${state}/transfers`), [])
  const whole = await runToEnd(again.executor, aScript('whole', 'true', { image: 'safe/one:1' }))
  t.equal(whole.exitCode, 0, 'what it shared no layer with is whole')
})

t.test('after a mere restart of the daemon amid a pull, what arrived counts', async (t) => {
  const { engine, executor, host } = await aWorld(t)
  await all(engine.load(inChunks(await busyboxImage({ name: 'kept/one:1' })), never))
  const id = (await engine.inspect({ reference: 'kept/one:1' })).id.slice('sha256:'.length)
  await executor.close()
  const state = `${host.dirs.stateDir}/image-state`
  await rm(`${state}/ready/${id}`)
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  await writeFile(`${state}/transfers/cut`, boot)
  const again = await host.open()
  t.match(await again.images.list(), [{ names: ['kept/one:1'] }])
})
