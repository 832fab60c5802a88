// Images of this host over the Daemon service: gRPC messages to the engine's handlers and back.
import type { HandlerTable } from '../../manager/rpc/adapter.ts'
import type { Caller } from '../../manager/rpc/caller.ts'
import { badAuth, parseRegistryAuth } from '../../proto/codec/registry-login.ts'
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
  BuildImageOptions,
  BuildImageProgress,
  BuildImageRequest,
  ImportImageOptions,
  ImportImageRequest,
  InspectImageRequest,
  InspectImageResponse,
  LoginRegistryRequest,
  LoginRegistryResponse,
  PruneImagesRequest,
  PruneImagesResponse,
  PushImageRequest,
  SaveImagesChunk,
  SaveImagesRequest,
  TagImageRequest,
  TagImageResponse,
} from '../../proto/gen/tsswarm/v1/image.ts'
import { chainText } from '../../proto/lib/error-chain.ts'
import type { ImagesEngine, ImageProgress as Step } from '../../worker/engine/images.ts'
import type { BuildOptions } from '../../worker/image/build.ts'
import type { ImageSummary } from '../../worker/image/images.ts'

/** The methods of the Daemon service about images. */
export function imageHandlers(images: ImagesEngine): HandlerTable {
  return {
    async *pullImage(_: Caller, request: PullImageRequest, signal: AbortSignal) {
      const auth = parseRegistryAuth(request.auth)
      const { reference, allTags, platform } = request
      const pull = {
        ...{ reference, allTags },
        ...(auth === undefined ? {} : { auth }),
        ...(platform === '' ? {} : { platform }),
      }
      for await (const step of told(images.pull(pull, signal))) yield progress(step)
    },
    loadImage: async (
      _: Caller,
      incoming: AsyncIterable<LoadImageRequest>,
      send: (message: ImageProgress) => Promise<void>,
      signal: AbortSignal,
    ) => {
      for await (const step of images.load(chunksOf(incoming), signal)) await send(progress(step))
    },
    importImage: async (
      _: Caller,
      incoming: AsyncIterable<ImportImageRequest>,
      send: (message: ImageProgress) => Promise<void>,
      signal: AbortSignal,
    ) => {
      const { options, chunks } = await optionsFirst<ImportImageOptions>(incoming, 'an import')
      for await (const step of images.import(options, chunks, signal)) await send(progress(step))
    },
    listImages: async (_: Caller, request: ListImagesRequest): Promise<ListImagesResponse> => ({
      images: (await images.list(request)).map(imageInfo),
    }),
    resolveImage: async (
      _: Caller,
      request: ResolveImageRequest,
      signal: AbortSignal,
    ): Promise<ResolveImageResponse> => {
      const auth = parseRegistryAuth(request.auth)
      const { reference } = request
      return await images.resolve({ reference, ...(auth === undefined ? {} : { auth }) }, signal)
    },
    async *pushImage(_: Caller, request: PushImageRequest, signal: AbortSignal) {
      const auth = parseRegistryAuth(request.auth)
      for await (const step of told(images.push({ ...request, auth }, signal))) yield progress(step)
    },
    loginRegistry: async (
      _: Caller,
      request: LoginRegistryRequest,
      signal: AbortSignal,
    ): Promise<LoginRegistryResponse> => {
      const auth = parseRegistryAuth(request.auth)
      if (auth === undefined) throw badAuth()
      await images.login({ registry: request.registry, auth }, signal)
      return {}
    },
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
    buildImage: async (
      _: Caller,
      incoming: AsyncIterable<BuildImageRequest>,
      send: (message: BuildImageProgress) => Promise<void>,
      signal: AbortSignal,
    ) => {
      const { options, chunks } = await buildRequest(incoming)
      for await (const step of images.build(options, chunks, signal)) {
        await send(
          step.kind === 'output'
            ? { output: step.text, imageId: '' }
            : { output: '', imageId: step.image.id },
        )
      }
    },
    pruneImages: async (_: Caller, request: PruneImagesRequest): Promise<PruneImagesResponse> =>
      await images.prune(request),
  }
}

/** Errors: INVALID_ARGUMENT. */
async function buildRequest(incoming: AsyncIterable<BuildImageRequest>): Promise<{
  readonly options: BuildOptions
  readonly chunks: AsyncIterable<Uint8Array>
}> {
  const { options, chunks } = await optionsFirst<BuildImageOptions>(incoming, 'a build')
  const credentials = options.credentials.map(({ registry, auth }) => {
    const known = parseRegistryAuth(auth)
    if (known === undefined) throw badAuth()
    return { registry, ...known }
  })
  return { options: { ...options, credentials }, chunks }
}

type Piece<O> =
  | { readonly $case: 'options'; readonly value: O }
  | { readonly $case: 'chunk'; readonly value: Uint8Array }

/** Errors: INVALID_ARGUMENT. */
async function optionsFirst<O>(
  incoming: AsyncIterable<{ readonly kind?: Piece<O> | undefined }>,
  what: string,
): Promise<{ readonly options: O; readonly chunks: AsyncIterable<Uint8Array> }> {
  const messages = incoming[Symbol.asyncIterator]()
  const first = await messages.next()
  const kind = first.done === true ? undefined : first.value.kind
  if (kind?.$case !== 'options') {
    throw new SwarmError('INVALID_ARGUMENT', `${what} begins with its options`)
  }
  const chunks = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      if (next.value.kind?.$case === 'chunk') yield next.value.kind.value
    }
  }
  return { options: kind.value, chunks: chunks() }
}

async function* chunksOf(
  incoming: AsyncIterable<LoadImageRequest>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { chunk } of incoming) yield chunk
}

/** With the registry's own words, which a client would not see: causes do not travel. */
async function* told(steps: AsyncIterable<Step>): AsyncGenerator<Step, void, undefined> {
  try {
    yield* steps
  } catch (err) {
    if (!(err instanceof SwarmError)) throw err
    throw new SwarmError(err.code, chainText(err), { details: err.details, cause: err })
  }
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
