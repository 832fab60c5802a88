// One simulated run of a cluster from a seed: faults and changes for a while, then everything is mended and must settle.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Logger, silentLogger } from '../../../proto/lib/log.ts'
import { drawScript, type Fault, schedule } from './faults.ts'
import { Violation } from './oracle.ts'
import type { Reached } from './rules/rule.ts'
import { planOf, type RunLength } from './run-plan.ts'
import { SimCluster } from './sim-cluster.ts'
import type { PlantedBug } from './sim-host.ts'

export interface ClusterRunOptions {
  readonly seed: number
  readonly bug?: PlantedBug
  /** Left out: as the seed says. */
  readonly length?: RunLength
  /** Gets a line for everything that is logged. */
  readonly onLine?: (line: string) => void
}

export interface ClusterRun {
  readonly seed: number
  readonly script: readonly Fault[]
  readonly events: number
  /** Virtual time. */
  readonly ms: number
  /** From the end of the faults until everything was as it should be. */
  readonly settleMs: number
  readonly acknowledged: number
  readonly repeated: number
  readonly commits: number
  readonly elections: number
  readonly reached: ReadonlyMap<Reached, number>
}

/** A run that failed; the seed brings it back. */
export class ClusterRunFailed extends Error {
  constructor(seed: number, atMs: number, script: readonly Fault[], cause: unknown) {
    const text = cause instanceof Error ? cause.message : String(cause)
    const faults = script.map(
      ({ atMs: from, forMs, kind, host }) =>
        `  ${from.toFixed(0)}..${(from + forMs).toFixed(0)} ${kind} ${host}`,
    )
    super(`seed ${seed} at ${atMs.toFixed(1)} ms: ${text}\n${faults.join('\n')}`, { cause })
    this.name = 'ClusterRunFailed'
  }
}

const settleMs = 40_000
const lookMs = 100

/**
 * Runs a cluster with clients, as the plan of its seed says (run-plan.ts).
 * Errors: ClusterRunFailed naming seed, moment, reason and fault script.
 */
export async function simulateCluster({
  seed,
  bug,
  length,
  onLine,
}: ClusterRunOptions): Promise<ClusterRun> {
  const plan = planOf(seed, length)
  const { faultsMs } = plan
  const cluster = new SimCluster({
    seed,
    plan,
    bug,
    log: (world) => (onLine === undefined ? silentLogger : lineLogger(() => world.nowMs, onLine)),
  })
  const hosts = cluster.hosts.map(({ name }) => name)
  const script = drawScript(cluster.random.fork(), hosts, plan)
  const stray = (err: unknown): void =>
    cluster.oracle.fail(err instanceof Error ? err : String(err))
  process.on('unhandledRejection', stray)
  try {
    schedule(cluster, script)
    await runUntil(cluster, faultsMs)
    cluster.mend()
    cluster.endChanges()
    await settle(cluster, faultsMs)
    return { ...summary(seed, script, cluster), settleMs: cluster.world.nowMs - faultsMs }
  } catch (err) {
    throw new ClusterRunFailed(seed, cluster.world.nowMs, script, err)
  } finally {
    process.off('unhandledRejection', stray)
  }
}

function summary(
  seed: number,
  script: readonly Fault[],
  cluster: SimCluster,
): Omit<ClusterRun, 'settleMs'> {
  const { world, oracle, clients } = cluster
  const sum = (of: 'acknowledged' | 'repeated'): number =>
    clients.reduce((total, { api }) => total + api[of], 0)
  return {
    seed,
    script,
    events: world.events,
    ms: world.nowMs,
    acknowledged: sum('acknowledged'),
    repeated: sum('repeated'),
    commits: oracle.commits,
    elections: oracle.elections,
    reached: oracle.reached,
  }
}

async function settle(cluster: SimCluster, faultsMs: number): Promise<void> {
  const endMs = faultsMs + settleMs
  let wrong = cluster.unsettled()
  while (wrong !== undefined && cluster.world.nowMs < endMs) {
    await runUntil(cluster, cluster.world.nowMs + lookMs)
    wrong = cluster.unsettled()
  }
  if (wrong !== undefined) throw new Violation(`not settled after ${settleMs} ms: ${wrong}`)
}

/** So often the event loop has its turn, and tells of rejections that nobody handles. */
const turnEach = 64

/** Runs events up to that time; what each sets off runs out before the next. */
async function runUntil({ world, oracle }: SimCluster, untilMs: number): Promise<void> {
  while (world.step(untilMs)) {
    await (world.events % turnEach === 0 ? nextTurn() : quiet())
    oracle.check()
  }
  await nextTurn()
  oracle.check()
}

/** All promises that can go on have gone on: Node runs ticks when nothing else is left, and much cheaper than a turn of the event loop. */
function quiet(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}

function lineLogger(nowMs: () => number, onLine: (line: string) => void, fixed = {}): Logger {
  const line =
    (level: string) =>
    (fields: object, message: string): void => {
      const facts = JSON.stringify({ ...fixed, ...fields }, (_, value: unknown) =>
        value instanceof Error ? value.message : value,
      )
      onLine(`${nowMs().toFixed(2).padStart(9)} ${level} ${message} ${facts}`)
    }
  return {
    trace: line('trace'),
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    fatal: line('fatal'),
    child: (fields) => lineLogger(nowMs, onLine, { ...fixed, ...fields }),
  }
}
