// When images of this host go by themselves, and which first. Pure; measuring and removing are image-collector.ts.
// Source of the defaults: Kubernetes' kubelet (imageGCHighThresholdPercent 85, imageGCLowThresholdPercent 80, imageMinimumGCAge 2 min).
import { SwarmError } from '../../proto/errors.ts'

/** How much is too much: a share of the disk, in use by whatever, or bytes of the images' layers. */
export type Watermark =
  | { readonly kind: 'share'; readonly share: number }
  | { readonly kind: 'bytes'; readonly bytes: number }

export interface GcLimits {
  /** Above it images are removed; undefined: never. */
  readonly high: Watermark | undefined
  /** Until it is no more than this. */
  readonly low: Watermark
  /** Of each service with a container here: so many of the images it used last stay. */
  readonly revisions: number
}

/** What is measured. */
export interface Fill {
  readonly diskBytes: number
  readonly diskUsedBytes: number
  readonly imageBytes: number
}

export interface ImageFacts {
  readonly id: string
  /** ms since 1970 */
  readonly usedMs: number
  /** A registry gave it: it can be had again. What was loaded, built or imported here may be nowhere else. */
  readonly isPulled: boolean
  /** A container has it, running or ended. */
  readonly isUsed: boolean
  /** When each service used it last, by id. */
  readonly services: Readonly<Record<string, number>>
}

/** Younger than this it may be for what is just about to start. */
export const gcAgeMs = 120_000

const units: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 }

/** `85%`, `20GB`, `500000000`. Errors: INVALID_ARGUMENT. */
export function parseWatermark(text: string): Watermark {
  const [, percent] = /^(\d{1,3})%$/.exec(text) ?? []
  if (percent !== undefined && Number(percent) >= 1 && Number(percent) <= 100) {
    return { kind: 'share', share: Number(percent) / 100 }
  }
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMGT]?)B?$/i.exec(text) ?? []
  if (number !== undefined) {
    return { kind: 'bytes', bytes: Number(number) * (units[unit.toUpperCase()] ?? 1) }
  }
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(text)} is no limit: it must be a share of the disk, such as 85%, or a size, such as 20GB`,
  )
}

/** Errors: INVALID_ARGUMENT. */
export function gcLimits(high: string, low: string, revisions: number): GcLimits {
  if (high === 'off') return { high: undefined, low: { kind: 'bytes', bytes: 0 }, revisions }
  const limits = { high: parseWatermark(high), low: parseWatermark(low), revisions }
  if (limits.high.kind === limits.low.kind && sizeOf(limits.low) <= sizeOf(limits.high))
    return limits
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `the limits for images, ${high} and ${low}, do not fit: both must be shares or both sizes, the second no more than the first`,
  )
}

function sizeOf(mark: Watermark): number {
  return mark.kind === 'share' ? mark.share : mark.bytes
}

export function isAbove(mark: Watermark, fill: Fill): boolean {
  if (mark.kind === 'bytes') return fill.imageBytes > mark.bytes
  return fill.diskBytes > 0 && fill.diskUsedBytes / fill.diskBytes > mark.share
}

/**
 * The ids of those that may go, the one that was not used longest first. What stays: images of containers, what no registry gave, what was
 * used just now, and of each service that is here the last few.
 */
export function evictionOrder(
  images: readonly ImageFacts[],
  {
    nowMs,
    services,
    revisions,
  }: {
    readonly nowMs: number
    /** That have a container here. */
    readonly services: ReadonlySet<string>
    readonly revisions: number
  },
): readonly string[] {
  const kept = new Set<string>()
  for (const service of services) {
    const own = images.filter((image) => image.services[service] !== undefined)
    const usedAt = (image: ImageFacts): number => image.services[service] ?? 0
    const last = own.toSorted((a, b) => usedAt(b) - usedAt(a)).slice(0, revisions)
    for (const { id } of last) kept.add(id)
  }
  return images
    .filter(({ id, isUsed, isPulled }) => isPulled && !isUsed && !kept.has(id))
    .filter(({ usedMs }) => nowMs - usedMs >= gcAgeMs)
    .toSorted((a, b) => a.usedMs - b.usedMs)
    .map(({ id }) => id)
}
