// The shell around the scheduler: tells it every commit, has it plan, commits the plans. Plans at once when idle; while a
// plan is being committed, what else comes in waits for the next one. Decides nothing.
import { hasCode } from '../../proto/errors.ts'
import { Bell } from '../../proto/lib/bell.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { type NamedLoop, runAll } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { ClusterIndex, type PlacementSource } from '../../scheduler/cluster-index.ts'
import {
  type PlannedUpdate,
  Scheduler,
  type SchedulingPlan,
  updatedTask,
} from '../../scheduler/plan.ts'
import type { Change, ReadTx, Store, Tx } from '../store/store.ts'
import { pictureLoop } from './picture-loop.ts'

export interface SchedulerLoopDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** Of one transaction of the store. */
const updatesMax = 200
const commitsWaitingMax = 10_000

/** Assigns waiting tasks to nodes while this manager leads. */
export function schedulerLoop(deps: SchedulerLoopDeps): NamedLoop {
  return pictureLoop(deps, 'scheduler', (signal) => schedule(deps, signal))
}

async function schedule(deps: SchedulerLoopDeps, signal: AbortSignal): Promise<void> {
  const { store } = deps
  const bell = new Bell()
  const ended = new AbortController()
  const commits = store.watch(
    { cluster: 'all', nodes: 'all', taskSpecs: 'all', tasks: 'all' },
    { signal: ended.signal, bufferMax: commitsWaitingMax },
  )
  const { scheduler, learning } = begin(deps, signal)
  const watch = async (): Promise<void> => {
    await learning
    for await (const commit of commits) {
      for (const change of commit.changes) tell(scheduler, change)
      bell.ring()
    }
  }
  const plan = async (own: AbortSignal): Promise<void> => {
    try {
      await learning
      while (!own.aborted) {
        const delayMs = await planOnce(deps, scheduler)
        if (delayMs !== 0) await bell.wait(deps.clock, delayMs, own)
      }
    } finally {
      ended.abort()
    }
  }
  await runAll(signal, [
    { name: 'watch', run: watch },
    { name: 'plan', run: plan },
  ])
}

function pictureOf(tx: ReadTx): PlacementSource {
  return {
    nodes: [...tx.all('nodes')],
    tasks: [...tx.all('tasks')],
    taskSpecs: [...tx.all('taskSpecs')],
    strategy: [...tx.all('cluster')][0]?.spec.scheduling ?? 'spread',
  }
}

/** Rows are never changed in place, so what is told of later starts from exactly the picture of now. */
function begin(
  { store, clock }: SchedulerLoopDeps,
  signal: AbortSignal,
): { readonly scheduler: Scheduler; readonly learning: Promise<void> } {
  const source = store.view(pictureOf)
  const scheduler = new Scheduler(new ClusterIndex(source.strategy))
  const learn = async (): Promise<void> => {
    for (const _ of scheduler.learn(source)) {
      if (signal.aborted) return
      await wait(clock, 0, signal)
    }
  }
  return { scheduler, learning: learn() }
}

function tell(scheduler: Scheduler, change: Change): void {
  switch (change.table) {
    case 'tasks':
      if (change.kind === 'create') scheduler.changeTask(undefined, change.object)
      else if (change.kind === 'update') scheduler.changeTask(change.old, change.object)
      else scheduler.changeTask(change.object, undefined)
      return
    case 'nodes':
      if (change.kind === 'remove') scheduler.dropNode(change.object.id)
      else scheduler.putNode(change.object)
      return
    case 'taskSpecs':
      if (change.kind === 'remove') scheduler.dropSpec(change.object.hash)
      else scheduler.putSpec(change.object)
      return
    case 'cluster':
      if (change.kind !== 'remove') scheduler.setStrategy(change.object.spec.scheduling)
      return
    case 'services':
    case 'removedNodes':
    case 'networks':
      return
  }
}

/** Returns after how long to plan again although nothing changed; 0: at once. */
async function planOnce(
  deps: SchedulerLoopDeps,
  scheduler: Scheduler,
): Promise<number | undefined> {
  const { store, clock, random, log } = deps
  const startMs = clock.monotonicMs()
  const nowMs = store.view((tx) => tx.nowMs)
  const plan = scheduler.plan({ nowMs, random: () => random.float() })
  const planMs = clock.monotonicMs() - startMs
  if (plan.updates.length === 0) {
    return plan.wakeAtMs === undefined ? undefined : Math.max(1, plan.wakeAtMs - nowMs)
  }
  const refused = await commitPlan(store, plan)
  for (const update of refused) scheduler.refused(update)
  const ms = clock.monotonicMs() - startMs
  const { assigned, unplaced } = plan
  log.debug({ assigned, unplaced, refused: refused.length, planMs, ms }, 'tasks scheduled')
  return 0
}

/** Returns the updates that no longer fitted what is stored. */
async function commitPlan(store: Store, plan: SchedulingPlan): Promise<readonly PlannedUpdate[]> {
  const { updates } = plan
  const commits: Promise<readonly PlannedUpdate[]>[] = []
  for (let at = 0; at < updates.length; at += updatesMax) {
    const part = updates.slice(at, at + updatesMax)
    commits.push(store.update((tx) => commitPart(tx, part)))
  }
  const outcomes = await Promise.allSettled(commits)
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []))
}

function commitPart(tx: Tx, updates: readonly PlannedUpdate[]): readonly PlannedUpdate[] {
  const refused: PlannedUpdate[] = []
  for (const update of updates) if (!commitUpdate(tx, update)) refused.push(update)
  return refused
}

/** The task may have changed after the plan saw it, its node have been drained or have gone down. */
function commitUpdate(tx: Tx, update: PlannedUpdate): boolean {
  if (update.kind === 'assign') {
    const node = tx.get('nodes', update.nodeId)
    if (node?.state !== 'ready' || node.spec.availability !== 'active') return false
  }
  try {
    tx.update('tasks', updatedTask(update, tx.nowMs))
    return true
  } catch (err) {
    if (hasCode(err, 'OUT_OF_SEQUENCE', 'NOT_FOUND')) return false
    throw err
  }
}
