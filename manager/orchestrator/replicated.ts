// Keeps the slots of a replicated service filled: restarts, moves off lost nodes, scales and updates. Looks at what is,
// never at what happened, so start, event and change of leader take one path.
import { type DecisionEnv, type Plan, type Service, TaskState } from '../../proto/objects/index.ts'
import { gated } from './dependencies.ts'
import { newTask, startAtOnce, type TaskStart } from './new-task.ts'
import { slotsToRemove } from './scale.ts'
import { PlanDraft, type ServiceView } from './service-view.ts'
import { type Drafting, planChangesMax, planOf, removeSlot, settleSlot } from './settle.ts'
import { isFilled, type Slot, slotsOf, taskInTheWay } from './slot.ts'
import { volumeHome } from './slot-volumes.ts'
import { planUpdate } from './update.ts'

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
  const { mode } = service.spec
  const replicas = mode.kind === 'replicated' ? mode.replicas : 0
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

/** Takes the lowest numbers that are not filled. */
function addSlots(
  missing: number,
  slots: readonly Slot[],
  view: ServiceView,
  adding: Drafting & { readonly service: Service },
): void {
  const known = new Map(slots.map((slot) => [slot.place, slot]))
  const { draft, env, service } = adding
  let left = missing
  for (let number = 1; left > 0 && draft.changes.length <= planChangesMax; number++) {
    const slot = known.get(number)
    if (slot !== undefined && isFilled(slot)) continue
    draft.create(newTask(service, number, gated(startInSlot(slot, view), view), env))
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
