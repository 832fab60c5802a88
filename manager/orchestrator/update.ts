// Rolls a service over to its current task spec: one slot at a time, the old task stopped before the new one starts.
// An update goes on only while every slot it touched came up again; a slot that fails or finds no node holds it.
import { type DecisionEnv, isActive, type Service, TaskState } from '../../proto/objects/index.ts'
import { newTask } from './new-task.ts'
import { takeOver } from './restart.ts'
import type { PlanDraft, ServiceView } from './service-view.ts'
import type { Slot } from './slot.ts'

const parallelism = 1
const recheckMs = 100

/** After a failure the slot's next task must run this long before the update goes on. */
export const updateMonitorMs = 5_000

interface Updating {
  readonly draft: PlanDraft
  readonly env: DecisionEnv
}

/** The service and its filled slots. */
export interface UpdateView {
  readonly service: Service
  /** Those about which nothing else was decided. */
  readonly settled: readonly Slot[]
  /** How many others there are. */
  readonly changing: number
}

/** Replaces outdated tasks. */
export function planUpdate(update: UpdateView, view: ServiceView, updating: Updating): void {
  const { service, settled, changing } = update
  const dirty = settled.filter((slot) => slot.head.specHash !== service.specHash)
  if (dirty.length === 0) return
  // What changes now is judged after that.
  if (changing > 0) updating.draft.wakeAt(updating.env.nowMs + recheckMs)
  const current = settled.filter((slot) => slot.head.specHash === service.specHash)
  const holding = current.filter((slot) => holdsUpdate(slot, updating)).length
  let free = parallelism - holding - changing
  for (const slot of dirty.sort(leastUsefulFirst)) {
    // What never had a node serves nobody, and replacing it proves nothing.
    const idle = slot.head.nodeId === undefined && slot.head.startAfterTaskId === undefined
    if (!idle && free <= 0) continue
    if (!idle) free -= 1
    replace(slot, service, view, updating)
  }
}

function leastUsefulFirst(a: Slot, b: Slot): number {
  return Number(isRunning(a)) - Number(isRunning(b)) || a.number - b.number
}

function isRunning(slot: Slot): boolean {
  return slot.head.state === TaskState.RUNNING && isActive(slot.head)
}

/** Whether a slot that already has the current spec is not up again. */
function holdsUpdate(slot: Slot, { draft, env }: Updating): boolean {
  const { head } = slot
  // A task that took over nothing took nothing down either.
  if (head.startAfterTaskId === undefined) return false
  if (!isActive(head)) return head.state !== TaskState.COMPLETE
  if (head.state !== TaskState.RUNNING) return true
  const failedBefore = slot.tasks.some(
    (task) => task.specVersion === head.specVersion && isFailure(task.state),
  )
  const provenAtMs = head.appliedAtMs + updateMonitorMs
  if (!failedBefore || env.nowMs >= provenAtMs) return false
  draft.wakeAt(provenAtMs)
  return true
}

function isFailure(state: TaskState): boolean {
  return state === TaskState.FAILED || state === TaskState.REJECTED
}

function replace(slot: Slot, service: Service, view: ServiceView, updating: Updating): void {
  const { draft, env } = updating
  const { head } = slot
  if (isActive(head)) draft.update({ ...head, desiredState: TaskState.SHUTDOWN })
  draft.create(newTask(service, slot.number, takeOver(slot, head, view, 0), env))
}
