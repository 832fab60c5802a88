// Memory of this machine and of processes, read from /proc.
import { readdirSync, readFileSync } from 'node:fs'
import { systemClock, wait } from '../../proto/lib/clock.ts'

const samples = 10
const betweenMs = 200

/** Bytes that nobody could be given now: the least of some looks, since other work comes and goes. */
export async function usedBytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let at = 0; at < samples; at++) {
    if (at > 0) await wait(systemClock, betweenMs)
    least = Math.min(least, usedOf(readFileSync('/proc/meminfo', 'utf8')))
  }
  return least
}

/** Of the text of /proc/meminfo. */
export function usedOf(meminfo: string): number {
  return fieldBytes(meminfo, 'MemTotal') - fieldBytes(meminfo, 'MemAvailable')
}

/** Resident memory of the process; 0 when it is gone. */
export function residentBytes(pid: number): number {
  return fieldBytes(text(`/proc/${pid}/status`), 'VmRSS')
}

/** The processes' shares of what they have in memory: what several have counts once in all. */
export function proportionalBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + fieldBytes(text(`/proc/${pid}/smaps_rollup`), 'Pss'), 0)
}

/** Of all processes, those in a control group whose path holds the text. */
export function pidsInGroup(part: string): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.filter((pid) => text(`/proc/${pid}/cgroup`).includes(part)).map(Number)
}

/** A line `Name:   123 kB`; 0 when there is none. */
function fieldBytes(lines: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(lines)?.[1] ?? 0) * 1024
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
