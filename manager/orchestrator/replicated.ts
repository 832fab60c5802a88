// Keeps the slots of a replicated service filled: restarts, moves off lost nodes, scales and updates. Looks at what is,
// never at what happened, so start, event and change of leader take one path.
import {
  type DecisionEnv,
  isActive,
  isTerminal,
  type Plan,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { newTask, startAtOnce, type TaskStart } from './new-task.ts'
import { mayStart, restartAtMs, shouldRestart, successorAtMs, takeOver } from './restart.ts'
import { slotsToRemove } from './scale.ts'
import { PlanDraft, type ServiceView } from './service-view.ts'
import { isFilled, isOnLostNode, type Slot, slotsOf, staysForNow, taskInTheWay } from './slot.ts'
import { volumeHome } from './slot-volumes.ts'
import { planUpdate } from './update.ts'

/** A plan stops growing here and is continued after it is applied. */
export const planChangesMax = 5_000

/** Decides about all slots of a service. Needs all of its tasks. O(tasks). */
export function reconcileReplicated(view: ServiceView, env: DecisionEnv): Plan {
  const draft = new PlanDraft()
  const slots = slotsOf(view.tasks)
  const { service } = view
  if (service === undefined) {
    for (const slot of slots) removeSlot(slot, draft)
    return planOf(draft, env)
  }
  const filled = slots.filter(isFilled)
  const { replicas } = service.spec.mode
  const surplus = new Set(slotsToRemove(filled, replicas, view))
  for (const slot of surplus) removeSlot(slot, draft)
  const kept = filled.filter((slot) => !surplus.has(slot))
  const settled = kept.filter((slot) => !settleSlot(slot, service, view, { draft, env }))
  planUpdate({ service, kept, settled }, view, { draft, env })
  const missing = replicas - kept.length
  if (missing > 0) addSlots(missing, slots, view, { draft, env, service })
  return planOf(draft, env)
}

/**
 * Decides about some slots by themselves: restarts, lost nodes, delayed starts. Needs all tasks of these slots.
 * Scaling and updates are left to reconcileReplicated.
 */
export function reconcileSlots(view: ServiceView, env: DecisionEnv): Plan {
  const draft = new PlanDraft()
  const { service } = view
  for (const slot of slotsOf(view.tasks)) {
    if (service === undefined) removeSlot(slot, draft)
    else if (isFilled(slot)) settleSlot(slot, service, view, { draft, env })
  }
  return planOf(draft, env)
}

interface Drafting {
  readonly draft: PlanDraft
  readonly env: DecisionEnv
}

function planOf(draft: PlanDraft, env: DecisionEnv): Plan {
  const { changes } = draft
  if (changes.length <= planChangesMax) return { changes, wakeAtMs: draft.wakeAtMs, notes: [] }
  return { changes: changes.slice(0, planChangesMax), wakeAtMs: env.nowMs, notes: [] }
}

function removeSlot(slot: Slot, draft: PlanDraft): void {
  for (const task of slot.tasks) {
    if (task.desiredState < TaskState.REMOVE) {
      draft.update({ ...task, desiredState: TaskState.REMOVE })
    }
  }
}

/** Returns whether the slot is changing, so that nothing else may be decided about it in this plan. */
function settleSlot(slot: Slot, service: Service, view: ServiceView, drafting: Drafting): boolean {
  const { draft, env } = drafting
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
  if (!shouldRestart(slot, head, view, env.nowMs)) return retired
  const successorMs = successorAtMs(head, view)
  if (successorMs > env.nowMs) {
    draft.wakeAt(successorMs)
    return retired
  }
  const start = takeOver(slot, head, view, restartAtMs(head, view, env.nowMs))
  draft.create(newTask(service, slot.number, start, env))
  return true
}

/** Starts a prepared task when its time has come. */
function promote(slot: Slot, head: Task, view: ServiceView, { draft, env }: Drafting): boolean {
  if (head.desiredState !== TaskState.READY) return false
  const verdict = mayStart(slot, head, view, env.nowMs)
  if (verdict.kind === 'start') {
    draft.update({ ...head, desiredState: TaskState.RUNNING })
    return true
  }
  draft.wakeAt(verdict.untilMs)
  return false
}

/** Takes the lowest numbers that are not filled. */
function addSlots(
  missing: number,
  slots: readonly Slot[],
  view: ServiceView,
  adding: Drafting & { readonly service: Service },
): void {
  const known = new Map(slots.map((slot) => [slot.number, slot]))
  const { draft, env, service } = adding
  let left = missing
  for (let number = 1; left > 0 && draft.changes.length <= planChangesMax; number++) {
    const slot = known.get(number)
    if (slot !== undefined && isFilled(slot)) continue
    draft.create(newTask(service, number, startInSlot(slot, view), env))
    left -= 1
  }
}

/** A number may be taken again while its former task still stops; then the new one waits for that. */
function startInSlot(slot: Slot | undefined, view: ServiceView): TaskStart {
  if (slot === undefined) return startAtOnce
  const volumeNodeId = volumeHome(slot, view)
  const inTheWay = taskInTheWay(slot, undefined, view)
  if (inTheWay === undefined) return { ...startAtOnce, volumeNodeId }
  const startAfterTaskId = inTheWay.id
  return { ...startAtOnce, desiredState: TaskState.READY, startAfterTaskId, volumeNodeId }
}
