// Runs jobs: tasks that are to end well, each tried again as its restart policy says, some at a time or one on each node. What ended well
// stays done until the job is begun again.
// Source: Docker Swarm's job orchestrators (swarm-semantics 1.1, 7.2): slots from 0, desired state COMPLETE, `any` restarts on failure only.
import {
  type DecisionEnv,
  isActive,
  isTerminal,
  type Place,
  type Plan,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import type { ServiceMode } from '../../proto/spec/service-mode.ts'
import { gated } from './dependencies.ts'
import { visitNodes } from './global.ts'
import { newTask, startAtOnce } from './new-task.ts'
import { shouldRestart } from './restart.ts'
import { PlanDraft, type ServiceView } from './service-view.ts'
import { type Drafting, planChangesMax, planOf, settleSlot } from './settle.ts'
import { type Slot, slotsOf } from './slot.ts'

/** One time that a job is carried out. */
export interface JobRun {
  readonly service: Service
  readonly iteration: number
  /** How many tasks must end well; Infinity: one on each node that fits. */
  readonly completions: number
  readonly maxConcurrent: number
  /** What a slot is decided from, where that is not the view of all. */
  readonly viewOf?: (slot: Slot) => ServiceView
}

/** Decides about all tasks of a job. O(tasks), and O(nodes) of a global one. */
export function reconcileJob(view: ServiceView, env: DecisionEnv): Plan {
  const draft = new PlanDraft()
  const { service } = view
  if (service === undefined) return planOf(draft, env)
  const iteration = service.jobStatus?.iteration ?? 0
  const own: Task[] = []
  for (const task of view.tasks) {
    if (task.jobIteration === iteration) own.push(task)
    else if (task.desiredState < TaskState.REMOVE) {
      draft.update({ ...task, desiredState: TaskState.REMOVE })
    }
  }
  const run = { service, iteration, ...sizesOf(service.spec.mode) }
  planRun(run, { ...view, tasks: own }, { draft, env })
  return planOf(draft, env)
}

/** How many tasks of a job there are to be; of a service that is no job none. */
export function sizesOf(mode: ServiceMode): Pick<JobRun, 'completions' | 'maxConcurrent'> {
  switch (mode.kind) {
    case 'replicated-job':
    case 'cron':
      return { completions: mode.completions, maxConcurrent: mode.maxConcurrent }
    case 'global-job':
      return { completions: Number.POSITIVE_INFINITY, maxConcurrent: Number.POSITIVE_INFINITY }
    case 'replicated':
    case 'global':
      return { completions: 0, maxConcurrent: 0 }
  }
}

/** Decides about one run; the view has its tasks alone. */
export function planRun(run: JobRun, view: ServiceView, drafting: Drafting): void {
  const slots = slotsOf(view.tasks)
  for (const slot of slots) if (isDone(slot)) retireRest(slot, drafting)
  const open = slots.filter((slot) => !isDone(slot))
  if (run.completions === Number.POSITIVE_INFINITY) {
    const left = new Map<Place, Slot>(open.map((slot) => [slot.place, slot]))
    const done = new Set(slots.filter(isDone).map(({ place }) => place))
    visitNodes({ ...run, slots: left, done }, view, drafting)
    return
  }
  const viewOf = run.viewOf ?? (() => view)
  for (const slot of open) settleSlot(slot, run.service, viewOf(slot), drafting)
  const atWork = open.filter((slot) => !hasFailed(slot, viewOf(slot))).length
  addSlots(run, run.maxConcurrent - atWork, view, drafting)
}

/** A task that was replaced, because its node was lost, may come back and end well after all. */
function retireRest({ tasks }: Slot, { draft }: Drafting): void {
  for (const task of tasks) {
    if (!isActive(task) || isTerminal(task.state)) continue
    draft.update({ ...task, desiredState: TaskState.SHUTDOWN })
  }
}

/** Takes the lowest numbers of which there was no task yet. */
function addSlots(run: JobRun, most: number, view: ServiceView, { draft, env }: Drafting): void {
  const { service, iteration, completions } = run
  const taken = new Set(view.tasks.map(({ slot }) => slot))
  let left = Math.min(most, completions - taken.size)
  for (let number = 0; left > 0 && draft.changes.length <= planChangesMax; number++) {
    if (taken.has(number)) continue
    const start = gated({ ...startAtOnce, jobIteration: iteration }, view)
    draft.create(newTask(service, number, start, env))
    left -= 1
  }
}

/** One of its tasks ended well. */
export function isDone({ tasks }: Slot): boolean {
  return tasks.some(({ state }) => state === TaskState.COMPLETE)
}

export function doneSlots(tasks: readonly Task[]): readonly Slot[] {
  return slotsOf(tasks).filter(isDone)
}

function hasFailed(slot: Slot, view: ServiceView): boolean {
  return isTerminal(slot.head.state) && !shouldRestart(slot, slot.head, view)
}

/** The slots that failed and are not tried again in this run. */
export function failedSlots(
  view: ServiceView,
  viewOf: (slot: Slot) => ServiceView = () => view,
): readonly Slot[] {
  return slotsOf(view.tasks).filter((slot) => !isDone(slot) && hasFailed(slot, viewOf(slot)))
}
