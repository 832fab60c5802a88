// Platforms of images as Docker's users write them, and which image of a list is for one. Pure.
// Source: containerd's platforms package (Parse, Normalize, the order of variants), which docker pull --platform uses.
import { SwarmError } from '../../proto/errors.ts'

export interface ImagePlatform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

const architectures = new Set([
  ...['386', 'amd64', 'arm', 'arm64', 'loong64', 'mips', 'mipsle', 'mips64', 'mips64le'],
  ...['ppc64', 'ppc64le', 'riscv64', 's390x'],
])
const otherNames: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  x64: 'amd64',
  aarch64: 'arm64',
  i386: '386',
  ia32: '386',
  armhf: 'arm/v7',
  armel: 'arm/v6',
}

/** Of this machine; `nodeArch` as in process.arch. */
export function ownPlatform(nodeArch: string = process.arch): ImagePlatform {
  return normal('linux', nodeArch, undefined)
}

/** `linux/arm64/v8`, without a variant that goes without saying. */
export function platformText({ os, architecture, variant }: ImagePlatform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/')
}

/**
 * `linux[/ARCH[/VARIANT]]`, or an architecture alone; the names of machines (`x86_64`, `aarch64`) are those of their architectures.
 * Errors: INVALID_ARGUMENT.
 */
export function parsePlatform(text: string, own: ImagePlatform = ownPlatform()): ImagePlatform {
  const words = text.toLowerCase().split('/')
  const [first = ''] = words
  const isArchitecture = words.length === 1 && architectures.has(otherNames[first] ?? first)
  const isShort = words.length === 1 && /^arm(hf|el)$/.test(first)
  const [os = '', architecture, variant, ...more] =
    isArchitecture || isShort ? ['linux', first] : words
  const isWord = (word: string): boolean => /^[a-z0-9][a-z0-9_.-]*$/.test(word)
  const isRight = [os, architecture ?? 'x', variant ?? 'x'].every(isWord) && more.length === 0
  if (!isRight || os !== 'linux') {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `platform ${JSON.stringify(text)} is not for images of this host: it must be linux[/ARCH[/VARIANT]], such as linux/arm64 or linux/arm/v7`,
    )
  }
  return architecture === undefined ? own : normal(os, architecture, variant)
}

function normal(os: string, name: string, given: string | undefined): ImagePlatform {
  const [architecture = '', implied] = (otherNames[name] ?? name).split('/')
  const digits = given !== undefined && /^\d/.test(given) ? `v${given}` : given
  const variant = digits === undefined || digits === '' ? implied : digits
  const usual: Readonly<Record<string, string>> = { arm: 'v7', arm64: 'v8', amd64: 'v1' }
  // Every list leaves out these two; of arm there is none that all mean.
  const isSaid =
    variant !== undefined && (architecture === 'arm' || variant !== usual[architecture])
  return { os, architecture, ...(isSaid ? { variant } : {}) }
}

/** Variants whose programs run where `wanted` is asked for, the best first; '' is one that does not say. */
function variantsFor({ architecture, variant }: ImagePlatform): readonly string[] {
  const [, digits] = /^v(\d)$/.exec(variant ?? (architecture === 'arm' ? 'v7' : '')) ?? []
  const highest = Number(digits)
  const lowest = { arm: 5, amd64: 1, arm64: 8 }[architecture]
  if (lowest === undefined || digits === undefined) return variant === undefined ? [''] : [variant]
  const lower = Array.from({ length: Math.max(highest - lowest + 1, 0) }, (_, at) => highest - at)
  return [...lower.map((one) => `v${one}`), '']
}

/** The one for the platform, if there is one; without a variant asked for any will do where none is plain. */
export function platformEntry<T extends ImagePlatform>(
  entries: readonly T[],
  wanted: ImagePlatform,
): T | undefined {
  const own = entries.filter((one) => {
    const { os, architecture } = normal(one.os, one.architecture, one.variant)
    return os === wanted.os && architecture === wanted.architecture
  })
  const variantOf = (one: T): string => normal(one.os, one.architecture, one.variant).variant ?? ''
  for (const variant of variantsFor(wanted)) {
    const found = own.find((one) => variantOf(one) === variant)
    if (found !== undefined) return found
  }
  return wanted.variant === undefined ? own[0] : undefined
}

/** Whether an image of a platform is what is asked for. */
export function isFor(platform: ImagePlatform, wanted: ImagePlatform): boolean {
  return platformEntry([platform], wanted) !== undefined
}
