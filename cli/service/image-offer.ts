// What a service makes of what its image's registry says, which the daemon that the command speaks to asks, as Docker's client does: the tag is
// pinned to the digest that it has now, so that all tasks run one image and going back brings back the former; and tasks go to nodes of the
// platforms there are. Source: swarm-semantics 2 (Placement.Platforms), 3.1 (--no-resolve-image), 7.5 (image).
import { hasCode } from '../../proto/errors.ts'
import {
  DaemonService,
  type ResolveImageRequest,
  type ResolveImageResponse,
} from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Client } from '../client.ts'
import type { CommandContext } from '../context.ts'
import { authFor } from '../credentials.ts'

type Platforms = ServiceSpec['task']['placement']['platforms']

/** What a registry has under an image's name. */
export interface ImageOffer {
  /** Empty: it is not known. */
  readonly digest: string
  readonly platforms: Platforms
}

/** A spec has room for so many. */
const platformsMax = 64
/** Longer than the daemon waits for a registry. */
const askMs = 30_000

/**
 * What the registry of the image offers; undefined: it does not say, which is warned of unless this host has the image, or the daemon
 * is of a version that does not ask. Errors: CANCELLED.
 */
export async function offeredImage(
  ctx: CommandContext,
  client: Client,
  image: string,
): Promise<ImageOffer | undefined> {
  const answer = await askedOf(client, { reference: image, auth: await authFor(ctx.env, image) })
  if (answer === undefined) return undefined
  const { failure, isLocal, digest, platforms } = answer
  if (failure === '') return { digest, platforms: platforms.slice(0, platformsMax) }
  if (!isLocal) {
    ctx.stderr.write(
      `Warning: the registry does not say what it has as ${image}: each node asks it by itself, and tasks go to nodes of any platform. ${failure}\n`,
    )
  }
  return undefined
}

/** Undefined: that is not for this call to tell. */
async function askedOf(
  client: Client,
  request: ResolveImageRequest,
): Promise<ResolveImageResponse | undefined> {
  try {
    return await client.call(DaemonService.resolveImage, request, { timeoutMs: askMs })
  } catch (err) {
    if (hasCode(err, 'CANCELLED')) throw err
    // Of what is no reference the managers' own refusal tells more.
    if (hasCode(err, 'UNSUPPORTED', 'INVALID_ARGUMENT')) return undefined
    const failure = err instanceof Error ? err.message : String(err)
    return { digest: '', platforms: [], failure, isLocal: false }
  }
}

/** Of a new service. Platforms that its spec names stay. */
export async function withOffer(
  ctx: CommandContext,
  client: Client,
  spec: ServiceSpec,
): Promise<ServiceSpec> {
  const offer = await offeredImage(ctx, client, spec.task.container.image)
  if (offer === undefined) return spec
  const { platforms } = spec.task.placement
  return asOffered(spec, platforms.length > 0 ? { ...offer, platforms } : offer)
}

/** With the image pinned and on its platforms. */
export function asOffered(spec: ServiceSpec, { digest, platforms }: ImageOffer): ServiceSpec {
  return withImage(spec, { image: pinnedImage(spec.task.container.image, digest), platforms })
}

export interface PlacedImage {
  readonly image: string
  readonly platforms: Platforms
}

export function withImage(spec: ServiceSpec, { image, platforms }: PlacedImage): ServiceSpec {
  const { task } = spec
  const container = { ...task.container, image }
  return { ...spec, task: { ...task, container, placement: { ...task.placement, platforms } } }
}

export function placedImage({ task }: ServiceSpec): PlacedImage {
  return { image: task.container.image, platforms: task.placement.platforms }
}

export interface ImageUpdate {
  readonly before: ServiceSpec
  /** With the image that was given. */
  readonly after: ServiceSpec
  /** Undefined: nobody was asked, or nobody said. */
  readonly offer: ImageOffer | undefined
  readonly isAsked: boolean
}

/**
 * Of a service that an update gives this image. Where the registry was asked and does not say, the image of that name stays the one that it is,
 * so that the registry's absence replaces no task; of another image nothing is known.
 */
export function updatedImage({ before, after, offer, isAsked }: ImageUpdate): ServiceSpec {
  if (offer !== undefined) return asOffered(after, offer)
  const kept = placedImage(before)
  const { image } = after.task.container
  if (!isSameImage(kept.image, image)) return withImage(after, { image, platforms: [] })
  return withImage(after, isAsked ? kept : { ...kept, image })
}

/** Whether the image is the one that was asked for by this name, whatever digest it was pinned to. */
export function isSameImage(image: string, asked: string): boolean {
  return image === asked || unpinned(image) === tagged(asked)
}

/** `nginx` and the digest of its tag: `nginx:latest@sha256:…`. A name that has a digest stays. */
export function pinnedImage(image: string, digest: string): string {
  return digest === '' || image.includes('@') ? image : `${tagged(image)}@${digest}`
}

function unpinned(image: string): string {
  const at = image.indexOf('@')
  return at === -1 ? tagged(image) : image.slice(0, at)
}

function tagged(image: string): string {
  const hasTag = image.includes(':', image.lastIndexOf('/') + 1)
  return hasTag || image.includes('@') ? image : `${image}:latest`
}
