// How long the scheduler takes from tasks pending in the store to tasks assigned in the store, in the shape of SwarmKit's
// own benchmark: every third node is special, one-off tasks either need a special node or not. The real loop and
// the real store over a proposer that commits at once.
import { schedulerLoop } from '../../manager/loops/scheduler-loop.ts'
import { createMemoryStore } from '../../manager/store/memory-store.ts'
import type { Store, Tx } from '../../manager/store/store.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { seededRandom, systemRandom } from '../../proto/lib/random.ts'
import { TaskState } from '../../proto/objects/index.ts'
import { aNode, aSpecRecord, aTask } from '../support/objects.ts'

export interface SchedulerBenchOptions {
  /** Default: the cases of the goals. */
  readonly cases?: readonly SchedulerCase[]
  /** Each case is run so often, and its median told. Default 3. */
  readonly rounds?: number
}

export interface SchedulerCase {
  readonly nodes: number
  readonly tasks: number
  /** Tasks need one of the special nodes. */
  readonly constrained: boolean
  readonly goalMs?: number
}

export interface SchedulerFigure extends SchedulerCase {
  readonly ms: number
  /** Processor time of the whole process, collecting garbage included. */
  readonly cpuMs: number
  readonly tasksPerSecond: number
  readonly roundsMs: readonly number[]
}

const goals: readonly SchedulerCase[] = [
  { nodes: 1_000, tasks: 100_000, constrained: false, goalMs: 600 },
  { nodes: 1_000, tasks: 100_000, constrained: true, goalMs: 600 },
  { nodes: 100_000, tasks: 100_000, constrained: false, goalMs: 2_000 },
  { nodes: 100_000, tasks: 100_000, constrained: true, goalMs: 2_000 },
]

const changesMax = 200
const specs = [
  aSpecRecord('plain', {}),
  aSpecRecord('special', { placement: { constraints: ['node.labels.network==special'] } }),
]

/** Runs the cases one after another. */
export async function runSchedulerBench(
  options: SchedulerBenchOptions = {},
): Promise<{ readonly figures: readonly SchedulerFigure[] }> {
  const figures: SchedulerFigure[] = []
  for (const each of options.cases ?? goals) {
    const rounds: { ms: number; cpuMs: number }[] = []
    for (let round = 0; round < (options.rounds ?? 3); round++) rounds.push(await runCase(each))
    rounds.sort((a, b) => a.ms - b.ms)
    const { ms, cpuMs } = rounds[rounds.length >> 1] ?? { ms: 0, cpuMs: 0 }
    figures.push({
      ...each,
      ms: Math.round(ms),
      cpuMs: Math.round(cpuMs),
      tasksPerSecond: Math.round((each.tasks / ms) * 1_000),
      roundsMs: rounds.map((round) => Math.round(round.ms)),
    })
  }
  return { figures }
}

async function runCase(each: SchedulerCase): Promise<{ ms: number; cpuMs: number }> {
  const store = createMemoryStore({ clock: systemClock, random: systemRandom })
  await fill(store, each)
  const stop = new AbortController()
  const watched = new AbortController()
  const commits = store.watch({ tasks: 'all' }, { signal: watched.signal, bufferMax: 100_000 })
  const cpuBefore = process.cpuUsage()
  const startMs = systemClock.monotonicMs()
  const loop = schedulerLoop({
    store,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  }).run(stop.signal)
  let assigned = 0
  for await (const commit of commits) {
    for (const { object, table } of commit.changes) {
      if (table === 'tasks' && object.state === TaskState.ASSIGNED) assigned += 1
    }
    if (assigned === each.tasks) break
  }
  const ms = systemClock.monotonicMs() - startMs
  const { user, system } = process.cpuUsage(cpuBefore)
  watched.abort()
  stop.abort()
  await loop
  return { ms, cpuMs: (user + system) / 1_000 }
}

async function fill(store: Store, each: SchedulerCase): Promise<void> {
  const random = seededRandom(1)
  await store.update((tx) => {
    for (const record of specs) tx.create('taskSpecs', record)
  })
  await inParts(store, each.nodes, (tx, at) => {
    const labels = at % 3 === 0 ? { network: 'special' } : {}
    tx.create('nodes', aNode({ id: newId(random), hostname: `node-${at}`, labels }))
  })
  const specHash = each.constrained ? 'special' : 'plain'
  await inParts(store, each.tasks, (tx) => {
    tx.create('tasks', aTask({ id: newId(random), service: newId(random), specHash }))
  })
}

async function inParts(
  store: Store,
  count: number,
  create: (tx: Tx, at: number) => void,
): Promise<void> {
  for (let from = 0; from < count; from += changesMax) {
    await store.update((tx) => {
      for (let at = from; at < Math.min(from + changesMax, count); at++) create(tx, at)
    })
  }
}
