// Reading control groups of version 1 (one tree a controller) and version 2 (one tree): usage of a container, and the
// group monitors live in. Limits are set by the runtime.
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { readdir, readFile, rmdir } from 'node:fs/promises'
import type { ContainerStats } from '../executor.ts'
import type { ExecutorDirs } from './paths.ts'

export type CgroupVersion = 1 | 2

const root = '/sys/fs/cgroup'

export function cgroupVersion(): CgroupVersion {
  return existsSync(`${root}/cgroup.controllers`) ? 2 : 1
}

/** The folders of one group in the trees that account for processes; version 1: those that are mounted. */
export function cgroupDirs(version: CgroupVersion, path: string): readonly string[] {
  if (version === 2) return [`${root}${path}`]
  const names = ['systemd', 'cpu', 'cpuacct', 'memory', 'pids', 'blkio']
  // cpu and cpuacct are often one tree under two names.
  const trees = names
    .map((name) => `${root}/${name}`)
    .filter((dir) => existsSync(`${dir}/cgroup.procs`))
    .map((dir) => realpathSync(dir))
  return [...new Set(trees)].map((tree) => `${tree}${path}`)
}

/** Numbers of the processes in the group and those below it; none when it is not there. */
export async function processesInCgroup(
  version: CgroupVersion,
  path: string,
): Promise<readonly number[]> {
  const found = await Promise.all(
    cgroupDirs(version, path).map(async (dir) => {
      const below = await readdir(dir, { recursive: true }).catch(() => [])
      const lists = ['cgroup.procs', ...below.filter((name) => name.endsWith('/cgroup.procs'))]
      return Promise.all(lists.map((name) => text(`${dir}/${name}`)))
    }),
  )
  return found.flat().flatMap((list) => list.split('\n').filter(Boolean).map(Number))
}

/** Removes the groups that hold nothing any more; leaves the others. */
export async function removeEmptyCgroups(version: CgroupVersion, path: string): Promise<void> {
  const dirs =
    version === 2 ? [`${root}${path}`] : readdirSync(root).map((name) => `${root}/${name}${path}`)
  // The runtime has removed nearly all of them. Busy: not ours to remove.
  const left = dirs.filter((dir) => existsSync(dir))
  await Promise.all(left.map((dir) => rmdir(dir).catch(() => {})))
}

/** Zeros for a group that is gone. */
export async function readStats(version: CgroupVersion, path: string): Promise<ContainerStats> {
  return version === 2 ? statsV2(`${root}${path}`) : statsV1(path)
}

async function statsV1(path: string): Promise<ContainerStats> {
  const [cpu, memory, limit, stat, pids] = await Promise.all([
    number(`${root}/cpuacct${path}/cpuacct.usage`),
    number(`${root}/memory${path}/memory.usage_in_bytes`),
    number(`${root}/memory${path}/memory.limit_in_bytes`),
    text(`${root}/memory${path}/memory.stat`),
    number(`${root}/pids${path}/pids.current`),
  ])
  const cache = field(stat, 'total_inactive_file')
  return {
    cpuUsageNanos: cpu,
    memoryBytes: Math.max(0, memory - cache),
    // The kernel writes "no limit" as the largest multiple of a page.
    ...(limit > 0 && limit < 2 ** 60 ? { memoryLimitBytes: limit } : {}),
    pids,
  }
}

async function statsV2(dir: string): Promise<ContainerStats> {
  const [cpu, memory, limit, stat, pids] = await Promise.all([
    text(`${dir}/cpu.stat`),
    number(`${dir}/memory.current`),
    number(`${dir}/memory.max`),
    text(`${dir}/memory.stat`),
    number(`${dir}/pids.current`),
  ])
  return {
    cpuUsageNanos: field(cpu, 'usage_usec') * 1_000,
    memoryBytes: Math.max(0, memory - field(stat, 'inactive_file')),
    ...(limit > 0 ? { memoryLimitBytes: limit } : {}),
    pids,
  }
}

/** Bytes read from and written to block devices; zeros where the kernel does not count them. */
export async function readBlockIo(
  version: CgroupVersion,
  path: string,
): Promise<{ readonly readBytes: number; readonly writtenBytes: number }> {
  if (version === 2) return blockIoV2(await text(`${root}${path}/io.stat`))
  const dir = `${root}/blkio${path}`
  const recursive = await text(`${dir}/blkio.throttle.io_service_bytes_recursive`)
  return blockIoV1(recursive || (await text(`${dir}/blkio.throttle.io_service_bytes`)))
}

/** Lines `8:0 Read 4096`. */
export function blockIoV1(lines: string) {
  const sum = (word: string): number =>
    [...lines.matchAll(new RegExp(`^\\d+:\\d+ ${word} (\\d+)$`, 'gm'))].reduce(
      (total, match) => total + Number(match[1]),
      0,
    )
  return { readBytes: sum('Read'), writtenBytes: sum('Write') }
}

/** Lines `8:0 rbytes=4096 wbytes=0 …`. */
export function blockIoV2(lines: string) {
  const sum = (word: string): number =>
    [...lines.matchAll(new RegExp(`\\b${word}=(\\d+)`, 'g'))].reduce(
      (total, match) => total + Number(match[1]),
      0,
    )
  return { readBytes: sum('rbytes'), writtenBytes: sum('wbytes') }
}

/** The number of a line `name number`; 0 when there is none. */
function field(lines: string, name: string): number {
  const line = lines.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1)) || 0
}

/** 0 for `max` and for an absent file. */
async function number(path: string): Promise<number> {
  return Number(await text(path)) || 0
}

function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}

/** The group conmon and the spawn helper live in, apart from the daemon's own. */
export function monitorsPath({ cgroupParent }: Pick<ExecutorDirs, 'cgroupParent'>): string {
  return `${cgroupParent}/monitors`
}

export function monitorCgroupDirs(
  dirs: Pick<ExecutorDirs, 'cgroupParent'>,
  version: CgroupVersion,
): readonly string[] {
  return cgroupDirs(version, monitorsPath(dirs))
}
