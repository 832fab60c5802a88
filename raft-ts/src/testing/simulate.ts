// One simulated run from one seed: a cluster under load and faults, then peace, in which it must recover.
import type { RaftTuning } from '../core/config.ts'
import { breakRules } from '../core/rules.ts'
import { replaceCipher } from '../storage/aead.ts'
import type { Coverage } from './coverage.ts'
import type { FaultScript } from './fault.ts'
import { Faults } from './faults.ts'
import { Violation } from './oracle.ts'
import { brokenRules, type PlantedBug } from './planted-bugs.ts'
import { planOf, type RunPlan } from './run-plan.ts'
import { SimCipher } from './sim-cipher.ts'
import { SimCluster } from './sim-cluster.ts'
import { Workload } from './workload.ts'

/** What one simulated run is like; all of it has defaults. */
export interface SimOptions {
  /** Founding voters. Default: 5, for one seed in ten 3. */
  readonly nodes?: number
  /** Virtual time with faults. Default 22 s, or the script's. */
  readonly faultsMs?: number
  /** Virtual time after them. Default 8 s. */
  readonly peaceMs?: number
  /** Mean time between two faults. Default 100, 250 or 500 ms, by the seed. */
  readonly faultPauseMs?: number
  /** Mean time between two requests. Default 60, 150 or 300 ms, by the seed. */
  readonly requestPauseMs?: number
  /** Over what the seed takes. */
  readonly tuning?: Partial<RaftTuning>
  /** Faults to be played instead of drawn: a result's script gives the same run again. */
  readonly script?: FaultScript
  readonly bug?: PlantedBug
  /** Gets a line for everything that happens. */
  readonly onTrace?: (line: string) => void
}

/** What came of one simulated run. */
export interface SimResult {
  readonly seed: number
  readonly outcome: 'passed' | 'violated'
  /** What was broken, in words that are the same for every breach of it: a promise, or where an exception came from. */
  readonly promise: string | undefined
  /** Why it failed, with the facts. */
  readonly reason: string | undefined
  /** When it failed, in virtual time; the end otherwise. */
  readonly atMs: number
  readonly events: number
  /** All faults that struck. */
  readonly script: FaultScript
  readonly terms: number
  readonly committed: number
  readonly acknowledged: number
  readonly reads: number
  readonly coverage: Coverage
}

const defaultFaultsMs = 22_000
const defaultPeaceMs = 8000
/** A run of full length has at least so many. */
const eventsMin = 3000
/** What is acknowledged at peace. */
const progressMin = 10
/** Far more than any run needs: something feeds on itself. */
const eventsMax = 1_000_000

/** Runs the simulation of this seed to its end or its first violation. The same arguments give the same run. */
export function simulate(seed: number, options: SimOptions = {}): SimResult {
  const { bug, script } = options
  const faultsMs = script?.endMs ?? options.faultsMs ?? defaultFaultsMs
  const plan = planOf(seed, faultsMs)
  const mend = breakRules(bug === undefined ? {} : brokenRules(bug))
  const cipher = new SimCipher(plan.hasRealCipher)
  const unseal = replaceCipher((key) => cipher.under(key))
  try {
    const cluster = new SimCluster({
      seed,
      nodes: options.nodes ?? plan.nodes,
      tuning: { ...plan.tuning, ...options.tuning },
      snapshotPolicy: plan.snapshotPolicy,
      skipsFlush: bug === 'skip-flush',
      onTrace: options.onTrace,
    })
    const { oracle } = cluster
    cipher.onRepeated = (nonce) => oracle.fail('a nonce seals once under a key', { nonce })
    return new Run(cluster, seed, faultsMs).result(options, plan)
  } finally {
    mend()
    unseal()
  }
}

class Run {
  readonly #cluster: SimCluster
  readonly #faults: Faults
  readonly #seed: number
  readonly #faultsMs: number

  constructor(cluster: SimCluster, seed: number, faultsMs: number) {
    this.#cluster = cluster
    this.#faults = new Faults(cluster)
    this.#seed = seed
    this.#faultsMs = faultsMs
  }

  result(options: SimOptions, plan: RunPlan): SimResult {
    const { world, oracle, coverage } = this.#cluster
    const failure = this.#failureOf(() => this.#run(options, plan))
    return {
      seed: this.#seed,
      outcome: failure === undefined ? 'passed' : 'violated',
      promise: failure && promiseOf(failure),
      reason: failure && (failure instanceof Violation ? failure.message : textOf(failure)),
      atMs: world.nowMs,
      events: world.events,
      script: { steps: this.#faults.struck, endMs: this.#faultsMs },
      terms: oracle.terms,
      committed: oracle.lastCommitted,
      acknowledged: oracle.acknowledgements,
      reads: oracle.reads,
      coverage: coverage.counts(),
    }
  }

  /** A broken promise comes first: whatever was thrown may have followed from it. */
  #failureOf(run: () => void): Error | undefined {
    try {
      run()
      return undefined
    } catch (err) {
      const { violation } = this.#cluster.oracle
      return violation ?? (err instanceof Error ? err : new Error(String(err)))
    }
  }

  #run(options: SimOptions, plan: RunPlan): void {
    const cluster = this.#cluster
    const { oracle } = cluster
    const endMs = this.#faultsMs + (options.peaceMs ?? defaultPeaceMs)
    const isWhole = endMs >= defaultFaultsMs + defaultPeaceMs
    const load = new Workload(cluster, options.requestPauseMs ?? plan.requestPauseMs)
    if (options.script !== undefined) this.#faults.play(options.script)
    else this.#faults.draw({ ...plan, pauseMs: options.faultPauseMs ?? plan.faultPauseMs })
    this.#runUntil(this.#faultsMs)
    this.#faults.end()
    cluster.trace(() => 'peace')
    const before = oracle.acknowledgements
    load.hurry({ events: isWhole ? eventsMin : 0, acknowledgements: before + progressMin })
    // The last second is without load, so that everyone can catch up.
    this.#runUntil(endMs - 1000)
    load.stop()
    this.#runUntil(endMs)
    mustHaveRecovered(cluster, oracle.acknowledgements - before)
    cluster.trace(() => `end after ${cluster.world.events} events`)
    if (!isWhole || cluster.world.events >= eventsMin) return
    throw new Violation('a run has enough events', { events: cluster.world.events, eventsMin })
  }

  #runUntil(untilMs: number): void {
    const { world, oracle } = this.#cluster
    while (world.step(untilMs)) {
      if (oracle.violation !== undefined) throw oracle.violation
      if (world.events > eventsMax) throw new Violation('a run comes to its end', { eventsMax })
    }
  }
}

/** Of an exception: the innermost cause without its figures. */
function promiseOf(failure: Error): string {
  if (failure instanceof Violation) return failure.promise
  if (failure.cause instanceof Error) return promiseOf(failure.cause)
  const [text = ''] = failure.message.split(/[{\n]/)
  return `${failure.name}: ${text.replaceAll(/\d+/g, '#').trim()}`
}

function textOf(err: Error): string {
  return err.stack ?? err.message
}

/** Liveness: once faults have stopped, proposals are taken and every member of the configuration holds all. */
function mustHaveRecovered(cluster: SimCluster, acknowledged: number): void {
  const { oracle, members } = cluster
  const { conf } = oracle
  if (acknowledged < progressMin || conf === undefined) {
    throw new Violation('a cluster at peace makes progress', { acknowledged, ...standing(cluster) })
  }
  for (const id of [...conf.voters, ...conf.learners]) {
    const member = members.get(id)
    const applied = member?.appliedIndex ?? 0
    if (applied >= oracle.lastCommitted && member?.view?.isRepairing === false) continue
    throw new Violation('members at peace catch up', { id, applied, ...standing(cluster) })
  }
}

/** How every member stands, for the text of a violation. */
function standing({ members, oracle }: SimCluster): Readonly<Record<string, unknown>> {
  const statuses = [...members.values()].map((member) => member.status() ?? { id: member.id })
  return { lastCommitted: oracle.lastCommitted, conf: oracle.conf, members: statuses }
}
