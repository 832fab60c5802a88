// Which tasks leave the store: those that are to be removed and have stopped, and the oldest ended ones of a slot beyond
// the history limit. Never stops anything.
// Source: Docker Swarm's task reaper. Unlike there the last task of a slot is kept whatever the limit, because it holds
// the slot's place when it is not restarted.
import { isActive, isTerminal, type Plan, type Task, TaskState } from '../../proto/objects/index.ts'
import { countedTasks } from './restart.ts'
import { PlanDraft, type ServiceView } from './service-view.ts'
import { type Slot, slotsOf } from './slot.ts'

/** A plan stops growing here and is continued after it is applied. */
const removalsMax = 5_000
/** Failed tasks kept in one slot of a job. */
const jobTasksMax = 1_000

/** Decides about the slots in the view, which must be whole. historyLimit: tasks kept a slot; below 0: all. */
export function reapTasks(view: ServiceView, historyLimit: number, nowMs: number): Plan {
  const draft = new PlanDraft()
  for (const slot of slotsOf(view.tasks)) {
    reapSlot(slot, view, historyLimit, draft)
    if (draft.changes.length >= removalsMax) draft.wakeAt(nowMs)
    if (draft.changes.length >= removalsMax) break
  }
  return { changes: draft.changes, wakeAtMs: draft.wakeAtMs, notes: [] }
}

function reapSlot(slot: Slot, view: ServiceView, historyLimit: number, draft: PlanDraft): void {
  const kept: Task[] = []
  for (const task of slot.tasks) {
    if (isUnwanted(task, view) && hasStopped(task)) draft.remove(task)
    else kept.push(task)
  }
  if (slot.head.jobIteration !== undefined) {
    reapJob(kept, draft)
    return
  }
  if (historyLimit < 0 || kept.length <= historyLimit) return
  const counted = countedTasks(slot, view)
  // Restarts are known by their tasks; those that a drain or a lost node left go before them.
  let surplus = kept.length - Math.max(historyLimit, counted.size)
  for (const task of kept) {
    if (surplus <= 0) break
    if (counted.has(task)) continue
    if (task === slot.head || isActive(task) || !hasStopped(task)) continue
    draft.remove(task)
    surplus -= 1
  }
}

/**
 * The tasks of a job are its outcome (swarm-semantics 7.2). Only one that fails again and again, without a limit to its attempts, loses the
 * oldest of them: those that the counting of attempts needs stay.
 */
function reapJob(kept: readonly Task[], draft: PlanDraft): void {
  const failed = kept.filter(
    (task) => !isActive(task) && hasStopped(task) && task.state !== TaskState.COMPLETE,
  )
  for (const task of failed.slice(0, Math.max(0, failed.length - jobTasksMax))) draft.remove(task)
}

function isUnwanted(task: Task, view: ServiceView): boolean {
  return task.desiredState === TaskState.REMOVE || view.service === undefined
}

/** It ended, or never had a node and so will never run. */
function hasStopped(task: Task): boolean {
  return task.state < TaskState.ASSIGNED || isTerminal(task.state)
}
