// A slot: the tasks that hold one place one after another, that of a replica or of a node, and what can be told of them together.
import {
  isActive,
  isTerminal,
  type Place,
  placeOf,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { policyOf } from './policy.ts'
import type { ServiceView } from './service-view.ts'

export interface Slot {
  readonly place: Place
  /** Oldest first. */
  readonly tasks: readonly Task[]
  /** The newest that is wanted, else the newest. */
  readonly head: Task
}

/** The slots of the tasks, by place. */
export function slotsOf(tasks: readonly Task[]): readonly Slot[] {
  const byPlace = new Map<Place, Task[]>()
  for (const task of tasks) {
    const place = placeOf(task)
    const known = byPlace.get(place)
    if (known === undefined) byPlace.set(place, [task])
    else known.push(task)
  }
  const slots: Slot[] = []
  for (const [place, own] of byPlace) {
    if (own.length > 1) own.sort(byAge)
    const head = own.findLast(isActive) ?? own[own.length - 1]
    if (head !== undefined) slots.push({ place, tasks: own, head })
  }
  return slots.sort(byPlaces)
}

/** In ascending order. */
export function byPlaces(a: { readonly place: Place }, b: { readonly place: Place }): number {
  if (a.place === b.place) return 0
  return a.place < b.place ? -1 : 1
}

/** Oldest first; made in the same millisecond, the one that is less wanted is older. */
export function byAge(a: Task, b: Task): number {
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs - b.createdAtMs
  if (a.desiredState !== b.desiredState) return b.desiredState - a.desiredState
  return a.id < b.id ? -1 : 1
}

/** Whether the slot holds a replica's place, be it with a task that ended for good. */
export function isFilled(slot: Slot): boolean {
  return slot.head.desiredState < TaskState.REMOVE
}

/** Whether the task's node can run it no longer: gone, down or drained. */
export function isOnLostNode(task: Task, view: ServiceView): boolean {
  if (task.nodeId === undefined) return false
  const node = view.node(task.nodeId)
  return node === undefined || node.state === 'down' || node.spec.availability === 'drain'
}

/**
 * Whether the task can be taken for stopped: it ended, never had a node, or its node is gone or down (it may
 * still run there; it is stopped when the node returns).
 */
export function isOutOfTheWay(task: Task, view: ServiceView): boolean {
  if (isTerminal(task.state) || task.nodeId === undefined) return true
  const node = view.node(task.nodeId)
  return node === undefined || node.state === 'down'
}

/**
 * The newest task of the slot, other than `task`, that a new one has to wait for: it is to stop, or will be in this plan.
 */
export function taskInTheWay(
  slot: Slot,
  task: Task | undefined,
  view: ServiceView,
): Task | undefined {
  return slot.tasks.findLast(
    (other) =>
      other.id !== task?.id && !isOutOfTheWay(other, view) && !staysForNow(other, slot, view),
  )
}

/**
 * Whether a task serves on until the one that takes over runs: one that is moved, and with start-first one of an earlier generation.
 */
export function staysForNow(task: Task, { head }: Slot, view: ServiceView): boolean {
  const { service } = view
  if (isMovedBy(task, head, view)) return head.state !== TaskState.RUNNING || !isActive(head)
  if (service === undefined || policyOf(service).order !== 'start-first') return false
  if (task === head || !isActive(task) || task.state !== TaskState.RUNNING) return false
  if (task.specVersion >= head.specVersion || isOnLostNode(task, view)) return false
  return head.state !== TaskState.RUNNING || !isActive(head)
}

/** Whether the head was made to move this task onto another node, and it runs meanwhile. */
function isMovedBy(task: Task, head: Task, view: ServiceView): boolean {
  return (
    head.reason === 'rebalance' &&
    task !== head &&
    isActive(task) &&
    task.state === TaskState.RUNNING &&
    // It may be of an earlier generation that was the same.
    task.specHash === head.specHash &&
    !isOnLostNode(task, view)
  )
}

/** Whether the head was to move a task that serves on, and cannot: it ended, its node is lost, or no node takes it. */
export function isFailedMove({ head, tasks }: Slot, view: ServiceView): boolean {
  if (!isActive(head) || !tasks.some((task) => isMovedBy(task, head, view))) return false
  const isUnplaced = head.nodeId === undefined && head.err !== ''
  return isTerminal(head.state) || isOnLostNode(head, view) || isUnplaced
}
