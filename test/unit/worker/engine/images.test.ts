import { mkdtemp, readFile, rm } from 'node:fs/promises'
import t from 'tap'
import { SwarmError } from '../../../../proto/errors.ts'
import { createImagesEngine, type ImageProgress } from '../../../../worker/engine/images.ts'
import type { PullOptions } from '../../../../worker/executor/executor.ts'
import type { ImageSummary, Images } from '../../../../worker/image/images.ts'
import type { LoadRequest } from '../../../../worker/image/load.ts'

const summary: ImageSummary = {
  id: 'sha256:1',
  names: ['a:1'],
  digests: [],
  sizeBytes: 7,
  createdAtMs: 0,
}
const step = { step: 'downloading', subject: 'a', doneBytes: 1, totalBytes: 2 }
const never = new AbortController().signal

/** An engine over what a test says of pull and load. */
function anEngine(over: {
  readonly pull?: (reference: string, options: PullOptions) => Promise<unknown>
  readonly load?: (request: LoadRequest) => Promise<readonly ImageSummary[]>
}) {
  const images = { get: () => Promise.resolve(summary), ...over }
  return createImagesEngine(images as unknown as Images)
}

async function all(steps: AsyncIterable<ImageProgress>): Promise<readonly ImageProgress[]> {
  const seen: ImageProgress[] = []
  for await (const one of steps) seen.push(one)
  return seen
}

t.test('a pull gives its steps, then the image', async (t) => {
  const engine = anEngine({
    pull: async (reference, { progress, auth }) => {
      t.equal(reference, 'a:1')
      t.same(auth, { username: 'u', password: 'p' })
      progress?.(step)
      return { id: 'sha256:1' }
    },
  })
  const auth = { username: 'u', password: 'p' }
  t.same(await all(engine.pull({ reference: 'a:1', auth }, never)), [
    step,
    { step: 'done', subject: 'a:1', doneBytes: 7, totalBytes: 7, image: summary },
  ])
})

t.test('a failure comes after the steps', async (t) => {
  const engine = anEngine({
    pull: async (_, { progress }) => {
      progress?.(step)
      throw new SwarmError('IMAGE_NOT_FOUND', 'none')
    },
  })
  const seen: ImageProgress[] = []
  await t.rejects(
    async () => {
      for await (const one of engine.pull({ reference: 'a' }, never)) seen.push(one)
    },
    { code: 'IMAGE_NOT_FOUND' },
  )
  t.same(seen, [step])
})

t.test('a reader who lags misses steps, never the image', async (t) => {
  const engine = anEngine({
    pull: async (_, { progress }) => {
      for (let i = 0; i < 5_000; i++) progress?.({ ...step, doneBytes: i })
      return { id: 'sha256:1' }
    },
  })
  const seen = await all(engine.pull({ reference: 'a' }, never))
  t.ok(seen.length < 5_000)
  t.same(seen.at(-1)?.image, summary)
})

t.test('a reader who leaves and a signal that aborts both end the work', async (t) => {
  const engine = anEngine({
    pull: (_, { progress, signal }) => {
      progress?.(step)
      return new Promise((_resolve, reject) => {
        const abort = (): void => reject(new SwarmError('CANCELLED', 'given up'))
        if (signal?.aborted) abort()
        signal?.addEventListener('abort', abort)
      })
    },
  })
  for await (const one of engine.pull({ reference: 'a' }, never)) {
    t.same(one, step)
    break
  }
  const controller = new AbortController()
  const reading = all(engine.pull({ reference: 'a' }, controller.signal))
  controller.abort()
  await t.rejects(reading, { code: 'CANCELLED' })
})

t.test('an archive is written down as it comes, and counted', async (t) => {
  const dir = await mkdtemp('/tmp/tsswarm-load-')
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const engine = anEngine({
    load: async ({ write }) => {
      await write(`${dir}/archive`)
      return [summary, { ...summary, names: [], id: 'sha256:2' }]
    },
  })
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one')
    yield Buffer.from('two')
  }
  const seen = await all(engine.load(chunks(), never))
  t.equal(await readFile(`${dir}/archive`, 'utf8'), 'onetwo')
  t.match(seen, [
    { step: 'receiving', doneBytes: 3 },
    { step: 'receiving', doneBytes: 6 },
    { step: 'done', subject: 'a:1' },
    { step: 'done', subject: 'sha256:2' },
  ])
})
