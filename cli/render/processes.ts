// Processes of a container as `docker top` shows them.
import type { ContainerProcess } from '../../proto/gen/tsswarm/v1/streams.ts'
import { alignTable } from './table.ts'

const heads = ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD']
const dayMs = 86_400_000

export function processTable(processes: readonly ContainerProcess[], nowMs: number): string {
  const rows = processes.map((one) => [
    one.user,
    String(one.pid),
    String(one.ppid),
    share(one, nowMs),
    startTime(one.startedAtMs, nowMs),
    one.tty,
    cpuTime(one.cpuMs),
    printable(one.command),
  ])
  return alignTable([heads, ...rows].map((cells) => cells.join('\t')))
}

/** Per cent of a processor over its whole life. */
function share({ cpuMs, startedAtMs }: ContainerProcess, nowMs: number): string {
  return String(Math.min(99, Math.trunc((100 * cpuMs) / Math.max(1, nowMs - startedAtMs))))
}

/** The time of day, or the day when it is longer ago. */
function startTime(atMs: number, nowMs: number): string {
  const [day = '', time = ''] = new Date(atMs).toISOString().split('T')
  return nowMs - atMs < dayMs ? time.slice(0, 5) : day
}

function cpuTime(ms: number): string {
  const seconds = Math.trunc(ms / 1_000)
  const parts = [Math.trunc(seconds / 3_600), Math.trunc(seconds / 60) % 60, seconds % 60]
  return parts.map((part) => String(part).padStart(2, '0')).join(':')
}

/** Command lines hold what programs like: nothing of it may move the cursor. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, ' ')
}
