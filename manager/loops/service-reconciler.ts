// What the loops over services share: reading the picture of a service, or of some of its slots, from the store.
import { type Place, type Plan, placeOf, type Task } from '../../proto/objects/index.ts'
import type { Depended } from '../orchestrator/dependencies.ts'
import type { Scope, ServiceView } from '../orchestrator/service-view.ts'
import type { ReadTx } from '../store/store.ts'
import type { SlotAgenda } from './slot-agenda.ts'

/** The picture of the service with all tasks of the scope. */
export function serviceViewOf(tx: ReadTx, service: string, scope: Scope): ServiceView {
  return {
    service: tx.get('services', service),
    tasks:
      scope === 'all' ? [...tx.find('tasks', 'byService', service)] : tasksIn(tx, service, scope),
    node: (id) => tx.get('nodes', id),
    nodes: () => tx.all('nodes'),
    taskSpec: (hash) => tx.get('taskSpecs', hash)?.spec,
    allTasks: () => tx.find('tasks', 'byService', service),
    depended: (name) => dependedOf(tx, name),
  }
}

function dependedOf(tx: ReadTx, name: string): Depended | undefined {
  for (const service of tx.find('services', 'byName', name.toLowerCase())) {
    return { service, tasks: [...tx.find('tasks', 'byService', service.id)] }
  }
  return undefined
}

function tasksIn(tx: ReadTx, service: string, places: ReadonlySet<Place>): Task[] {
  const tasks: Task[] = []
  for (const place of places) {
    for (const task of tx.find('tasks', 'bySlot', `${service}/${place}`)) tasks.push(task)
  }
  return tasks
}

/** All services, and those of which only tasks are left. Marks each of them whole. O(tasks). */
export function allServices(tx: ReadTx, agenda: SlotAgenda): ReadonlySet<string> {
  const ids = new Set<string>()
  for (const { id } of tx.all('services')) ids.add(id)
  for (const task of tx.all('tasks')) ids.add(task.serviceId)
  for (const id of ids) agenda.mark(id, 'all')
  return ids
}

/** Decides about what the agenda has of the service, and takes note of the outcome. */
export function decideScoped(
  agenda: SlotAgenda,
  service: string,
  nowMs: number,
  decide: (scope: Scope) => Plan,
): Plan {
  const scope = agenda.take(service, nowMs)
  const plan = decide(scope)
  const { changes, notes, wakeAtMs } = plan
  const isEmpty = changes.length === 0
  return { changes, notes, wakeAtMs: agenda.decided(service, scope, { isEmpty, wakeAtMs }) }
}

/** Whether the slot has no task any more. */
export function isVacant(tx: ReadTx, task: Task): boolean {
  const key = `${task.serviceId}/${placeOf(task)}`
  for (const _ of tx.find('tasks', 'bySlot', key)) return false
  return true
}
