// What an explanation of a task sees.
import { placeOf, type Task } from '../../../proto/objects/index.ts'
import type { TaskExplanation } from '../../../scheduler/explain.ts'
import type { ServiceView } from '../service-view.ts'
import { type Slot, slotsOf } from '../slot.ts'
import type { HasPayload } from './needs.ts'

export interface TaskSituation {
  readonly task: Task
  /** With all tasks of its slot. */
  readonly view: ServiceView
  readonly nowMs: number
  /** What the scheduler says of one that waits for a node. */
  readonly placement: TaskExplanation | undefined
  readonly hasPayload: HasPayload
}

/** The slot of the task; itself is always in it. */
export function slotOf({ task, view }: TaskSituation): Slot {
  const own = view.tasks.filter((other) => placeOf(other) === placeOf(task) && other.id !== task.id)
  const [slot] = slotsOf([...own, task])
  return slot ?? { place: placeOf(task), tasks: [task], head: task }
}
