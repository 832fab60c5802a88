// What a node does with its images beside running them: names, archives, what nobody needs any more.
import { createReadStream, createWriteStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { writeTar } from '../../proto/lib/tar.ts'
import { createImagesEngine, type ImageProgress } from '../../worker/engine/images.ts'
import { serviceIdLabel } from '../../worker/executor/executor.ts'
import type { BuildOptions } from '../../worker/image/build.ts'
import { type GcLimits, gcLimits } from '../../worker/image/eviction.ts'
import { ImageCollector } from '../../worker/image/image-collector.ts'
import type { ImageSummary } from '../../worker/image/images.ts'
import type { ImportOptions } from '../../worker/image/import.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aScript } from '../support/container-configs.ts'
import { createExecutorHost, loadImage, never, runToEnd } from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(600_000)

const noOptions: BuildOptions = {
  ...{ tags: [], dockerfile: '', buildArgs: [], target: '', noCache: false, pull: false },
  ...{ network: '', credentials: [], labels: [] },
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
    const labels = ['of=me', "words=it's $V"]
    const labelled = await build({ tags: ['work/built:2'], labels })
    const own = await engine.inspect({ reference: 'work/built:2' })
    t.match(labelled.text, /^Successfully tagged docker\.io\/work\/built:2$/m, 'to its end')
    t.match(own.config.labels, { of: 'me', words: "it's $V", stage: 'test' })
    t.same(own.config.command.length, 3, 'the rest is as it was')
    t.equal((await build({ tags: ['work/built:2'], labels })).built?.id, labelled.built?.id)
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
    t.equal((await images.store.listAll()).length, 5, 'the steps are gone')
    for (const reference of ['work/built:1', 'work/built:2', 'work/stage:1']) {
      await engine.remove({ reference, force: false })
    }
  })

  await t.test('an archive of files becomes an image', async (t) => {
    const { layers } = one
    const tree = `${host.scratchDir}/tree.tar.gz`
    await runCommand(['tar', '-C', layers[0]?.dir ?? '', '-czf', tree, '.'])
    const options: ImportOptions = {
      reference: 'work/tree',
      changes: ['CMD ["sh", "-c", "echo $V; id -u; pwd"]', 'ENV V=3', 'USER 7', 'WORKDIR /tmp'],
      message: 'as it was',
      platform: '',
    }
    const importTree = async (over: Partial<ImportOptions>, bytes: AsyncIterable<Uint8Array>) => {
      const steps: ImageProgress[] = []
      for await (const step of engine.import({ ...options, ...over }, bytes, never)) {
        steps.push(step)
      }
      return steps
    }
    const steps = await importTree({}, createReadStream(tree))
    t.match(steps[0], { step: 'receiving', subject: 'archive' })
    t.match(steps.at(-1), { step: 'done', image: { names: ['work/tree:latest'] } })
    const run = await runToEnd(executor, aContainer('tree', { image: 'work/tree' }))
    t.equal(run.output, '3\n7\n/tmp')
    await executor.remove('tree')
    const { rawConfig, id } = await engine.inspect({ reference: 'work/tree' })
    const comment = 'as it was'
    t.match(JSON.parse(rawConfig), { os: 'linux', comment, history: [{ comment }] })
    const other = await importTree(
      { reference: '', platform: 'linux/arm64' },
      createReadStream(tree),
    )
    t.match(other.at(-1)?.image, { names: [] })
    t.not(other.at(-1)?.image?.id, id)
    for (const [over, text, message] of [
      [{}, '', /no tar archive: it is empty/],
      [{}, 'x'.repeat(2000), /no tar archive/],
      [{ changes: ['RUN x'] }, '', /RUN is no change/],
      [{ reference: 'Bad' }, '', /must be lowercase/],
    ] as const) {
      const broken = importTree(over, Readable.from([Buffer.from(text)]))
      await t.rejects(broken, { code: 'INVALID_ARGUMENT', message })
    }
    t.same(await readdir(`${host.dirs.stateDir}/image-state/tmp`), [], 'nothing is left')
    for (const image of [id, other.at(-1)?.image?.id ?? '']) {
      await engine.remove({ reference: image, force: true })
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

  await t.test('what nothing uses goes when there is too much of it', async (t) => {
    const labels = { [serviceIdLabel]: 's1' }
    for (const version of ['1', '2', '3']) {
      const image = `work/v:${version}`
      await loadImage(images, await busyboxImage({ name: image, env: [`V=${version}`] }))
      await executor.create(aContainer(`v${version}`, { image, labels }), never)
      if (version !== '3') await executor.remove(`v${version}`)
    }
    await loadImage(images, await busyboxImage({ name: 'work/other:1', env: ['V=4'] }))
    const an = (limits: GcLimits, laterMs: number) =>
      new ImageCollector({
        ...{ images, limits: () => limits, log: silentLogger },
        clock: { ...systemClock, wallMs: () => systemClock.wallMs() + laterMs },
        services: async () =>
          new Set(
            (await executor.list()).flatMap(({ config }) => config.labels[serviceIdLabel] ?? []),
          ),
        onConditions: (conditions) => {
          told = conditions.map(({ code }) => code)
        },
      })
    let told: readonly string[] = []
    const stored = await images.store.list()
    await loadImage(images, await busyboxImage({ name: 'work/mine:1', env: ['V=5'] }))
    for (const { id } of stored)
      images.uses.notePulled(id, { repository: 'r.lan/x', digest: 'sha256:1' })
    const hour = 3_600_000
    t.equal(await an(gcLimits('1TB', '1TB', 2), hour).look(), undefined, 'there is room')
    t.equal(await an(gcLimits('off', '', 2), hour).look(), undefined)
    t.match(await an(gcLimits('1', '0', 2), 0).look(), { deleted: [] }, 'all were used just now')
    t.same(told, ['IMAGES_FILL_DISK'])
    const gone = await an(gcLimits('1', '0', 2), hour).look()
    t.same(gone?.untagged.toSorted(), ['work/other:1', 'work/v:1'])
    t.same(told, ['IMAGES_FILL_DISK', 'IMAGES_REMOVED'])
    const kept = ['work/mine:1', 'work/v:2', 'work/v:3']
    t.same(await names(), kept, 'the last two of the service, and what no registry gave')
    await images.uses.save(silentLogger)
    await executor.remove('v3')
    t.equal((await an(gcLimits('1', '0', 2), hour).look())?.deleted.length, 2)
    t.same(told, ['IMAGES_FILL_DISK', 'IMAGES_REMOVED'])
    t.same(await names(), ['work/mine:1'])
  })
})
