// One simulated run from one seed: a cluster under load and faults, then peace, in which it must recover.
import type { RaftTuning } from '../core/config.ts'
import { Faults } from './faults.ts'
import { Violation } from './oracle.ts'
import { SimCluster } from './sim-cluster.ts'
import type { PlantedBug } from './sim-member.ts'
import { Workload } from './workload.ts'

/** What one simulated run is like; all of it has defaults. */
export interface SimOptions {
  /** Founding voters. Default: 3, 5 or (rarely) 1, by the seed. */
  readonly nodes?: number
  /** Virtual time with faults. Default 22 s. */
  readonly faultsMs?: number
  /** Virtual time after them. Default 8 s. */
  readonly peaceMs?: number
  /** Mean time between two faults. Default 350 ms. */
  readonly faultPauseMs?: number
  /** Mean time between two requests. Default 50 ms. */
  readonly requestPauseMs?: number
  readonly tuning?: Partial<RaftTuning>
  readonly bug?: PlantedBug
  /** Gets a line for everything that happens. */
  readonly onTrace?: (line: string) => void
}

/** What came of one simulated run. */
export interface SimResult {
  readonly seed: number
  readonly outcome: 'passed' | 'violated'
  /** Why it failed: a broken promise, no progress in peace, or an exception. */
  readonly reason: string | undefined
  /** When it failed, in virtual time; the end otherwise. */
  readonly atMs: number
  readonly events: number
  readonly faults: number
  readonly terms: number
  readonly committed: number
  readonly acknowledged: number
  readonly reads: number
}

/** Runs the simulation of this seed to its end or its first violation. The same arguments give the same run. */
export function simulate(seed: number, options: SimOptions = {}): SimResult {
  const cluster = new SimCluster({
    seed,
    nodes: options.nodes ?? nodesOf(seed),
    tuning: options.tuning ?? {},
    bug: options.bug,
    onTrace: options.onTrace,
  })
  const { world, oracle } = cluster
  const faults = new Faults(cluster, options.faultPauseMs ?? 350)
  let reason: string | undefined
  try {
    run(cluster, faults, options)
  } catch (err) {
    reason = err instanceof Error ? (err.stack ?? err.message) : String(err)
  }
  return {
    seed,
    outcome: reason === undefined ? 'passed' : 'violated',
    reason,
    atMs: world.nowMs,
    events: world.events,
    faults: faults.struck,
    terms: oracle.terms,
    committed: oracle.lastCommitted,
    acknowledged: oracle.acknowledgements,
    reads: oracle.reads,
  }
}

function nodesOf(seed: number): number {
  return seed % 10 === 0 ? 1 : 3 + 2 * (seed % 2)
}

function run(cluster: SimCluster, faults: Faults, options: SimOptions): void {
  const { world, oracle } = cluster
  const load = new Workload(cluster, options.requestPauseMs ?? 50)
  const faultsMs = options.faultsMs ?? 22_000
  const endMs = faultsMs + (options.peaceMs ?? 8000)
  runUntil(cluster, faultsMs)
  faults.end()
  cluster.trace(() => 'peace')
  const before = oracle.acknowledgements
  // The last second is without load, so that everyone can catch up.
  runUntil(cluster, endMs - 1000)
  load.stop()
  runUntil(cluster, endMs)
  mustHaveRecovered(cluster, oracle.acknowledgements - before)
  cluster.trace(() => `end after ${world.events} events`)
}

/** Far more than any run needs: something feeds on itself. */
const eventsMax = 1_000_000

function runUntil({ world, oracle }: SimCluster, untilMs: number): void {
  while (world.step(untilMs)) {
    if (oracle.violation !== undefined) throw oracle.violation
    if (world.events > eventsMax) throw new Violation('a run comes to its end', { eventsMax })
  }
}

/** Liveness: once faults have stopped, proposals are taken and every member of the configuration holds all. */
function mustHaveRecovered(cluster: SimCluster, acknowledged: number): void {
  const { oracle, members } = cluster
  const { conf } = oracle
  if (acknowledged < 10 || conf === undefined) {
    throw new Violation('a cluster at peace makes progress', { acknowledged, ...standing(cluster) })
  }
  for (const id of [...conf.voters, ...conf.learners]) {
    const member = members.get(id)
    const applied = member?.appliedIndex ?? 0
    if (applied >= oracle.lastCommitted && member?.status()?.repairing === false) continue
    throw new Violation('members at peace catch up', { id, applied, ...standing(cluster) })
  }
}

/** How every member stands, for the text of a violation. */
function standing({ members, oracle }: SimCluster): Readonly<Record<string, unknown>> {
  const statuses = [...members.values()].map((member) => member.status() ?? { id: member.id })
  return { lastCommitted: oracle.lastCommitted, conf: oracle.conf, members: statuses }
}
