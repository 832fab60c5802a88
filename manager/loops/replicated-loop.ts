// The loop that keeps replicated services as they are wanted: what makes it look where. What it decides is in
// orchestrator/replicated.ts.
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import {
  isTerminal,
  isUpdating,
  type Node,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { policyOf } from '../orchestrator/policy.ts'
import { reconcileReplicated, reconcileSlots } from '../orchestrator/replicated.ts'
import type { Change, ReadTx } from '../store/store.ts'
import { type ReconcileDeps, type Reconciler, reconcileLoop } from './reconcile-loop.ts'
import { allServices, decideScoped, isVacant, serviceViewOf } from './service-reconciler.ts'
import { SlotAgenda } from './slot-agenda.ts'

/** Runs while this manager leads. */
export function replicatedLoop(deps: ReconcileDeps): NamedLoop {
  return reconcileLoop(deps, replicatedReconciler())
}

/** One is made for each run of the loop: it remembers which slots to look at. */
export function replicatedReconciler(): Reconciler {
  const agenda = new SlotAgenda()
  return {
    name: 'replicated',
    watches: { services: 'all', tasks: 'all', nodes: 'all' },
    resyncMs: 300_000,
    dirtiedBy: (change, tx) => dirtiedBy(agenda, change, tx),
    allIds: (tx) => allServices(tx, agenda),
    decide: (id, tx, env) =>
      decideScoped(agenda, id, env.nowMs, (scope) => {
        const view = serviceViewOf(tx, id, scope)
        return scope === 'all' ? reconcileReplicated(view, env) : reconcileSlots(view, env)
      }),
  }
}

function dirtiedBy(agenda: SlotAgenda, change: Change, tx: ReadTx): Iterable<string> {
  if (change.table === 'services') {
    agenda.mark(change.object.id, 'all')
    return [change.object.id]
  }
  if (change.table === 'nodes') {
    const before = change.kind === 'update' ? change.old : undefined
    return change.kind === 'create' || !isLossOrReturn(before, change)
      ? []
      : markTasksOn(agenda, change.object, tx)
  }
  if (change.table !== 'tasks') return []
  const task = change.object
  const scope =
    change.kind === 'remove'
      ? removedScope(task, tx)
      : changedScope(change.kind === 'update' ? change.old : undefined, task, tx)
  if (scope === undefined) return []
  agenda.mark(task.serviceId, scope)
  return [task.serviceId]
}

function isLossOrReturn(before: Node | undefined, change: Change<'nodes'>): boolean {
  if (change.kind === 'remove' || before === undefined) return true
  const { state, spec } = change.object
  return before.state !== state || before.spec.availability !== spec.availability
}

function markTasksOn(agenda: SlotAgenda, node: Node, tx: ReadTx): Iterable<string> {
  const services = new Set<string>()
  for (const task of tx.find('tasks', 'byNode', node.id)) {
    agenda.mark(task.serviceId, task.slot)
    services.add(task.serviceId)
  }
  return services
}

/** What to look at after a task was created or updated: often nothing. */
function changedScope(
  before: Task | undefined,
  task: Task,
  tx: ReadTx,
): number | 'all' | undefined {
  const isRunningNow = task.state === TaskState.RUNNING && before?.state !== TaskState.RUNNING
  const service = tx.get('services', task.serviceId)
  const isJudged = isRunningNow || (isTerminal(task.state) && before?.state !== task.state)
  // An update may go on, or has failed.
  if (isJudged && service !== undefined && isUpdating(service)) return 'all'
  // Who served until then can stop.
  if (isRunningNow && service !== undefined && policyOf(service).order === 'start-first') {
    return task.slot
  }
  if (before === undefined) {
    return task.desiredState === TaskState.RUNNING && !isTerminal(task.state)
      ? undefined
      : task.slot
  }
  const ended = isTerminal(task.state) && !isTerminal(before.state)
  return ended || task.desiredState !== before.desiredState ? task.slot : undefined
}

/** A slot whose last task vanished is empty, and only a look at all of them fills it. */
function removedScope(task: Task, tx: ReadTx): number | 'all' | undefined {
  return isVacant(tx, task) ? 'all' : task.slot
}
