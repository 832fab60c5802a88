// One simulated run of a cluster from a seed: faults and changes for a while, then everything is mended and must settle.
import { type Logger, silentLogger } from '../../../proto/lib/log.ts'
import { drawScript, type Fault, schedule } from './faults.ts'
import { Violation } from './oracle.ts'
import { SimCluster } from './sim-cluster.ts'
import type { PlantedBug } from './sim-host.ts'

export interface ClusterRunOptions {
  readonly seed: number
  readonly bug?: PlantedBug
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

const faultsMs = 20_000
const settleMs = 40_000
const lookMs = 100

/**
 * Runs a cluster of three managers and three workers, with three clients.
 * Errors: ClusterRunFailed naming seed, moment, reason and fault script.
 */
export async function simulateCluster({
  seed,
  bug,
  onLine,
}: ClusterRunOptions): Promise<ClusterRun> {
  const cluster = new SimCluster({
    seed,
    managers: 3,
    workers: 3,
    clients: 3,
    bug,
    log: (world) => (onLine === undefined ? silentLogger : lineLogger(() => world.nowMs, onLine)),
  })
  const hosts = cluster.hosts.map(({ name }) => name)
  const pauseMs = cluster.random.between(500, 4_000)
  const script = drawScript(cluster.random.fork(), hosts, { pauseMs, endMs: faultsMs })
  const stray = (err: unknown): void =>
    cluster.oracle.fail(err instanceof Error ? err : String(err))
  process.on('unhandledRejection', stray)
  try {
    schedule(cluster, script)
    await runUntil(cluster, faultsMs)
    cluster.mend()
    cluster.endChanges()
    await settle(cluster)
    return summary(seed, script, cluster)
  } catch (err) {
    throw new ClusterRunFailed(seed, cluster.world.nowMs, script, err)
  } finally {
    process.off('unhandledRejection', stray)
  }
}

function summary(seed: number, script: readonly Fault[], cluster: SimCluster): ClusterRun {
  const { world, oracle, clients } = cluster
  const sum = (of: 'acknowledged' | 'repeated'): number =>
    clients.reduce((total, { api }) => total + api[of], 0)
  return {
    seed,
    script,
    events: world.events,
    ms: world.nowMs,
    settleMs: world.nowMs - faultsMs,
    acknowledged: sum('acknowledged'),
    repeated: sum('repeated'),
    commits: oracle.commits,
    elections: oracle.elections,
  }
}

async function settle(cluster: SimCluster): Promise<void> {
  const endMs = faultsMs + settleMs
  let wrong = cluster.unsettled()
  while (wrong !== undefined && cluster.world.nowMs < endMs) {
    await runUntil(cluster, cluster.world.nowMs + lookMs)
    wrong = cluster.unsettled()
  }
  if (wrong !== undefined) throw new Violation(`not settled after ${settleMs} ms: ${wrong}`)
}

/** Runs events up to that time; what each sets off runs out before the next. */
async function runUntil({ world, oracle }: SimCluster, untilMs: number): Promise<void> {
  while (world.step(untilMs)) {
    await quiet()
    oracle.check()
  }
}

/** All promises that can go on have gone on. */
function quiet(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
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
