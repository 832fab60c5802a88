// How long the scheduler takes from tasks pending in the store to tasks assigned in the store, in the shape of SwarmKit's
// own benchmark: every third node is special, one-off tasks either need a special node or not. The real loop and
// the real store, over a proposer that commits at once and, beside it, over one manager's Raft log with fsync.
import { schedulerLoop } from '../../manager/loops/scheduler-loop.ts'
import { createMemoryStore } from '../../manager/store/memory-store.ts'
import type { Store, Tx } from '../../manager/store/store.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { seededRandom, systemRandom } from '../../proto/lib/random.ts'
import { TaskState } from '../../proto/objects/index.ts'
import { aNode, aSpecRecord, aTask } from '../support/objects.ts'
import { openRaftStore } from './raft-store.ts'

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
  readonly commits: 'in memory' | 'Raft'
  readonly goalMs?: number
}

export interface SchedulerFigure extends SchedulerCase {
  readonly ms: number
  /** Processor time of the whole process, other threads included. */
  readonly cpuMs: number
  readonly tasksPerSecond: number
  readonly roundsMs: string
}

export interface SchedulerBenchResult {
  /** SwarmKit's own benchmark is not in Docker's package, so that there is none to run beside. */
  readonly peer: 'unpackaged'
  readonly figures: readonly SchedulerFigure[]
}

interface Round {
  readonly ms: number
  readonly cpuMs: number
}

const small = { nodes: 1_000, tasks: 100_000 }
const wide = { nodes: 100_000, tasks: 100_000 }
const goals: readonly SchedulerCase[] = [
  { ...small, constrained: false, commits: 'in memory', goalMs: 600 },
  { ...small, constrained: true, commits: 'in memory', goalMs: 600 },
  { ...small, constrained: false, commits: 'Raft' },
  { ...wide, constrained: false, commits: 'in memory', goalMs: 2_000 },
  { ...wide, constrained: true, commits: 'in memory', goalMs: 2_000 },
]

const changesMax = 200
const specs = [
  aSpecRecord('plain', {}),
  aSpecRecord('special', { placement: { constraints: ['node.labels.network==special'] } }),
]

/** Runs the cases one after another. */
export async function runSchedulerBench(
  options: SchedulerBenchOptions = {},
): Promise<SchedulerBenchResult> {
  const figures: SchedulerFigure[] = []
  for (const each of options.cases ?? goals) {
    const rounds: Round[] = []
    for (let turn = 0; turn < (options.rounds ?? 3); turn++) rounds.push(await runCase(each))
    figures.push(figureOf(each, rounds))
  }
  return { peer: 'unpackaged', figures }
}

function figureOf(each: SchedulerCase, rounds: readonly Round[]): SchedulerFigure {
  const sorted = [...rounds].sort((a, b) => a.ms - b.ms)
  const { ms, cpuMs } = sorted[sorted.length >> 1] ?? { ms: 0, cpuMs: 0 }
  return {
    ...each,
    ms: Math.round(ms),
    cpuMs: Math.round(cpuMs),
    tasksPerSecond: Math.round((each.tasks / ms) * 1_000),
    roundsMs: sorted.map((round) => Math.round(round.ms)).join(' '),
  }
}

async function runCase(each: SchedulerCase): Promise<Round> {
  if (each.commits === 'Raft') {
    const { store, close } = await openRaftStore()
    return await runOn(store, each).finally(close)
  }
  return await runOn(createMemoryStore({ clock: systemClock, random: systemRandom }), each)
}

async function runOn(store: Store, each: SchedulerCase): Promise<Round> {
  await fill(store, each)
  // What filling left behind is not the scheduler's: let it be collected.
  globalThis.gc?.()
  await wait(systemClock, 100)
  const stop = new AbortController()
  const commits = store.watch({ tasks: 'all' }, { signal: stop.signal, bufferMax: 100_000 })
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
  const parts: Promise<void>[] = []
  for (let from = 0; from < count; from += changesMax) {
    const part = store.update((tx) => {
      for (let at = from; at < Math.min(from + changesMax, count); at++) create(tx, at)
    })
    parts.push(part)
  }
  await Promise.all(parts)
}
