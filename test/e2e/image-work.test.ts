// What a node does with its images beside running them: names, archives, what nobody needs any more.
import { createWriteStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { runCommand } from '../../proto/lib/command.ts'
import { writeTar } from '../../proto/lib/tar.ts'
import { createImagesEngine } from '../../worker/engine/images.ts'
import type { BuildOptions } from '../../worker/image/build.ts'
import type { ImageSummary } from '../../worker/image/images.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aScript } from '../support/container-configs.ts'
import { createExecutorHost, loadImage, never, runToEnd } from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(600_000)

const noOptions: BuildOptions = {
  ...{ tags: [], dockerfile: '', buildArgs: [], target: '', noCache: false, pull: false },
  ...{ network: '', credentials: [] },
}

function aDockerfile(text: string): Uint8Array {
  return writeTar([{ kind: 'file', path: 'Dockerfile', data: Buffer.from(text) }])
}

t.test('names, archives, builds and prunes of one host', async (t) => {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { images, executor } = await host.open()
  const engine = createImagesEngine(images)
  const names = async (): Promise<readonly string[]> =>
    (await engine.list({ reference: '' })).flatMap((image) => image.names).toSorted()
  const labels = { stage: 'test' }
  await loadImage(images, await busyboxImage({ name: 'work/one:1', env: ['V=1'], labels }))
  await loadImage(images, await busyboxImage({ name: 'work/two:1', env: ['V=2'] }))
  const one = await engine.inspect({ reference: 'work/one:1' })

  await t.test('a tag is one more name of the image, and taken from another', async (t) => {
    await engine.tag({ source: 'work/one:1', target: 'work/both:1' })
    await engine.tag({ source: one.id, target: 'r.lan:5000/one' })
    t.same(await names(), ['r.lan:5000/one:latest', 'work/both:1', 'work/one:1', 'work/two:1'])
    await engine.tag({ source: 'work/two:1', target: 'work/both:1' })
    const moved = await engine.inspect({ reference: 'work/both:1' })
    t.same(moved.names.toSorted(), ['work/both:1', 'work/two:1'])
    t.same((await engine.inspect({ reference: one.id })).names.length, 2)
    const run = await runToEnd(executor, aScript('both', 'echo $V', { image: 'work/both:1' }))
    t.equal(run.output, '2')
    await executor.remove('both')
    await t.rejects(engine.tag({ source: 'none', target: 'x' }), { code: 'IMAGE_NOT_FOUND' })
    await t.rejects(engine.tag({ source: one.id, target: 'Bad' }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(engine.tag({ source: one.id, target: `x@sha256:${'0'.repeat(64)}` }), {
      code: 'INVALID_ARGUMENT',
      message: /with a digest/,
    })
  })

  await t.test('inspect tells the layers that are there', async (t) => {
    t.equal(one.layers.length, 1)
    t.ok((await readdir(one.layers[0]?.dir ?? '')).includes('bin'))
    t.equal(one.layers[0]?.sizeBytes, one.sizeBytes)
  })

  const archive = `${host.scratchDir}/saved.tar`
  const save = (references: readonly string[]): Promise<void> =>
    pipeline(Readable.from(engine.save({ references }, never)), createWriteStream(archive))

  await t.test('what is saved is loaded by a host that has nothing', async (t) => {
    await save(['work/one:1', 'work/both', 'work/two:1'])
    const listed = await runCommand(['tar', '-tf', archive])
    t.equal(listed.stdout.split('\n').filter((name) => name === 'manifest.json').length, 1)
    const other = await createExecutorHost()
    t.teardown(() => other.dispose())
    const opened = await other.open()
    const load = (path: string) =>
      opened.images.load({
        write: async (to) => {
          await runCommand(['cp', path, to])
        },
        signal: never,
        progress: () => {},
      })
    const loaded = await load(archive)
    t.same(loaded.flatMap((image) => image.names).toSorted(), [
      'work/both:1',
      'work/one:1',
      'work/two:1',
    ])
    t.ok(
      loaded.some(({ id }) => id === one.id),
      'the same image, by its id',
    )
    const script = aScript('loaded', 'echo $V', { image: 'work/both:1' })
    t.equal((await runToEnd(opened.executor, script)).output, '2')
    await save([one.id])
    t.match(await load(archive), [{ id: one.id }], 'one image, by its id')
    await t.rejects(save(['work/one:1', 'none']), { code: 'IMAGE_NOT_FOUND' })
    t.same(await readdir(`${host.dirs.stateDir}/image-state/tmp`), [], 'nothing is left')
    t.same(await readdir(`${host.dirs.stateDir}/image-state/transfers`), [])
  })

  await t.test('a build is in the store at once, and its steps serve the next', async (t) => {
    const dockerfile = [
      'FROM work/one:1 AS base',
      'ARG WHO=nobody',
      'RUN echo "for $WHO" >/who; echo said',
      'FROM base AS extra',
      'RUN echo extra >/extra',
      'FROM base',
      'COPY . /ctx/',
      'COPY --from=extra /extra /extra',
      'HEALTHCHECK CMD cat /who',
      'CMD ["sh", "-c", "cat /who /extra; ls /ctx; echo $V"]',
    ]
    const options = { ...noOptions, tags: ['work/built:1'], buildArgs: ['WHO=me'] }
    const context = writeTar([
      { kind: 'file', path: 'Dockerfile', data: Buffer.from(dockerfile.join('\n')) },
      { kind: 'file', path: '.dockerignore', data: Buffer.from('*ignore*\nDockerfile\n') },
      { kind: 'file', path: 'ignored', data: Buffer.from('not in it') },
      { kind: 'file', path: 'kept', data: Buffer.from('in it') },
    ])
    const build = async (over: Partial<BuildOptions> = {}, tar: Uint8Array = context) => {
      let text = ''
      let built: ImageSummary | undefined
      const pieces = (async function* () {
        yield tar
      })()
      for await (const step of engine.build({ ...options, ...over }, pieces, never)) {
        if (step.kind === 'output') text += step.text
        else built = step.image
      }
      return { text, built }
    }
    const first = await build()
    t.match(first.built, { names: ['work/built:1'] })
    t.match(first.text, /^said$/m, 'what its commands say is told')
    const run = await runToEnd(executor, aContainer('built', { image: 'work/built:1' }))
    t.equal(run.output, 'for me\nextra\nkept\n1')
    await executor.remove('built')
    const { config } = await engine.inspect({ reference: 'work/built:1' })
    t.same(config.health.test, ['CMD-SHELL', 'cat /who'])
    t.equal((await engine.list({ reference: '' })).length, 3, 'its steps are no images')

    const again = await build({ tags: ['work/built:2'] })
    t.equal(again.built?.id, first.built?.id, 'all of it was there')
    t.notMatch(again.text, /^said$/m)
    const stage = await build({ tags: ['work/stage:1'], target: 'extra' })
    t.not(stage.built?.id, first.built?.id)

    for (const [over, tar, text] of [
      [{}, aDockerfile('FROM work/one:1\nRUN exit 7'), /exit status 7/],
      [{ target: 'none' }, context, /"none" was not found/],
      [{}, Buffer.from('no tar'), /the build context is no tar/],
      [{ tags: ['Bad'] }, context, /must be lowercase/],
      [{ network: 'ns' }, context, /is not for builds/],
    ] as const) {
      await t.rejects(build(over, tar), { code: 'INVALID_ARGUMENT', message: text })
    }
    const gone = await engine.prune({ all: false, untilMs: 0, labels: [], otherLabels: [] })
    t.same(gone.deleted, [])
    t.equal((await images.store.listAll()).length, 4, 'the steps are gone')
    for (const reference of ['work/built:1', 'work/built:2', 'work/stage:1']) {
      await engine.remove({ reference, force: false })
    }
  })

  await t.test('a build that is given up leaves nothing', async (t) => {
    const giving = new AbortController()
    const sleeper = aDockerfile('FROM work/one:1\nRUN echo begun; sleep 1000')
    const pieces = (async function* () {
      yield sleeper
    })()
    let text = ''
    const building = (async () => {
      for await (const step of engine.build(noOptions, pieces, giving.signal)) {
        if (step.kind === 'output') text += step.text
        if (/^begun$/m.test(text)) giving.abort()
      }
    })()
    await t.rejects(building, { code: 'CANCELLED' })
    await eventually(async () => {
      const { processes, cgroups } = await host.leftovers()
      return processes.filter((line) => /buildah|sleep/.test(line)).length + cgroups.length === 0
    }, 'its processes and groups are gone')
    t.same(await images.store.containers(), [])
    t.same(await readdir(`${host.dirs.stateDir}/image-state/tmp`), [])
  })

  await t.test('a prune leaves what has a name, or a container', async (t) => {
    const wish = { all: false, untilMs: 0, labels: [], otherLabels: [] }
    t.match(await engine.prune(wish), { deleted: [], reclaimedBytes: 0 })
    await executor.create(aContainer('uses', { image: 'work/both:1' }), never)
    const pruned = await engine.prune({ ...wish, all: true, labels: ['stage=test'] })
    t.match(pruned, { deleted: [one.id], reclaimedBytes: 0 }, 'its layer is the other one’s too')
    t.same(pruned.untagged.toSorted(), ['r.lan:5000/one:latest', 'work/one:1'])
    t.match(await engine.prune({ ...wish, all: true }), { deleted: [] }, 'a container uses it')
    await executor.remove('uses')
    const last = await engine.prune({ ...wish, all: true })
    t.equal(last.deleted.length, 1)
    t.equal(last.reclaimedBytes, one.sizeBytes)
    t.same(await names(), [])
  })
})
