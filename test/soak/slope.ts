// Whether a figure grows with time: a line through what was seen. Pure.

export interface Seen {
  readonly atMs: number
  readonly value: number
}

export interface Trend {
  readonly first: number
  readonly last: number
  readonly greatest: number
  /** By the line of least squares; 0 with less than two points. */
  readonly perHour: number
}

const msPerHour = 3_600_000

/** Oldest first; of none all is 0. */
export function trendOf(seen: readonly Seen[]): Trend {
  const values = seen.map(({ value }) => value)
  const meanMs = mean(seen.map(({ atMs }) => atMs))
  const meanValue = mean(values)
  const spread = seen.reduce((sum, { atMs }) => sum + (atMs - meanMs) ** 2, 0)
  const together = seen.reduce(
    (sum, { atMs, value }) => sum + (atMs - meanMs) * (value - meanValue),
    0,
  )
  return {
    first: values[0] ?? 0,
    last: values.at(-1) ?? 0,
    greatest: Math.max(0, ...values),
    perHour: spread === 0 ? 0 : (together / spread) * msPerHour,
  }
}

/**
 * The least value of each stretch of time, oldest first. What comes and goes within one is left out: memory that the collector has
 * not yet taken back, a program that is over in a moment.
 */
export function leastOfEach(seen: readonly Seen[], stretchMs: number): readonly Seen[] {
  const startMs = seen[0]?.atMs ?? 0
  const least = new Map<number, Seen>()
  for (const one of seen) {
    const stretch = Math.floor((one.atMs - startMs) / stretchMs)
    if (one.value < (least.get(stretch)?.value ?? Number.POSITIVE_INFINITY)) {
      least.set(stretch, one)
    }
  }
  return [...least.values()]
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}
