// Images of this host over the Daemon service: gRPC messages to the engine's handlers and back.
import type { HandlerTable } from '../../manager/rpc/adapter.ts'
import type { Caller } from '../../manager/rpc/caller.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  ImageInfo,
  ImageProgress,
  ListImagesRequest,
  ListImagesResponse,
  LoadImageRequest,
  PullImageRequest,
  RemoveImageRequest,
  RemoveImageResponse,
  ResolveImageRequest,
  ResolveImageResponse,
} from '../../proto/gen/tsswarm/v1/daemon.ts'
import type {
  InspectImageRequest,
  InspectImageResponse,
  PruneImagesRequest,
  PruneImagesResponse,
  SaveImagesChunk,
  SaveImagesRequest,
  TagImageRequest,
  TagImageResponse,
} from '../../proto/gen/tsswarm/v1/image.ts'
import type { ImagesEngine, ImageProgress as Step } from '../../worker/engine/images.ts'
import type { RegistryAuth } from '../../worker/executor/executor.ts'
import type { ImageSummary } from '../../worker/image/images.ts'

/** The methods of the Daemon service about images. */
export function imageHandlers(images: ImagesEngine): HandlerTable {
  return {
    async *pullImage(_: Caller, request: PullImageRequest, signal: AbortSignal) {
      const auth = parseAuth(request.auth)
      const pull = { reference: request.reference, ...(auth === undefined ? {} : { auth }) }
      for await (const step of images.pull(pull, signal)) yield progress(step)
    },
    loadImage: async (
      _: Caller,
      incoming: AsyncIterable<LoadImageRequest>,
      send: (message: ImageProgress) => Promise<void>,
      signal: AbortSignal,
    ) => {
      for await (const step of images.load(chunksOf(incoming), signal)) await send(progress(step))
    },
    listImages: async (_: Caller, request: ListImagesRequest): Promise<ListImagesResponse> => ({
      images: (await images.list(request)).map(imageInfo),
    }),
    resolveImage: async (
      _: Caller,
      request: ResolveImageRequest,
      signal: AbortSignal,
    ): Promise<ResolveImageResponse> => await images.resolve(request, signal),
    removeImage: async (_: Caller, request: RemoveImageRequest): Promise<RemoveImageResponse> => {
      const { untagged, deleted } = await images.remove(request)
      return { untagged, deleted }
    },
    ...localImageHandlers(images),
  }
}

/** What no registry is asked for. */
function localImageHandlers(images: ImagesEngine): HandlerTable {
  return {
    tagImage: async (_: Caller, request: TagImageRequest): Promise<TagImageResponse> => {
      await images.tag(request)
      return {}
    },
    inspectImage: async (
      _: Caller,
      request: InspectImageRequest,
    ): Promise<InspectImageResponse> => {
      const { id, names, digests, sizeBytes, rawConfig, layers } = await images.inspect(request)
      return { id, names, digests, sizeBytes, config: rawConfig, layers }
    },
    async *saveImages(
      _: Caller,
      request: SaveImagesRequest,
      signal: AbortSignal,
    ): AsyncGenerator<SaveImagesChunk> {
      for await (const chunk of images.save(request, signal)) yield { chunk }
    },
    pruneImages: async (_: Caller, request: PruneImagesRequest): Promise<PruneImagesResponse> =>
      await images.prune(request),
  }
}

async function* chunksOf(
  incoming: AsyncIterable<LoadImageRequest>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { chunk } of incoming) yield chunk
}

function progress(step: Step): ImageProgress {
  return {
    step: step.step,
    subject: step.subject,
    doneBytes: step.doneBytes,
    totalBytes: step.totalBytes,
    image: step.image === undefined ? undefined : imageInfo(step.image),
  }
}

function imageInfo(image: ImageSummary): ImageInfo {
  const { id, names, digests, sizeBytes, createdAtMs } = image
  return { id, names, digests, sizeBytes, createdAtMs }
}

/** Errors: INVALID_ARGUMENT. Never repeats the text: it is a secret. */
function parseAuth(text: string): RegistryAuth | undefined {
  if (text === '') return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'))
    const { username, password } = value as Readonly<Record<string, unknown>>
    if (typeof username === 'string' && typeof password === 'string') return { username, password }
  } catch (err) {
    throw badAuth(err)
  }
  throw badAuth()
}

function badAuth(cause?: unknown): SwarmError {
  return new SwarmError(
    'INVALID_ARGUMENT',
    'the registry credentials are not valid: they must be base64 of {"username": …, "password": …}',
    { cause },
  )
}
