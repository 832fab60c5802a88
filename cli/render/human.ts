// Times and sizes in words, as docker words them.

const second = 1_000
const minute = 60 * second
const hour = 60 * minute

/** A duration in one rounded unit: "2 minutes", "About an hour", "Less than a second". */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / second)
  const minutes = Math.trunc(ms / minute)
  const hours = Math.trunc(ms / hour + 0.5)
  if (seconds < 1) return 'Less than a second'
  if (seconds === 1) return '1 second'
  if (seconds < 60) return `${seconds} seconds`
  if (minutes === 1) return 'About a minute'
  if (minutes < 60) return `${minutes} minutes`
  if (hours === 1) return 'About an hour'
  if (hours < 48) return `${hours} hours`
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`
  return `${Math.trunc(ms / hour / 24 / 365)} years`
}

/** "2 minutes ago"; times ahead count as now. */
export function ago(atMs: number, nowMs: number): string {
  return `${humanDuration(Math.max(nowMs - atMs, 0))} ago`
}

/** Four significant digits without trailing zeros, as Go's %.4g. */
function digits(value: number, significant: number): string {
  return String(Number(value.toPrecision(significant)))
}

function scaled(bytes: number, base: number, units: readonly string[], significant = 4): string {
  let value = bytes
  let at = 0
  while (value >= base && at < units.length - 1) {
    value /= base
    at += 1
  }
  return `${digits(value, significant)}${units[at]}`
}

/** Powers of 1000, three digits: "7.8MB". For images. */
export function decimalSize(bytes: number): string {
  return scaled(bytes, 1_000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], 3)
}

/** Powers of 1024: "64MiB". For memory. */
export function binarySize(bytes: number): string {
  return scaled(bytes, 1_024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'])
}

/** Billionths of a CPU as CPUs: "0.5". */
export function cpuCount(nanoCpus: number): string {
  return String(nanoCpus / 1e9)
}

/** As Go prints a duration: "1m30s", "500ms", "0s". */
export function goDuration(ms: number): string {
  if (ms === 0) return '0s'
  if (ms < second) return `${ms}ms`
  const hours = Math.trunc(ms / hour)
  const minutes = Math.trunc((ms % hour) / minute)
  const seconds = (ms % minute) / second
  return `${hours > 0 ? `${hours}h` : ''}${ms >= minute ? `${minutes}m` : ''}${seconds}s`
}

/** The first twelve characters of an id. */
export function shortId(id: string): string {
  return id.slice(0, 12)
}

/** As Go prints a time, and so docker in `CREATED AT` of images: `2024-01-02 03:04:05 +0000 UTC`. */
export function goTime(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' +0000 UTC')
}

/** RFC 3339 in UTC. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
