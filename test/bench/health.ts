// What asking containers for their health costs a host: so many containers on one, asked every 10 s in each way, and not at all. CPU
// time of the daemon and of the processes it has forked, per probe and as a share of one core. Beside it Docker's, asked by command.
import { readdirSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { withDaemon } from '../../cli/lab/lab.ts'
import { pidsBelow } from '../../cli/lab/processes.ts'
import { listTasks } from '../../cli/lists.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { TaskState } from '../../proto/objects/index.ts'
import { type BenchCluster, seen } from './cluster.ts'
import { DockerCluster } from './docker/docker-cluster.ts'
import { LabCluster } from './lab-cluster.ts'
import { timesOf } from './process-times.ts'
import {
  type BenchContext,
  type BenchResult,
  interruptible,
  onCluster,
  peerSide,
} from './side-by-side.ts'

const containersUsual = 500
/** Docker makes a container in about a second. */
const peerContainersMax = 100
const intervalS = 10
/** Each container is asked three times. */
const measuredMs = 3 * intervalS * 1_000

const ways: Readonly<Record<string, readonly string[]>> = {
  none: ['--no-healthcheck'],
  command: ['--health-cmd', 'true'],
  tcp: ['--health-tcp', '80'],
  http: ['--health-http', '80/cgi-bin/index.cgi'],
}

interface HealthFigure {
  readonly side: BenchCluster['side']
  readonly checked: string
  readonly containers: number
  readonly daemonCorePercent: number
  /** The spawn helper, what it ran, and the prober. */
  readonly helpersCorePercent: number
  /** Of both, without what the same containers cost unasked. */
  readonly msPerProbe: number
}

export interface HealthBenchResult extends Pick<BenchResult, 'machine' | 'peer'> {
  readonly figures: readonly HealthFigure[]
  /** Docker's ms of a probe by command by ours; undefined where Docker was not measured. */
  readonly ratio: number | undefined
}

/** `--tries=N`: the number of containers; default 500, of which Docker's side has 100 at most. */
export async function runHealthBench(context: BenchContext): Promise<HealthBenchResult> {
  const containers = context.tries ?? containersUsual
  const machine = { cpus: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(1)) }
  const size = { managers: 1, workers: 0 }
  return await interruptible(async (signal) => {
    const ours = await onCluster(new LabCluster('health', size), signal, (cluster) =>
      measureAll(lookAtOurs(cluster), { containers, ways }),
    )
    const dockers: HealthFigure[] = []
    const peer = await peerSide(context, signal, async () => {
      const { none = [], command = [] } = ways
      const fewer = { containers: Math.min(containers, peerContainersMax), ways: { none, command } }
      const cluster = new DockerCluster('health', size)
      dockers.push(
        ...(await onCluster(cluster, signal, () => measureAll(lookAtDocker(cluster), fewer))),
      )
    })
    const figures = [...ours, ...dockers]
    return { machine, peer, ratio: ratioOf(figures), figures }
  })
}

function ratioOf(figures: readonly HealthFigure[]): number | undefined {
  const [ours, dockers] = figures.filter(({ checked }) => checked === 'command')
  if (ours === undefined || dockers === undefined) return undefined
  return Number((dockers.msPerProbe / ours.msPerProbe).toFixed(2))
}

/** A host whose containers are asked, and what that has cost it so far. */
interface Asked {
  readonly cluster: BenchCluster
  readonly runningCount: () => Promise<number>
  readonly cost: () => Cost
}

function lookAtOurs(cluster: LabCluster): Asked {
  const { lab } = cluster
  const runningCount = () =>
    withDaemon(lab.deps, lab.record, 'm1', async (client) => {
      const tasks = await listTasks(client)
      return tasks.filter(({ task }) => task?.state === TaskState.RUNNING).length
    })
  return { cluster, runningCount, cost: () => costOfDaemon(lab.pid('m1')) }
}

function lookAtDocker(cluster: DockerCluster): Asked {
  const runningCount = () => cluster.onHost('m1', (client) => client.runningCount('asked'))
  return { cluster, runningCount, cost: () => costOfPrograms(cluster.directory) }
}

interface Wanted {
  readonly containers: number
  readonly ways: Readonly<Record<string, readonly string[]>>
}

async function measureAll(
  asked: Asked,
  { containers, ways: wanted }: Wanted,
): Promise<readonly HealthFigure[]> {
  const figures: HealthFigure[] = []
  let idleMs = 0
  for (const [checked, flags] of Object.entries(wanted)) {
    const { daemonMs, helpersMs } = await measure(asked, containers, flags)
    if (checked === 'none') idleMs = daemonMs + helpersMs
    const probes = (containers * measuredMs) / (intervalS * 1_000)
    const percent = (ms: number): number => Number(((ms / measuredMs) * 100).toFixed(2))
    figures.push({
      side: asked.cluster.side,
      checked,
      containers,
      daemonCorePercent: percent(daemonMs),
      helpersCorePercent: percent(helpersMs),
      msPerProbe: Number(((daemonMs + helpersMs - idleMs) / probes).toFixed(2)),
    })
  }
  return figures
}

interface Cost {
  readonly daemonMs: number
  readonly helpersMs: number
}

async function measure(
  { cluster, runningCount, cost }: Asked,
  containers: number,
  flags: readonly string[],
): Promise<Cost> {
  const isAsked = flags[0] !== '--no-healthcheck'
  const interval = isAsked ? ['--health-interval', `${intervalS}s`] : []
  // Until they are healthy they are asked sooner, so that they all are there soon.
  const start = isAsked ? ['--health-start-period', '600s'] : []
  const name = ['--detach', '--name', 'asked', '--replicas', `${containers}`]
  const all = [...name, ...flags, ...interval, ...start, ...cluster.createFlags]
  await cluster.type('m1', 'service', 'create', ...all, 'lab/hello')
  const running = async () => (await runningCount()) === containers
  await seen(`${containers} containers run`, 500, running)
  // What their start left to do is over.
  await wait(systemClock, intervalS * 1_000)
  const before = cost()
  await wait(systemClock, measuredMs)
  const after = cost()
  if (!(await running()))
    throw new Error('containers did not stay healthy: the figures say nothing')
  await cluster.type('m1', 'service', 'rm', 'asked')
  await seen('nothing runs', 500, () => cluster.isIdle())
  return {
    daemonMs: after.daemonMs - before.daemonMs,
    helpersMs: after.helpersMs - before.helpersMs,
  }
}

/** CPU time of the process itself, and of its children with what they have waited for. */
function costOfDaemon(pid: number | undefined): Cost {
  if (pid === undefined) throw new Error('the daemon does not run')
  let helpersMs = 0
  for (const name of readdirSync('/proc')) {
    const times = /^\d+$/.test(name) ? timesOf(Number(name)) : undefined
    if (times?.parent === pid) helpersMs += times.ownMs + times.waitedMs
  }
  const own = timesOf(pid)
  return { daemonMs: own?.ownMs ?? 0, helpersMs }
}

/**
 * CPU time of dockerd, and of containerd and the shims, which ask, with what they have waited for. Containers are started and ended before
 * and after it is looked at, so that no shim comes or goes between.
 */
function costOfPrograms(directory: string): Cost {
  let daemonMs = 0
  let helpersMs = 0
  for (const pid of pidsBelow(directory, askers)) {
    const times = timesOf(pid)
    if (times === undefined) continue
    if (times.name === 'dockerd') daemonMs += times.ownMs
    else helpersMs += times.ownMs + times.waitedMs
  }
  return { daemonMs, helpersMs }
}

const askers: ReadonlySet<string> = new Set(['dockerd', 'containerd', 'containerd-shim-runc-v2'])
