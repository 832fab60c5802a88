// What a registry answers about an image: manifests, lists of them by platform, and errors as
// skopeo prints them. Pure.
import { createHash } from 'node:crypto'
import { type ErrorCode, SwarmError } from '../../proto/errors.ts'
import type { ImagePlatform } from './platform.ts'

export interface Blob {
  readonly digest: string
  readonly sizeBytes: number
}

export type RegistryManifest =
  | {
      readonly kind: 'image'
      readonly digest: string
      /** Layers, and its configuration last. */
      readonly blobs: readonly Blob[]
    }
  | { readonly kind: 'list'; readonly digest: string; readonly platforms: readonly PlatformEntry[] }

export interface PlatformEntry extends ImagePlatform {
  readonly digest: string
}

interface Descriptor {
  readonly digest?: string
  readonly size?: number
  readonly platform?: Partial<ImagePlatform>
}

/** `raw` as the registry sent it, byte for byte. Errors: UNSUPPORTED for what is no image. */
export function parseManifest(raw: string): RegistryManifest {
  const digest = `sha256:${createHash('sha256').update(raw).digest('hex')}`
  const value: {
    readonly manifests?: readonly Descriptor[]
    readonly config?: Descriptor
    readonly layers?: readonly Descriptor[]
    readonly fsLayers?: readonly { readonly blobSum?: string }[]
  } = JSON.parse(raw)
  if (Array.isArray(value.manifests)) {
    const platforms = value.manifests.map(({ digest = '', platform = {} }: Descriptor) => {
      const { os = '', architecture = '', variant } = platform
      return { digest, os, architecture, ...(variant === undefined ? {} : { variant }) }
    })
    return { kind: 'list', digest, platforms }
  }
  if (Array.isArray(value.layers)) {
    const blobs = [...value.layers, value.config ?? {}].map((one: Descriptor) => ({
      digest: one.digest ?? '',
      sizeBytes: one.size ?? 0,
    }))
    return { kind: 'image', digest, blobs }
  }
  if (Array.isArray(value.fsLayers)) return { kind: 'image', digest, blobs: [] }
  throw new SwarmError('UNSUPPORTED', 'the registry answered with something that is no image')
}

/** Of a list. What is no image (attestations are of `unknown/unknown`) is left out; each once. */
export function platformsOf(entries: readonly PlatformEntry[]): readonly ImagePlatform[] {
  const known = entries.filter(
    ({ os, architecture }) => os !== 'unknown' && architecture !== 'unknown',
  )
  // An entry that does not say runs anywhere.
  if (known.some(({ os, architecture }) => os === '' && architecture === '')) return []
  const byName = new Map(
    known.map(({ os, architecture }) => [`${os}/${architecture}`, { os, architecture }]),
  )
  return [...byName.values()]
}

/** Of the configuration of one image; empty when it does not say. */
export function platformOfConfig(text: string): readonly ImagePlatform[] {
  const { os = '', architecture = '' }: Partial<ImagePlatform> = JSON.parse(text)
  return os === '' && architecture === '' ? [] : [{ os, architecture }]
}

interface ErrorRule {
  readonly pattern: RegExp
  readonly code: ErrorCode
  readonly text: (subject: string, registry: string, verb: RegistryVerb) => string
}

/** What was tried. */
export type RegistryVerb = 'pull' | 'push'

const rules: readonly ErrorRule[] = [
  {
    pattern: /toomanyrequests|too many requests/i,
    code: 'UNAVAILABLE',
    text: (reference, registry, verb) =>
      `cannot ${verb} ${reference}: registry ${registry} is asked too often: wait, or log in`,
  },
  {
    pattern: /manifest unknown|name unknown|not found|repository name not known/i,
    code: 'IMAGE_NOT_FOUND',
    text: (reference, registry) =>
      `No such image: ${reference}: registry ${registry} does not have it. Check name and tag`,
  },
  {
    pattern: /unauthorized|denied|authentication required|invalid username\/password/i,
    code: 'UNAUTHENTICATED',
    text: (reference, registry, verb) =>
      verb === 'pull'
        ? `pull access denied for ${reference}: it does not exist, or registry ${registry} wants a login ("tsswarm login ${registry}"; services then take it with --with-registry-auth)`
        : `push access denied for ${reference}: registry ${registry} wants a login, or another one`,
  },
  {
    pattern: /HTTP response to HTTPS client/i,
    code: 'UNAVAILABLE',
    text: (reference, registry, verb) =>
      `cannot ${verb} ${reference}: registry ${registry} speaks plain HTTP. Add it to the daemon's ` +
      'insecure registries if that is meant',
  },
  {
    pattern: /x509|certificate/i,
    code: 'UNAVAILABLE',
    text: (reference, registry, verb) =>
      `cannot ${verb} ${reference}: the certificate of registry ${registry} is not trusted by this host`,
  },
  {
    pattern: /no space left on device/i,
    code: 'RESOURCE_EXHAUSTED',
    text: (reference, _, verb) => `cannot ${verb} ${reference}: no space left on this host's disk`,
  },
  {
    pattern: /no image found in (manifest list|image index)|choosing (an )?image/i,
    code: 'IMAGE_NOT_FOUND',
    text: (reference) => `No such image: ${reference} for this host's platform`,
  },
]

/** As registryError. */
export function pullError(stderr: string, reference: string, registry: string): SwarmError {
  return registryError('pull', stderr, { subject: reference, registry })
}

/**
 * What skopeo's complaint means to a user. Anything unknown is UNAVAILABLE, because registries come
 * back.
 */
export function registryError(
  verb: RegistryVerb,
  stderr: string,
  { subject, registry }: { readonly subject: string; readonly registry: string },
): SwarmError {
  // What mirrors said is told; what the registry itself said decides.
  const own = stderr.replace(/\(Mirrors also failed: .*?\]\): /, '')
  const rule = rules.find((one) => one.pattern.test(own))
  const reason = lastLine(stderr)
  if (rule === undefined) {
    const where = verb === 'pull' ? 'from' : 'to'
    return new SwarmError(
      'UNAVAILABLE',
      `cannot ${verb} ${subject} ${where} registry ${registry}: ${reason}`,
    )
  }
  const status = statusOf(lastLine(own))
  const cause = new Error(status === undefined ? reason : `${reason} (HTTP ${status})`)
  const text = rule.text(subject, registry, verb)
  return new SwarmError(rule.code, text, { details: { reason }, cause })
}

/** Source: OCI distribution specification, error codes; skopeo tells these words instead of the status. */
const statuses: readonly (readonly [RegExp, number])[] = [
  [/toomanyrequests/i, 429],
  [/manifest unknown|name unknown|repository name not known/i, 404],
  [/unauthorized|authentication required/i, 401],
]

/** Undefined: the words do not tell it, or it is among them. */
function statusOf(reason: string): number | undefined {
  return statuses.find(([words]) => words.test(reason))?.[1]
}

/**
 * What skopeo, run with --debug, had to complain of. One that is ended for its time was waiting: between the tries that it
 * makes after `429 Too Many Requests`, or for any answer.
 */
export function complaint(
  { stderr, cutShort }: { readonly stderr: string; readonly cutShort?: string },
  timeoutMs: number,
): string {
  const isRefused = /level=debug msg="Too many requests/.test(stderr)
  if (cutShort === 'timeout') {
    return isRefused
      ? 'toomanyrequests: it refuses each try'
      : `no answer within ${timeoutMs / 1_000} s`
  }
  const lines = stderr.split('\n')
  return lines.filter((line) => !/^time="[^"]*" level=debug /.test(line)).join('\n')
}

/** skopeo logs `time=… level=fatal msg="…"`; its msg of the last line. */
export function lastLine(stderr: string): string {
  const line = stderr.trimEnd().split('\n').at(-1) ?? ''
  const message = /msg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]?.replace(/\\(.)/g, '$1') ?? line
  return message.replace(/^Error parsing image name "[^"]*": /, '')
}
