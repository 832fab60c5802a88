// The image store's own tables (containers-storage: images.json, layers.json) and image
// configurations, parsed. Pure: text in, values out. We read these files and never write them.
import { SwarmError } from '../../proto/errors.ts'
import type { ImageHealth, ImagePort } from '../executor/executor.ts'
import { imageHealth } from './image-health.ts'
import type { ImageUse } from './image-uses.ts'
import { type ImagePlatform, isFor, ownPlatform } from './platform.ts'
import { fullName, fullReference, type ImageReference, parseReference } from './reference.ts'

/** What we read of an image's configuration. */
export interface ImageConfig {
  readonly env: readonly string[]
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
  readonly workdir: string
  readonly user: string
  readonly stopSignal: string
  /** Paths that get an anonymous volume. */
  readonly volumes: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly health: ImageHealth
  /** Exposed ones. */
  readonly ports: readonly ImagePort[]
}

export interface StoredImage {
  /** 64 hexadecimal digits. */
  readonly id: string
  /** Full names: `docker.io/library/nginx:1.27` or `…@sha256:…`. */
  readonly names: readonly string[]
  /** `sha256:…` of every manifest that stands for it; its own first, last what was asked for: maybe a list of platforms. */
  readonly digests: readonly string[]
  /** Top layer; undefined for an image without layers. */
  readonly layerId: string | undefined
  readonly createdAtMs: number
  /** Absent: its configuration does not say. */
  readonly platform?: ImagePlatform
}

export interface StoredLayer {
  readonly id: string
  readonly parentId: string | undefined
  readonly sizeBytes: number
  /** `sha256:…` of the compressed blob it came from. */
  readonly blobDigest: string | undefined
}

const protocols = ['tcp', 'udp', 'sctp'] as const
/** Of one image; no more are looked at. */
const portsMax = 64

/** Errors: DATA_LOSS when the text is not what the store writes. */
export function parseImages(text: string): readonly StoredImage[] {
  return parseArray(text, 'images.json').map((row) => {
    const kept = asRecord(row['big-data-digests'])
    const asked = textOf(row.digest)
    const lists = Object.entries(kept)
      .filter(([key]) => key.startsWith('manifest-'))
      .map(([, digest]) => textOf(digest))
    const digests = [textOf(kept.manifest), ...lists.filter((one) => one !== asked), asked]
    return {
      id: textOf(row.id) ?? '',
      names: asTexts(row.names),
      digests: [...new Set(digests.filter((digest) => digest !== undefined))],
      layerId: textOf(row.layer),
      createdAtMs: Date.parse(textOf(row.created) ?? '') || 0,
    }
  })
}

/** Errors: DATA_LOSS when the text is not what the store writes. */
export function parseLayers(text: string): readonly StoredLayer[] {
  return parseArray(text, 'layers.json').map((row) => ({
    id: textOf(row.id) ?? '',
    parentId: textOf(row.parent),
    sizeBytes: typeof row['diff-size'] === 'number' ? row['diff-size'] : 0,
    blobDigest: textOf(row['compressed-diff-digest']),
  }))
}

/** Errors: DATA_LOSS when the text is not what the store writes. */
export function parseContainerIds(text: string): readonly string[] {
  return parseArray(text, 'containers.json').flatMap((row) => textOf(row.id) ?? [])
}

/** The image's layers from the top down. */
export function layerChain(
  image: StoredImage,
  layers: ReadonlyMap<string, StoredLayer>,
): readonly StoredLayer[] {
  const chain: StoredLayer[] = []
  let next = image.layerId === undefined ? undefined : layers.get(image.layerId)
  while (next !== undefined) {
    chain.push(next)
    next = next.parentId === undefined ? undefined : layers.get(next.parentId)
  }
  return chain
}

/** The configuration blob of an image. Errors: DATA_LOSS. */
export function parseImageConfig(text: string, imageId: string): ImageConfig {
  let blob: Readonly<Record<string, unknown>>
  try {
    blob = asRecord(JSON.parse(text))
  } catch (cause) {
    throw new SwarmError(
      'DATA_LOSS',
      `configuration of image ${imageId} is damaged: pull it again`,
      {
        cause,
      },
    )
  }
  const config = asRecord(blob.config)
  return {
    env: asTexts(config.Env),
    entrypoint: asTexts(config.Entrypoint),
    command: asTexts(config.Cmd),
    workdir: textOf(config.WorkingDir) ?? '',
    user: textOf(config.User) ?? '',
    stopSignal: textOf(config.StopSignal) ?? '',
    volumes: Object.keys(asRecord(config.Volumes)),
    labels: Object.fromEntries(
      Object.entries(asRecord(config.Labels)).map(([key, value]) => [key, String(value)]),
    ),
    health: imageHealth(asRecord(config.Healthcheck), asTexts(config.Shell)),
    ports: Object.keys(asRecord(config.ExposedPorts)).flatMap(exposedPort).slice(0, portsMax),
  }
}

/** `80/tcp`, or `80`. What is no port says nothing. */
function exposedPort(text: string): readonly ImagePort[] {
  const [, digits, word = 'tcp'] = /^(\d{1,5})(?:\/(\w+))?$/.exec(text) ?? []
  const targetPort = Number(digits)
  const protocol = protocols.find((known) => known === word.toLowerCase())
  if (protocol === undefined || !(targetPort >= 1 && targetPort <= 65_535)) return []
  return [{ protocol, targetPort }]
}

/**
 * What a reference or id (or its beginning, of 4 digits at least) may mean: one image, none, or
 * several by id.
 */
export function findImages(images: readonly StoredImage[], text: string): readonly StoredImage[] {
  const reference = tryParse(text)
  const byName = reference === undefined ? undefined : findByReference(images, reference)
  if (byName !== undefined) return [byName]
  const id = text.replace(/^sha256:/, '')
  if (!/^[0-9a-f]{4,64}$/.test(id)) return []
  return images.filter((image) => image.id.startsWith(id))
}

/**
 * By digest if the reference has one, whatever its name: the content is what counts; else by name
 * and tag. The digest of a list is that of its images for all platforms: then it means the one for
 * this host, if that is there.
 */
export function findByReference(
  images: readonly StoredImage[],
  reference: ImageReference,
): StoredImage | undefined {
  const { digest } = reference
  if (digest !== undefined) {
    const found = images.filter((image) => image.digests.includes(digest))
    return found.find((image) => isNative(image)) ?? found[0]
  }
  const full = fullReference(reference)
  return images.find((image) => image.names.includes(full))
}

/** Whether this host can run it, as far as its configuration says. */
export function isNative({ platform }: StoredImage, own: ImagePlatform = ownPlatform()): boolean {
  return platform === undefined || isFor(platform, own)
}

/** Of an image's configuration; undefined when it does not say. */
export function storedPlatform(config: string): ImagePlatform | undefined {
  try {
    const { os, architecture, variant } = asRecord(JSON.parse(config))
    const [known, arch] = [textOf(os), textOf(architecture)]
    if (known === undefined || arch === undefined) return undefined
    const own = textOf(variant)
    return { os: known, architecture: arch, ...(own === undefined ? {} : { variant: own }) }
  } catch {
    return undefined
  }
}

/**
 * `name@sha256:…` for each repository of its names that is known to have it: `noted` by repository, or as the name says. Of an image that a
 * registry gave and nothing is noted of, what the store has.
 */
export function repositoryDigests(
  image: StoredImage,
  { digests: noted, isPulled }: Pick<ImageUse, 'digests' | 'isPulled'>,
): readonly string[] {
  const names = image.names.map(parseReference)
  const pinned = names.flatMap((name) =>
    name.digest === undefined ? [] : [[fullName(name), name.digest] as const],
  )
  const known = new Map([...pinned, ...Object.entries(noted)])
  const other = known.size === 0 && isPulled ? image.digests.at(-1) : undefined
  return [...new Set(names.map(fullName))].flatMap((repository) => {
    const digest = known.get(repository) ?? other
    return digest === undefined || digest === '' ? [] : [`${repository}@${digest}`]
  })
}

function tryParse(text: string): ImageReference | undefined {
  try {
    return parseReference(text)
  } catch {
    return undefined
  }
}

function parseArray(text: string, file: string): readonly Readonly<Record<string, unknown>>[] {
  try {
    const value: unknown = JSON.parse(text)
    if (Array.isArray(value)) return value.map(asRecord)
    throw new TypeError('not a list')
  } catch (cause) {
    throw new SwarmError(
      'DATA_LOSS',
      `the image store's ${file} is damaged: remove the daemon's folder images and pull again`,
      { cause },
    )
  }
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {}
}

function asTexts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
