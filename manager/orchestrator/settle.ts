// What is decided about one slot by itself, whatever the mode of its service: its next task after one that ended or lost its node, and when
// a prepared one starts.
import {
  type DecisionEnv,
  isActive,
  isTerminal,
  type Plan,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { gated, waitsFor } from './dependencies.ts'
import { newTask, wantedState } from './new-task.ts'
import { mayStart, restartAtMs, shouldRestart, successorAtMs, takeOver } from './restart.ts'
import type { PlanDraft, ServiceView } from './service-view.ts'
import { isFailedMove, isOnLostNode, type Slot, staysForNow } from './slot.ts'

/** A plan stops growing here and is continued after it is applied. */
export const planChangesMax = 5_000

export interface Drafting {
  readonly draft: PlanDraft
  readonly env: DecisionEnv
}

/** What was drafted, as far as one plan goes. */
export function planOf(draft: PlanDraft, env: DecisionEnv): Plan {
  const { changes } = draft
  if (changes.length <= planChangesMax) return { changes, wakeAtMs: draft.wakeAtMs, notes: [] }
  return { changes: changes.slice(0, planChangesMax), wakeAtMs: env.nowMs, notes: [] }
}

/** All of its tasks are to go. */
export function removeSlot(slot: Slot, draft: PlanDraft): void {
  for (const task of slot.tasks) {
    if (task.desiredState < TaskState.REMOVE) {
      draft.update({ ...task, desiredState: TaskState.REMOVE })
    }
  }
}

/**
 * Restarts, moves off lost nodes, delayed starts. Returns whether the slot is changing, so that nothing else may be decided about it in
 * this plan.
 */
export function settleSlot(
  slot: Slot,
  service: Service,
  view: ServiceView,
  drafting: Drafting,
): boolean {
  const { draft, env } = drafting
  if (isFailedMove(slot, view)) {
    draft.update({ ...slot.head, desiredState: TaskState.SHUTDOWN })
    return true
  }
  let retired = false
  for (const task of slot.tasks) {
    if (!isActive(task)) continue
    const lost = isTerminal(task.state) || isOnLostNode(task, view)
    if ((task === slot.head && !lost) || staysForNow(task, slot, view)) continue
    draft.update({ ...task, desiredState: TaskState.SHUTDOWN })
    retired = true
  }
  const { head } = slot
  if (isActive(head) && !isTerminal(head.state) && !isOnLostNode(head, view)) {
    return retired || promote(slot, head, view, drafting)
  }
  if (!shouldRestart(slot, head, view)) return retired
  const successorMs = successorAtMs(head, view)
  if (successorMs > env.nowMs) {
    draft.wakeAt(successorMs)
    return retired
  }
  const start = takeOver(slot, head, view, restartAtMs(head, view, env.nowMs))
  draft.create(newTask(service, slot.place, gated(start, view), env))
  return true
}

/** Starts a prepared task when its time has come. */
export function promote(
  slot: Slot,
  head: Task,
  view: ServiceView,
  { draft, env }: Drafting,
): boolean {
  if (head.desiredState !== TaskState.READY) return false
  const why = head.waitsFor === '' ? '' : waitsFor(view)
  if (why !== '') {
    if (why !== head.waitsFor) draft.update({ ...head, waitsFor: why })
    return why !== head.waitsFor
  }
  const verdict = mayStart(slot, head, view, env.nowMs)
  if (verdict.kind === 'start') {
    draft.update({ ...head, desiredState: wantedState(head), waitsFor: '' })
    return true
  }
  draft.wakeAt(verdict.untilMs)
  if (head.waitsFor === '') return false
  draft.update({ ...head, waitsFor: '' })
  return true
}
