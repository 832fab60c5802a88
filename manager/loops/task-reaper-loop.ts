// The loop that deletes tasks nobody needs: what makes it look where. What it decides is in orchestrator/task-reaper.ts.
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import { isActive, isTerminal, placeOf, type Task } from '../../proto/objects/index.ts'
import { reapTasks } from '../orchestrator/task-reaper.ts'
import type { Change, ReadTx } from '../store/store.ts'
import { type ReconcileDeps, type Reconciler, reconcileLoop } from './reconcile-loop.ts'
import { allServices, decideScoped, serviceViewOf } from './service-reconciler.ts'
import { SlotAgenda } from './slot-agenda.ts'

const defaultHistoryLimit = 5

/** Runs while this manager leads. */
export function taskReaperLoop(deps: ReconcileDeps): NamedLoop {
  return reconcileLoop(deps, taskReaper())
}

/** One is made for each run of the loop: it remembers which slots to look at. */
export function taskReaper(): Reconciler {
  const agenda = new SlotAgenda()
  return {
    name: 'task-reaper',
    watches: { cluster: 'all', services: 'all', tasks: 'all' },
    resyncMs: 300_000,
    dirtiedBy: (change, tx) => dirtiedBy(agenda, change, tx),
    allIds: (tx) => allServices(tx, agenda),
    decide: (id, tx, env) =>
      decideScoped(agenda, id, env.nowMs, (scope) =>
        reapTasks(serviceViewOf(tx, id, scope), historyLimit(tx), env.nowMs),
      ),
  }
}

function historyLimit(tx: ReadTx): number {
  for (const cluster of tx.all('cluster')) return cluster.spec.taskHistoryLimit
  return defaultHistoryLimit
}

function dirtiedBy(agenda: SlotAgenda, change: Change, tx: ReadTx): Iterable<string> {
  if (change.table === 'cluster') {
    const before = change.kind === 'update' ? change.old.spec.taskHistoryLimit : undefined
    return before === change.object.spec.taskHistoryLimit ? [] : allServices(tx, agenda)
  }
  if (change.table === 'services') {
    agenda.mark(change.object.id, 'all')
    return change.kind === 'create' ? [] : [change.object.id]
  }
  if (change.table !== 'tasks' || change.kind === 'remove') return []
  const task = change.object
  if (!makesHistory(change.kind === 'update' ? change.old : undefined, task)) return []
  agenda.mark(task.serviceId, placeOf(task))
  return [task.serviceId]
}

/** Whether it, or an older one of its slot, may have become superfluous. */
function makesHistory(before: Task | undefined, task: Task): boolean {
  if (before === undefined) return !isActive(task) || task.startAfterTaskId !== undefined
  if (isTerminal(task.state) && !isTerminal(before.state)) return true
  return task.desiredState !== before.desiredState && !isActive(task)
}
