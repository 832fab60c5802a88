// Processes of a container as `docker top` shows them, in the columns that are asked for.
import type { ContainerProcess, ProcessTable } from '../../proto/gen/tsswarm/v1/streams.ts'
import type { ColumnName, PsOptions } from '../ps-options.ts'
import { alignTable } from './table.ts'

const dayMs = 86_400_000
const commBytes = 15

export function processTable(
  { processes, hostMemoryBytes }: ProcessTable,
  { columns, hasHeads }: PsOptions,
  nowMs: number,
): string {
  const rows = processes.map((one) =>
    columns.map(({ name }) => cell(name, one, { hostMemoryBytes, nowMs })),
  )
  const heads = hasHeads ? [columns.map(({ head }) => head)] : []
  return alignTable([...heads, ...rows].map((cells) => cells.join('\t')))
}

interface Surroundings {
  readonly hostMemoryBytes: number
  readonly nowMs: number
}

function cell(name: ColumnName, one: ContainerProcess, { hostMemoryBytes, nowMs }: Surroundings) {
  switch (name) {
    case 'user':
      return one.user
    case 'pid':
      return String(one.pid)
    case 'ppid':
      return String(one.ppid)
    case 'c':
      return String(Math.min(99, Math.trunc(cpuShare(one, nowMs))))
    case 'pcpu':
      return cpuShare(one, nowMs).toFixed(1)
    case 'pmem':
      return hostMemoryBytes === 0 ? '-' : ((100 * one.memoryBytes) / hostMemoryBytes).toFixed(1)
    case 'vsz':
      return String(Math.round(one.virtualBytes / 1_024))
    case 'rss':
      return String(Math.round(one.memoryBytes / 1_024))
    case 'tty':
      return one.tty
    case 's':
      return one.state
    case 'stime':
      return startTime(one.startedAtMs, nowMs)
    case 'time':
      return spanText(one.cpuMs)
    case 'etime':
      return spanText(Math.max(0, nowMs - one.startedAtMs))
    case 'comm':
      return printable(one.name).slice(0, commBytes)
    case 'args':
      return printable(one.command)
  }
}

/** Per cent of a processor over its whole life. */
function cpuShare({ cpuMs, startedAtMs }: ContainerProcess, nowMs: number): number {
  return (100 * cpuMs) / Math.max(1, nowMs - startedAtMs)
}

/** The time of day, or the day when it is longer ago. */
function startTime(atMs: number, nowMs: number): string {
  const [day = '', time = ''] = new Date(atMs).toISOString().split('T')
  return nowMs - atMs < dayMs ? time.slice(0, 5) : day
}

function spanText(ms: number): string {
  const seconds = Math.trunc(ms / 1_000)
  const parts = [Math.trunc(seconds / 3_600), Math.trunc(seconds / 60) % 60, seconds % 60]
  return parts.map((part) => String(part).padStart(2, '0')).join(':')
}

/** Command lines hold what programs like: nothing of it may move the cursor. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, ' ')
}
