// Handlers about this host's images. Transport-free: gRPC and other adapters call them; access is
// judged before.
import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { childController } from '../../proto/lib/lifecycle.ts'
import { BoundedQueue } from '../../proto/lib/queue.ts'
import type {
  PullOptions,
  PullProgress,
  RegistryAuth,
  ResolvedImage,
} from '../executor/executor.ts'
import type { BuildOptions } from '../image/build.ts'
import type { ImageFilter } from '../image/image-filters.ts'
import type { ImageSummary, Images, PrunedImages, RemovedImage } from '../image/images.ts'
import type { ImportOptions } from '../image/import.ts'
import type { OfferedImage } from '../image/offered-image.ts'
import type { PruneWish } from '../image/prune.ts'
import type { PushRequest } from '../image/push.ts'
import { type ImageConfig, layerChain } from '../image/store-index.ts'

/** A step of a pull or load; the last one of each image carries it. */
export interface ImageProgress extends PullProgress {
  readonly image?: ImageSummary
}

export interface ImageDetails extends ImageSummary {
  readonly config: ImageConfig
  /** As in the registry. */
  readonly rawConfig: string
  /** From the lowest up. */
  readonly layers: readonly LayerDetails[]
}

export interface LayerDetails {
  readonly sizeBytes: number
  /** Where it lies. */
  readonly dir: string
}

export type BuildStep =
  | { readonly kind: 'output'; readonly text: string }
  | { readonly kind: 'built'; readonly image: ImageSummary }

export interface PullRequest extends Pick<PullOptions, 'auth' | 'platform'> {
  readonly reference: string
  /** Of the repository that it names; default: one image. */
  readonly allTags?: boolean
}

/** Handlers; errors as in Images. */
export interface ImagesEngine {
  pull(request: PullRequest, signal: AbortSignal): AsyncIterable<ImageProgress>
  /** An archive in chunks. */
  load(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<ImageProgress>
  /** A file tree in chunks. */
  import(
    options: ImportOptions,
    chunks: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): AsyncIterable<ImageProgress>
  list(request: {
    readonly reference: string
    readonly filters?: readonly ImageFilter[]
  }): Promise<readonly ImageSummary[]>
  remove(request: { readonly reference: string; readonly force: boolean }): Promise<RemovedImage>
  inspect(request: { readonly reference: string }): Promise<ImageDetails>
  tag(request: { readonly source: string; readonly target: string }): Promise<void>
  /** A docker archive in pieces. */
  save(
    request: { readonly references: readonly string[] },
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>
  /** What it says, then the image; the context in chunks. */
  build(
    options: BuildOptions,
    chunks: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): AsyncIterable<BuildStep>
  prune(wish: PruneWish): Promise<PrunedImages>
  /** What its registry has; that it does not say is no error. */
  resolve(
    request: { readonly reference: string; readonly auth?: RegistryAuth },
    signal: AbortSignal,
  ): Promise<OfferedImage>
  push(
    request: Pick<PushRequest, 'reference' | 'allTags' | 'auth'>,
    signal: AbortSignal,
  ): AsyncIterable<ImageProgress>
  /** Whether the registry takes the credentials. */
  login(
    request: { readonly registry: string; readonly auth: RegistryAuth },
    signal: AbortSignal,
  ): Promise<void>
}

const stepsMax = 1024
/** Of up to 64 KiB each. */
const outputsMax = 4096

export function createImagesEngine(images: Images): ImagesEngine {
  return {
    pull: (request, signal) =>
      steps(signal, async (progress, inner) => {
        const { reference, allTags = false, ...rest } = request
        const options = { ...rest, signal: inner, progress }
        const pulled = allTags
          ? await images.pullAll(reference, options)
          : [await images.pull(reference, options)]
        return await Promise.all(
          pulled.map(async (one) => calledFirst(await images.get(one.id), one)),
        )
      }),
    load: (chunks, signal) =>
      steps(signal, (progress, inner) => {
        const write = receiver(chunks, progress, inner)
        return images.load({ write, signal: inner, progress })
      }),
    import: (options, chunks, signal) =>
      steps(signal, async (progress, inner) => {
        const write = receiver(chunks, progress, inner)
        return [await images.import({ options, write, signal: inner, progress })]
      }),
    list: ({ reference, filters }) => images.list(reference, filters),
    remove: ({ reference, force }) => images.remove(reference, force),
    resolve: ({ reference, auth }, signal) => images.offered(reference, signal, auth),
    push: (request, signal) =>
      steps(signal, async (progress, inner) => {
        await images.push({ ...request, progress, signal: inner })
        return []
      }),
    login: ({ registry, auth }, signal) => images.login(registry, auth, signal),
    inspect: ({ reference }) => inspect(images, reference),
    tag: ({ source, target }) => images.tag(source, target),
    save: ({ references }, signal) => images.save(references, signal),
    prune: (wish) => images.prune(wish),
    build: (options, chunks, signal) => buildSteps(images, { options, chunks }, signal),
  }
}

/** Of its names and digests those that it was asked for by are the first. */
function calledFirst(image: ImageSummary, { reference, digest = '' }: ResolvedImage): ImageSummary {
  const first = (all: readonly string[], isIt: (one: string) => boolean): readonly string[] => [
    ...all.filter(isIt),
    ...all.filter((one) => !isIt(one)),
  ]
  return {
    ...image,
    names: first(image.names, (name) => name === reference),
    digests: first(image.digests, (one) => one.endsWith(`@${digest}`)),
  }
}

/** Writes what comes to a file, and tells how much it is. */
function receiver(
  chunks: AsyncIterable<Uint8Array>,
  progress: (step: PullProgress) => void,
  signal: AbortSignal,
): (path: string) => Promise<void> {
  let doneBytes = 0
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      doneBytes += chunk.length
      progress({ step: 'receiving', subject: 'archive', doneBytes, totalBytes: 0 })
      yield chunk
    }
  }
  return (path) =>
    pipeline(Readable.from(counted()), createWriteStream(path, { mode: 0o600 }), { signal })
}

interface BuildAsked {
  readonly options: BuildOptions
  readonly chunks: AsyncIterable<Uint8Array>
}

/** All that the build says, however slow the reader is: it waits in memory, up to a bound. One who leaves ends the build. */
async function* buildSteps(
  images: Images,
  { options, chunks }: BuildAsked,
  signal: AbortSignal,
): AsyncGenerator<BuildStep, void, undefined> {
  const queue = new BoundedQueue<BuildStep>(outputsMax)
  const { controller, release } = childController(signal)
  let image: ImageSummary | undefined
  const done = images
    .build({
      options,
      signal: controller.signal,
      write: (path) =>
        pipeline(Readable.from(chunks), createWriteStream(path, { mode: 0o600 }), {
          signal: controller.signal,
        }),
      output: (text) => queue.offer({ kind: 'output', text }),
    })
    .then(
      (result) => {
        image = result
        queue.close()
      },
      (err: unknown) => queue.close(err instanceof Error ? err : new Error(String(err))),
    )
  try {
    yield* queue
    if (image !== undefined) yield { kind: 'built', image }
  } finally {
    release()
    controller.abort()
    await done
  }
}

async function inspect(images: Images, reference: string): Promise<ImageDetails> {
  const { store } = images
  const stored = await store.get(reference)
  const layers = layerChain(stored, await store.layers()).map(({ id, sizeBytes }) => ({
    sizeBytes,
    dir: `${store.paths.rootDir}/overlay/${id}/diff`,
  }))
  return {
    ...(await images.get(`sha256:${stored.id}`)),
    config: await store.config(stored),
    rawConfig: await store.configText(stored),
    layers: layers.toReversed(),
  }
}

type Work = (
  progress: (step: PullProgress) => void,
  signal: AbortSignal,
) => Promise<readonly ImageSummary[]>

/**
 * The steps of the work as it goes, then its images. A reader who lags misses steps, never the
 * images; one who leaves aborts the work.
 */
async function* steps(signal: AbortSignal, work: Work): AsyncGenerator<ImageProgress> {
  const queue = new BoundedQueue<ImageProgress>(stepsMax)
  const { controller, release } = childController(signal)
  let images: readonly ImageSummary[] = []
  const done = work((step) => queue.offer(step), controller.signal).then(
    (result) => {
      images = result
      queue.close()
    },
    (err: unknown) => queue.close(err instanceof Error ? err : new Error(String(err))),
  )
  try {
    yield* queue
    for (const image of images) {
      const subject = image.names[0] ?? image.id
      const { sizeBytes } = image
      yield { step: 'done', subject, doneBytes: sizeBytes, totalBytes: sizeBytes, image }
    }
  } finally {
    release()
    controller.abort()
    await done
  }
}
