// The loop that moves tasks onto nodes with few of their service: what makes it look where, and how many are on the move. What it decides is
// in orchestrator/rebalance.ts.
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import { isActive, isTerminal, type Task, TaskState } from '../../proto/objects/index.ts'
import { defaultRebalance } from '../../proto/spec/cluster-spec.ts'
import { reconcileRebalance } from '../orchestrator/rebalance.ts'
import type { Change, ReadTx } from '../store/store.ts'
import { type ReconcileDeps, type Reconciler, reconcileLoop } from './reconcile-loop.ts'
import { serviceViewOf } from './service-reconciler.ts'

/** Runs while this manager leads. */
export function rebalanceLoop(deps: ReconcileDeps): NamedLoop {
  return reconcileLoop(deps, rebalanceReconciler())
}

/** A move that was planned and is not seen in the store after this long was not written. */
const unseenMs = 5_000

/** One is made for each run of the loop: it remembers what is on the move. */
export function rebalanceReconciler(): Reconciler {
  const moves = new Moves()
  return {
    name: 'rebalance',
    watches: { services: 'all', tasks: 'all', nodes: 'all', cluster: 'all' },
    resyncMs: 60_000,
    dirtiedBy: (change, tx) => dirtiedBy(moves, change, tx),
    allIds: (tx) => {
      moves.learn(tx)
      return told(tx)
    },
    decide: (id, tx, env) => {
      const policy = clusterOf(tx)?.spec
      const { mode, movesMax } = policy?.rebalance ?? defaultRebalance
      const plan = reconcileRebalance(
        {
          ...serviceViewOf(tx, id, 'all'),
          tasksOn: (node) => tx.find('tasks', 'byNode', node),
          strategy: policy?.scheduling ?? 'spread',
          isGradual: mode === 'gradual',
          movesLeft: movesMax - moves.count(tx, env.nowMs),
        },
        env,
      )
      for (const change of plan.changes) {
        if (change.kind === 'create') moves.add(change.object, env.nowMs)
      }
      return plan
    },
  }
}

/** Tasks on the move, with when they were planned. */
class Moves {
  readonly #plannedAtMs = new Map<string, number>()

  learn(tx: ReadTx): void {
    for (const task of tx.all('tasks')) if (isMove(task)) this.add(task, task.createdAtMs)
  }

  add({ id }: Task, nowMs: number): void {
    this.#plannedAtMs.set(id, nowMs)
  }

  count(tx: ReadTx, nowMs: number): number {
    for (const [id, atMs] of this.#plannedAtMs) {
      const task = tx.get('tasks', id)
      const isOver = task === undefined ? nowMs - atMs > unseenMs : !isMove(task)
      if (isOver) this.#plannedAtMs.delete(id)
    }
    return this.#plannedAtMs.size
  }
}

function isMove(task: Task): boolean {
  return (
    task.reason === 'rebalance' &&
    isActive(task) &&
    !isTerminal(task.state) &&
    task.state < TaskState.RUNNING
  )
}

function clusterOf(tx: ReadTx) {
  for (const cluster of tx.all('cluster')) return cluster
  return undefined
}

/** Services that are looked at: all, or those that were told to. */
function* told(tx: ReadTx): Iterable<string> {
  const isGradual = clusterOf(tx)?.spec.rebalance.mode === 'gradual'
  for (const { id, rebalance } of tx.all('services')) {
    if (isGradual || rebalance !== undefined) yield id
  }
}

function dirtiedBy(moves: Moves, change: Change, tx: ReadTx): Iterable<string> {
  switch (change.table) {
    case 'cluster':
    case 'nodes':
      return told(tx)
    case 'services':
      return change.kind === 'remove' ? [] : [change.object.id]
    case 'tasks': {
      const task = change.object
      if (change.kind !== 'remove' && isMove(task)) moves.add(task, task.createdAtMs)
      const isAsked = tx.get('services', task.serviceId)?.rebalance !== undefined
      return isAsked || task.reason === 'rebalance' ? [task.serviceId] : []
    }
    default:
      return []
  }
}
