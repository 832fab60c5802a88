// The task whose container is meant: a running one of a service, of a slot, or the very one.
import { hasCode, SwarmError } from '../../proto/errors.ts'
import { type Service, type Task, TaskState, taskStateName } from '../../proto/objects/index.ts'
import { findService, findTask, noSuchTarget } from '../controlapi/lookup.ts'
import type { ReadTx } from '../store/store.ts'

/**
 * Of a service the running task of the lowest slot, the newest if there are two.
 * Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT, FAILED_PRECONDITION (none runs).
 */
export function findRunningTask(tx: ReadTx, reference: string): Task {
  const service = serviceNamed(tx, reference)
  if (service !== undefined) {
    const [first] = runningTasks(tx, service.id)
    if (first !== undefined) return first
    const { name } = service.spec
    const text = `service ${name} has no running task: see \`tsswarm service ps ${name}\``
    throw new SwarmError('FAILED_PRECONDITION', text)
  }
  const task = taskNamed(tx, reference)
  if (task.state === TaskState.RUNNING) return task
  const text = `task ${taskName(tx, task)} does not run: it is ${taskStateName(task.state)}`
  throw new SwarmError('FAILED_PRECONDITION', text)
}

/** Of services all running tasks. Errors: as findRunningTask, but a service may have none. */
export function findRunningTasks(tx: ReadTx, reference: string): readonly Task[] {
  const service = serviceNamed(tx, reference)
  return service === undefined ? [findRunningTask(tx, reference)] : runningTasks(tx, service.id)
}

export function taskName(tx: ReadTx, task: Task): string {
  const service = tx.get('services', task.serviceId)
  return `${service?.spec.name ?? task.serviceId}.${task.slot || task.nodeId}.${task.id}`
}

/** By slot; of one slot those that shall run first, then the newest. */
function runningTasks(tx: ReadTx, serviceId: string): readonly Task[] {
  return [...tx.find('tasks', 'byService', serviceId)]
    .filter(({ state }) => state === TaskState.RUNNING)
    .sort(
      (a, b) => a.slot - b.slot || a.desiredState - b.desiredState || b.createdAtMs - a.createdAtMs,
    )
}

function serviceNamed(tx: ReadTx, reference: string): Service | undefined {
  try {
    return findService(tx, reference)
  } catch (err) {
    if (!hasCode(err, 'NOT_FOUND')) throw err
    return undefined
  }
}

function taskNamed(tx: ReadTx, reference: string): Task {
  try {
    return findTask(tx, reference)
  } catch (err) {
    if (!hasCode(err, 'NOT_FOUND')) throw err
    throw noSuchTarget(tx, reference, err)
  }
}
