// How many idle containers one host bears, how soon they are there, and what they cost it: `density` until a thousand run, `memory`
// with none and with two hundred. Beside it Docker's, of two hundred at most.
import { cpus, loadavg } from 'node:os'
import { pidsBelow } from '../../cli/lab/processes.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { cgroupVersion, readStats } from '../../worker/executor/container/cgroups.ts'
import type { BenchCluster } from './cluster.ts'
import { removeServices, timed } from './cluster.ts'
import { DockerCluster } from './docker/docker-cluster.ts'
import { pidsInGroup, proportionalBytes, residentBytes, usedBytes } from './host-memory.ts'
import { LabCluster } from './lab-cluster.ts'
import {
  type BenchContext,
  type BenchResult,
  interruptible,
  onCluster,
  peerSide,
} from './side-by-side.ts'

const densityUsual = 1_000
const memoryUsual = 200
const peerMax = 200
/** With no more containers in so long, it is over. */
const stalledMs = 60_000
/** What a start leaves to do is over then. */
const restMs = 10_000
const megabyte = 1_000_000

interface DensityFigure {
  readonly side: BenchCluster['side']
  readonly containers: number
  /** From the command to the last of them that runs. */
  readonly seconds: number
  /** What the whole machine has less, by container. */
  readonly hostMBEach: number
  readonly goalMBEach: number | undefined
  /** Of that, the processes' own: the container's, and its monitor or shim. */
  readonly processesMBEach: number
  /** What the kernel counts to the groups of containers and monitors, its own memory for them with it; Docker's shims have none. */
  readonly groupsMBEach: number | undefined
  /** Resident, of the daemon's process (Docker: dockerd and containerd). */
  readonly daemonMB: number
}

export interface DensityBenchResult extends Pick<BenchResult, 'machine' | 'peer'> {
  readonly figures: readonly DensityFigure[]
  /** Docker's memory of a container's processes by ours: other work on the machine falls on neither. */
  readonly ratio: number | undefined
  /** What stopped it, where not all came to run. */
  readonly stopped: string | undefined
}

/** `--tries=N`: the number of containers; default 1,000. */
export async function runDensityBench(context: BenchContext): Promise<DensityBenchResult> {
  return await runHost('density', context, context.tries ?? densityUsual)
}

/** `--tries=N`: the number of containers; default 200. */
export async function runMemoryBench(context: BenchContext): Promise<DensityBenchResult> {
  return await runHost('memory', context, context.tries ?? memoryUsual)
}

async function runHost(
  name: string,
  context: BenchContext,
  containers: number,
): Promise<DensityBenchResult> {
  const machine = { cpus: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(1)) }
  const size = { managers: 1, workers: 0 }
  return await interruptible(async (signal) => {
    const ours = await onCluster(new LabCluster(name, size), signal, (cluster) =>
      measure(ourHost(cluster), containers),
    )
    const dockers: DensityFigure[] = []
    const peer = await peerSide(context, signal, async () => {
      const cluster = new DockerCluster(name, size)
      const fewer = Math.min(containers, peerMax)
      const measured = await onCluster(cluster, signal, () => measure(dockerHost(cluster), fewer))
      dockers.push(...measured.figures)
    })
    const figures = [...ours.figures, ...dockers]
    const [own, other] = [ours.figures.at(-1), dockers.at(-1)]
    const ratio =
      own && other ? Number((other.processesMBEach / own.processesMBEach).toFixed(1)) : undefined
    return { machine, peer, ratio, stopped: ours.stopped, figures }
  })
}

interface Host {
  readonly cluster: BenchCluster
  readonly daemonBytes: () => number
  /** Processes of containers and of what watches over them. */
  readonly replicaPids: () => readonly number[]
  readonly groupsBytes: () => Promise<number | undefined>
  /** Errors of tasks, each once. */
  readonly errors: () => Promise<readonly string[]>
}

function ourHost(cluster: LabCluster): Host {
  const { lab } = cluster
  const { cgroupParent, runDir } = lab.paths('m1')
  return {
    cluster,
    daemonBytes: () => residentBytes(lab.pid('m1') ?? 0),
    replicaPids: () => {
      // The spawn helper lives where the monitors do, and is no cost of a container.
      const helpers = new Set(pidsInGroup(`${cgroupParent}/monitors`))
      const own = pidsInGroup(`${cgroupParent}/`).filter((pid) => !helpers.has(pid))
      return [...own, ...pidsBelow(runDir, new Set(['conmon']))]
    },
    groupsBytes: async () => (await readStats(cgroupVersion(), cgroupParent)).memoryBytes,
    errors: async () => [...new Set((await lab.tasks('m1', 'dense')).map(({ error }) => error))],
  }
}

function dockerHost(cluster: DockerCluster): Host {
  const daemons = new Set(['dockerd', 'containerd'])
  const below = (names: ReadonlySet<string>) => pidsBelow(cluster.directory, names)
  return {
    cluster,
    daemonBytes: () => below(daemons).reduce((sum, pid) => sum + residentBytes(pid), 0),
    replicaPids: () => [
      ...below(new Set(['containerd-shim-runc-v2'])),
      ...pidsInGroup(`/${cluster.cgroup}/`),
    ],
    groupsBytes: async () => undefined,
    errors: async () => [],
  }
}

async function measure(
  host: Host,
  containers: number,
): Promise<{ readonly figures: readonly DensityFigure[]; readonly stopped: string | undefined }> {
  const { cluster } = host
  // The image and the runtime are in memory then.
  await grow(host, 'warm', 2)
  await removeServices(cluster, 'warm')
  await wait(systemClock, restMs)
  const idle = { used: await usedBytes(), groups: await host.groupsBytes() }
  const idleDaemonMB = host.daemonBytes() / megabyte
  const { reached, ms, why } = await grow(host, 'dense', containers)
  await wait(systemClock, restMs)
  const used = await usedBytes()
  const groups = await host.groupsBytes()
  const each = (bytes: number): number => Number((bytes / reached / megabyte).toFixed(2))
  const figure: DensityFigure = {
    side: cluster.side,
    containers: reached,
    seconds: Number((ms / 1_000).toFixed(1)),
    hostMBEach: each(used - idle.used),
    goalMBEach: cluster.side === 'tsswarm' ? 1.3 : undefined,
    processesMBEach: each(proportionalBytes(host.replicaPids())),
    groupsMBEach: groups === undefined ? undefined : each(groups - (idle.groups ?? 0)),
    daemonMB: Math.round(host.daemonBytes() / megabyte),
  }
  await removeServices(cluster, 'dense')
  const none = { containers: 0, seconds: 0, hostMBEach: 0, processesMBEach: 0 }
  const first: DensityFigure = {
    ...figure,
    ...none,
    groupsMBEach: undefined,
    goalMBEach: undefined,
    daemonMB: Math.round(idleDaemonMB),
  }
  return { figures: [first, figure], stopped: why }
}

interface Grown {
  readonly reached: number
  readonly ms: number
  readonly why: string | undefined
}

/** Until all run, or no more do. */
async function grow(host: Host, name: string, containers: number): Promise<Grown> {
  const { cluster } = host
  const args = ['--detach', '--name', name, '--replicas', `${containers}`, ...cluster.createFlags]
  let reached = 0
  let grewAtMs = systemClock.monotonicMs()
  const ms = await timed(async () => {
    await cluster.type('m1', 'service', 'create', ...args, 'lab/hello')
    await cluster.onHost('m1', async (client) => {
      while (reached < containers && systemClock.monotonicMs() - grewAtMs < stalledMs) {
        const now = await client.runningCount(name)
        if (now > reached) grewAtMs = systemClock.monotonicMs()
        reached = Math.max(reached, now)
        if (reached < containers) await wait(systemClock, 100)
      }
    })
  })
  if (reached === containers) return { reached, ms, why: undefined }
  const errors = (await host.errors()).filter((text) => text !== '')
  return {
    reached,
    ms,
    why: errors.join('; ') || `no more than ${reached} in ${stalledMs / 1_000} s`,
  }
}
