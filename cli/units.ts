// Texts of the command line as numbers with a unit: durations, sizes, CPUs, points in time.

const durationUnitsMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
}

/** A Go duration ("1h30m", "500ms", "1.5s") in ms. Errors: Error with a remedy. */
export function parseDurationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)]
  if (text === '0') return 0
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text) {
    throw new Error('must be a duration such as 30s, 1m30s or 500ms')
  }
  const sum = parts.reduce(
    (ms, part) => ms + Number(part[1]) * (durationUnitsMs[part[2] ?? ''] ?? Number.NaN),
    0,
  )
  return Math.round(sum)
}

/** A size in bytes: "4m", "1.5G", "512MiB", "100" (k, m, g, t are powers of 1024). Errors: Error. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text)
  if (match === null) throw new Error('must be a size such as 512M, 1.5G or 100k')
  const power = match[2] === undefined ? 0 : 'kmgtp'.indexOf(match[2].toLowerCase()) + 1
  return Math.trunc(Number(match[1]) * 1024 ** power)
}

/** A number of CPUs in billionths of one. Errors: Error. */
export function parseNanoCpus(text: string): number {
  if (!/^(\d+(\.\d{1,9})?|\.\d{1,9})$/.test(text)) {
    throw new Error('must be a number of CPUs such as 0.5 or 2, with at most 9 decimals')
  }
  return Math.round(Number(text) * 1e9)
}

/**
 * A point in time in ms since 1970: RFC 3339 ("2024-01-02T03:04:05Z"), a date, seconds since 1970,
 * or a duration, which counts back from `nowMs`. Errors: Error.
 */
export function parseTimeMs(text: string, nowMs: number): number {
  if (/^\d{9,}(\.\d+)?$/.test(text)) return Math.trunc(Number(text) * 1_000)
  const date = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[-+]\d\d:\d\d)?)?$/.exec(text)
  const parsed = date === null ? Number.NaN : Date.parse(text)
  if (!Number.isNaN(parsed)) return parsed
  try {
    return nowMs - parseDurationMs(text)
  } catch {
    throw new Error('must be a time such as 2024-01-02T03:04:05Z, or a duration such as 42m')
  }
}
