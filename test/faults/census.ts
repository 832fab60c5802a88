// What one node has of containers, counted in the kernel and on disk without the daemon's help. Two counts of a host on
// which nothing runs are equal, unless something was left behind.
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { runCommand } from '../../proto/lib/command.ts'
import { enterNamespace } from '../../worker/network/data-plane.ts'

const kinds = ['processes', 'namespaces', 'mounts', 'cgroups', 'files', 'dataPlane'] as const

/** Folders and group of a daemon. */
export interface NodePaths {
  readonly stateDir: string
  readonly runDir: string
  readonly cgroupParent: string
}

export type Census = Readonly<Record<(typeof kinds)[number], readonly string[]>>

/** Sorted texts, without what changes by itself: numbers of processes and devices, counters. */
export async function takeCensus(paths: NodePaths): Promise<Census> {
  return { ...withoutDataPlane(paths), dataPlane: await dataPlane(paths) }
}

/** What costs no process to find out. */
export function withoutDataPlane(paths: NodePaths): Census {
  const own = containerProcesses(paths)
  return {
    processes: own.map(({ text }) => text).sort(),
    namespaces: namespacesOf(own.map(({ pid }) => pid)),
    mounts: mountsOf(paths),
    cgroups: cgroupsBelow(paths.cgroupParent),
    files: filesOf(paths),
    dataPlane: [],
  }
}

/** What one has that the other has not, as lines `+ …` and `- …`; none when they are equal. */
export function differences(before: Census, after: Census): readonly string[] {
  return kinds.flatMap((kind) => [
    ...less(after[kind], before[kind]).map((one) => `+ ${kind}: ${one}`),
    ...less(before[kind], after[kind]).map((one) => `- ${kind}: ${one}`),
  ])
}

function less(from: readonly string[], other: readonly string[]): readonly string[] {
  const left = [...from]
  for (const one of other) {
    const at = left.indexOf(one)
    if (at >= 0) left.splice(at, 1)
  }
  return left
}

interface Found {
  readonly pid: number
  readonly text: string
}

/** Of containers and their monitors: what is in their groups, and what names the folders of the host's engine. */
function containerProcesses({ stateDir, runDir, cgroupParent }: NodePaths): readonly Found[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => {
    const argv = read(`/proc/${pid}/cmdline`).split('\0').join(' ').trim()
    const cgroups = read(`/proc/${pid}/cgroup`)
    const group = new RegExp(`:${cgroupParent}/(?!monitors)(\\S+)$`, 'm').exec(cgroups)?.[1]
    const isMonitor = argv.includes('conmon') && argv.includes(`${runDir}/engine/`)
    const isAtWork = argv.includes(`${stateDir}/engine/containers/`)
    if (group === undefined && !isMonitor && !isAtWork) return []
    return [{ pid: Number(pid), text: `${group ?? 'none'}: ${argv}` }]
  })
}

/** Kinds of the namespaces that only these processes are in: the daemon's and this process's are others. */
function namespacesOf(pids: readonly number[]): readonly string[] {
  const mine = new Set(namespaceNames.map((name) => link(`/proc/self/ns/${name}`)))
  const found = pids.flatMap((pid) => namespaceNames.map((name) => link(`/proc/${pid}/ns/${name}`)))
  return [...new Set(found)].filter((one) => one !== '' && !mine.has(one)).sort()
}

const namespaceNames = ['net', 'mnt', 'pid', 'uts', 'ipc', 'cgroup']

function mountsOf({ stateDir, runDir }: NodePaths): readonly string[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(stateDir) || point.startsWith(runDir))
    .sort()
}

/** Groups of containers in every tree; that of the monitors stays as long as the daemon. */
function cgroupsBelow(parent: string): readonly string[] {
  const trees = existsSync('/sys/fs/cgroup/cgroup.controllers')
    ? ['/sys/fs/cgroup']
    : readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)
  return trees
    .flatMap((tree) => folders(`${tree}${parent}`).map((name) => `${tree}${parent}/${name}`))
    .filter((path) => !path.endsWith('/monitors'))
    .sort()
}

/** Folders of containers, bundles, exit files, notes of the runtime, volumes, and layers. */
function filesOf({ stateDir, runDir }: NodePaths): readonly string[] {
  const places = [
    ...['containers', 'volumes'].map((name) => `${stateDir}/engine/${name}`),
    ...['containers', 'exits', 'oci'].map((name) => `${runDir}/engine/${name}`),
    ...storeFolders(`${stateDir}/engine`),
  ]
  return places
    .flatMap((place) => names(place).map((name) => `${place}/${name}`))
    .filter((path) => !path.endsWith('/.cache'))
    .sort()
}

/** Where the image store keeps one folder a layer, wherever it is below the engine's. */
function storeFolders(engineDir: string): readonly string[] {
  const overlays = folders(engineDir)
    .flatMap((name) => [`${engineDir}/${name}`, `${engineDir}/${name}/root`])
    .map((dir) => `${dir}/overlay`)
  return overlays.filter((dir) => existsSync(dir))
}

/** Devices, IPv4 addresses and routes, permanent neighbours, rules. What the kernel adds by itself (IPv6 of a link) is left out. */
async function dataPlane({ runDir }: NodePaths): Promise<readonly string[]> {
  const file = `${runDir}/network/dataplane.netns`
  const script =
    'ip -br link | cut -d" " -f1; ip -4 -br addr; ip -4 route show table all; ' +
    'ip neigh show nud permanent; nft --stateless list ruleset'
  const { stdout } = await runCommand([...enterNamespace(file), 'sh', '-c', script])
  return stdout
    .split('\n')
    .map((line) => line.replace(/ (UP|DOWN|UNKNOWN|LOWERLAYERDOWN) |\blinkdown\b/, ' ').trim())
    .filter((line) => line !== '')
    .sort()
}

function names(dir: string): readonly string[] {
  return existsSync(dir) ? readdirSync(dir) : []
}

function folders(dir: string): readonly string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
}

/** Empty when it is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
