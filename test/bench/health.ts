// What asking containers for their health costs a host: so many containers on one, asked every 10 s in each way, and not at all. CPU
// time of the daemon and of the processes it has forked, per probe and as a share of one core.
import { readdirSync, readFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { withDaemon } from '../../cli/lab/lab.ts'
import { listTasks } from '../../cli/lists.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { seen } from './cluster.ts'
import { LabCluster } from './lab-cluster.ts'
import { type BenchContext, type BenchResult, interruptible, onCluster } from './side-by-side.ts'

const containersUsual = 500
const intervalS = 10
/** Each container is asked three times. */
const measuredMs = 3 * intervalS * 1_000
/** Of Linux's clock ticks in /proc. Source: sysconf(_SC_CLK_TCK), 100 on every architecture that Node runs on. */
const msPerTick = 10

const ways: Readonly<Record<string, readonly string[]>> = {
  none: ['--no-healthcheck'],
  command: ['--health-cmd', 'true'],
  tcp: ['--health-tcp', '80'],
  http: ['--health-http', '80/cgi-bin/index.cgi'],
}

interface HealthFigure {
  readonly checked: string
  readonly containers: number
  readonly daemonCorePercent: number
  /** The spawn helper, what it ran, and the prober. */
  readonly helpersCorePercent: number
  /** Of both, without what the same containers cost unasked. */
  readonly msPerProbe: number
}

export interface HealthBenchResult extends Pick<BenchResult, 'machine'> {
  readonly figures: readonly HealthFigure[]
}

/** `--tries=N`: the number of containers; default 500. */
export async function runHealthBench({ tries }: BenchContext): Promise<HealthBenchResult> {
  const containers = tries ?? containersUsual
  const machine = { cpus: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(1)) }
  const size = { managers: 1, workers: 0 }
  return await interruptible(async (signal) => {
    const figures = await onCluster(new LabCluster('health', size), signal, (cluster) =>
      measureAll(cluster, containers),
    )
    return { machine, figures }
  })
}

async function measureAll(
  cluster: LabCluster,
  containers: number,
): Promise<readonly HealthFigure[]> {
  const figures: HealthFigure[] = []
  let idleMs = 0
  for (const [checked, flags] of Object.entries(ways)) {
    const { daemonMs, helpersMs } = await measure(cluster, containers, flags)
    if (checked === 'none') idleMs = daemonMs + helpersMs
    const probes = (containers * measuredMs) / (intervalS * 1_000)
    const percent = (ms: number): number => Number(((ms / measuredMs) * 100).toFixed(2))
    figures.push({
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
  cluster: LabCluster,
  containers: number,
  flags: readonly string[],
): Promise<Cost> {
  const { lab } = cluster
  const interval = flags[0] === '--no-healthcheck' ? [] : ['--health-interval', `${intervalS}s`]
  // Until they are healthy they are asked sooner, so that they all are there soon.
  const start = interval.length === 0 ? [] : ['--health-start-period', '600s']
  const name = ['--detach', '--name', 'asked', '--replicas', `${containers}`]
  await cluster.type(
    'm1',
    'service',
    'create',
    ...name,
    ...flags,
    ...interval,
    ...start,
    'lab/hello',
  )
  const running = () =>
    withDaemon(lab.deps, lab.record, 'm1', async (client) => {
      const tasks = await listTasks(client)
      return tasks.filter(({ task }) => task?.state === 512).length === containers
    })
  await seen(`${containers} containers run`, 500, running)
  // What their start left to do is over.
  await wait(systemClock, intervalS * 1_000)
  const before = cost(lab.pid('m1'))
  await wait(systemClock, measuredMs)
  const after = cost(lab.pid('m1'))
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
function cost(pid: number | undefined): Cost {
  if (pid === undefined) throw new Error('the daemon does not run')
  let helpersMs = 0
  for (const name of readdirSync('/proc')) {
    const times = /^\d+$/.test(name) ? timesOf(Number(name)) : undefined
    if (times?.parent === pid) helpersMs += times.ownMs + times.waitedMs
  }
  const own = timesOf(pid)
  return { daemonMs: own?.ownMs ?? 0, helpersMs }
}

/** Source: proc(5), /proc/PID/stat. Undefined: it has ended. */
function timesOf(
  pid: number,
): { readonly parent: number; readonly ownMs: number; readonly waitedMs: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // From the third field on: the second may hold anything.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    const [, parent = 0] = fields
    const [user = 0, system = 0, waitedUser = 0, waitedSystem = 0] = fields.slice(11, 15)
    const ms = (ticks: number): number => ticks * msPerTick
    return { parent, ownMs: ms(user + system), waitedMs: ms(waitedUser + waitedSystem) }
  } catch {
    return undefined
  }
}
