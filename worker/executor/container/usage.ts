// What a container uses of its host, by its control groups and its network namespace.
import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import type { ContainerUsage } from '../../streams/container-streams.ts'
import { type CgroupVersion, readBlockIo, readStats } from './cgroups.ts'

export interface UsageRequest {
  readonly version: CgroupVersion
  readonly cgroupPath: string
  /** A process in its network; undefined: it has none of its own. */
  readonly networkPid: number | undefined
}

export async function containerUsage(request: UsageRequest): Promise<ContainerUsage> {
  const { version, cgroupPath, networkPid } = request
  const [stats, io, traffic] = await Promise.all([
    readStats(version, cgroupPath),
    readBlockIo(version, cgroupPath),
    networkPid === undefined ? '' : readFile(`/proc/${networkPid}/net/dev`, 'utf8').catch(() => ''),
  ])
  return {
    cpuTotalNanos: stats.cpuUsageNanos,
    memoryBytes: stats.memoryBytes,
    memoryLimitBytes: Math.min(stats.memoryLimitBytes ?? totalmem(), totalmem()),
    ...io,
    ...parseTraffic(traffic),
    pids: stats.pids,
  }
}

/** Of /proc/PID/net/dev: all interfaces but the loopback. Received bytes are the first number of a line, sent the ninth. */
export function parseTraffic(text: string): Pick<ContainerUsage, 'receivedBytes' | 'sentBytes'> {
  let receivedBytes = 0
  let sentBytes = 0
  for (const line of text.split('\n')) {
    const [, name, rest] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? []
    if (name === undefined || rest === undefined || name === 'lo') continue
    const numbers = rest.trim().split(/\s+/).map(Number)
    receivedBytes += numbers[0] ?? 0
    sentBytes += numbers[8] ?? 0
  }
  return { receivedBytes, sentBytes }
}
