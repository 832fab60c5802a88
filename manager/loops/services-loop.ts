// The loop that keeps the tasks of services as they are wanted: what makes it look where. What it decides is in
// orchestrator/reconcile-service.ts.
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import {
  isTerminal,
  isToRun,
  isUpdating,
  type Node,
  type Place,
  placeOf,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { policyOf } from '../orchestrator/policy.ts'
import { reconcileService } from '../orchestrator/reconcile-service.ts'
import type { Change, ReadTx } from '../store/store.ts'
import { Dependents } from './dependents.ts'
import { offersTheSame } from './node-tasks-loop.ts'
import { type ReconcileDeps, type Reconciler, reconcileLoop } from './reconcile-loop.ts'
import { allServices, decideScoped, isVacant, serviceViewOf } from './service-reconciler.ts'
import { SlotAgenda } from './slot-agenda.ts'

/** Runs while this manager leads. */
export function servicesLoop(deps: ReconcileDeps): NamedLoop {
  return reconcileLoop(deps, servicesReconciler())
}

/** One is made for each run of the loop: it remembers which slots to look at. */
export function servicesReconciler(): Reconciler {
  const agenda = new SlotAgenda()
  const dependents = new Dependents()
  return {
    name: 'services',
    watches: { services: 'all', tasks: 'all', nodes: 'all' },
    resyncMs: 300_000,
    dirtiedBy: (change, tx) => [
      ...dirtiedBy(agenda, change, tx),
      ...dirtiedDependents(agenda, dependents, change, tx),
    ],
    allIds: (tx) => {
      for (const service of tx.all('services')) dependents.put(service)
      return allServices(tx, agenda)
    },
    decide: (id, tx, env) =>
      decideScoped(agenda, id, env.nowMs, (scope) =>
        reconcileService(serviceViewOf(tx, id, scope), scope, env),
      ),
    // A user's change between decision and writing: tasks of the former spec, or more than there shall be, would come of it.
    basisOf: (id, tx) => tx.get('services', id)?.version,
  }
}

/** Those that may wait for the service that changed, or whose task did. */
function dirtiedDependents(
  agenda: SlotAgenda,
  dependents: Dependents,
  change: Change,
  tx: ReadTx,
): Iterable<string> {
  const service = concerned(change, tx)
  if (service === undefined) return []
  if (change.table === 'services') {
    if (change.kind === 'remove') dependents.drop(service.id)
    else dependents.put(service)
  }
  const ids = [...dependents.of(service)]
  for (const id of ids) agenda.mark(id, 'all')
  return ids
}

function concerned(change: Change, tx: ReadTx): Service | undefined {
  if (change.table === 'services') return change.object
  if (change.table !== 'tasks') return undefined
  const before = change.kind === 'update' ? change.old.state : undefined
  const isSame = change.kind === 'update' && before === change.object.state
  return isSame ? undefined : tx.get('services', change.object.serviceId)
}

function dirtiedBy(agenda: SlotAgenda, change: Change, tx: ReadTx): Iterable<string> {
  if (change.table === 'services') {
    agenda.mark(change.object.id, 'all')
    return [change.object.id]
  }
  if (change.table === 'nodes') return dirtiedByNode(agenda, change, tx)
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

function dirtiedByNode(agenda: SlotAgenda, change: Change<'nodes'>, tx: ReadTx): Iterable<string> {
  const before = change.kind === 'update' ? change.old : undefined
  const node = change.object
  const services = new Set<string>()
  if (change.kind === 'remove' || (before !== undefined && isLossOrReturn(before, node))) {
    for (const task of tx.find('tasks', 'byNode', node.id)) {
      agenda.mark(task.serviceId, scopeOf(task))
      services.add(task.serviceId)
    }
  }
  if (before !== undefined && offersTheSame(before, node)) return services
  // It may be to have a task, or to have none any more.
  for (const kind of ['global', 'global-job'] as const) {
    for (const service of tx.find('services', 'byMode', kind)) {
      // One that is active again may have missed an update.
      const isAgain = before !== undefined && before.spec.availability !== node.spec.availability
      const isWhole = kind === 'global-job' || isAgain || isUpdating(service)
      agenda.mark(service.id, isWhole ? 'all' : node.id)
      services.add(service.id)
    }
  }
  return services
}

function isLossOrReturn(before: Node, { state, spec }: Node): boolean {
  return before.state !== state || before.spec.availability !== spec.availability
}

/** A job is looked at as a whole. */
function scopeOf(task: Task): Place | 'all' {
  return task.jobIteration === undefined ? placeOf(task) : 'all'
}

/** What to look at after a task was created or updated: often nothing. */
function changedScope(before: Task | undefined, task: Task, tx: ReadTx): Place | 'all' | undefined {
  const isRunningNow = task.state === TaskState.RUNNING && before?.state !== TaskState.RUNNING
  const service = tx.get('services', task.serviceId)
  const isJudged = isRunningNow || (isTerminal(task.state) && before?.state !== task.state)
  // An update may go on, or has failed.
  if (isJudged && service !== undefined && isUpdating(service)) return 'all'
  // A move is done, or cannot be.
  if (task.reason === 'rebalance' && (isRunningNow || task.err !== (before?.err ?? ''))) {
    return scopeOf(task)
  }
  // Who served until then can stop.
  if (isRunningNow && service !== undefined && policyOf(service).order === 'start-first') {
    return scopeOf(task)
  }
  if (before === undefined) {
    return isToRun(task) && !isTerminal(task.state) ? undefined : scopeOf(task)
  }
  const ended = isTerminal(task.state) && !isTerminal(before.state)
  return ended || task.desiredState !== before.desiredState ? scopeOf(task) : undefined
}

/** A slot whose last task vanished is empty, and only a look at all of them fills it. */
function removedScope(task: Task, tx: ReadTx): Place | 'all' {
  return isVacant(tx, task) && task.forNodeId === undefined ? 'all' : scopeOf(task)
}
