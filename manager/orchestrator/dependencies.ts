// The gate in front of a service's new tasks: as long as a service that it depends on is not so far, they are prepared and not started,
// and an update replaces none. Once one task of a version has passed it, all of that version may: a task that restarts waits for nobody.
// What the tasks themselves tell is enough, so a new leader goes on. Source: Compose's depends_on, in first deployment and in updates.
import {
  isActive,
  isRollback,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import type { DependencySpec } from '../../proto/spec/service-spec.ts'
import type { TaskStart } from './new-task.ts'
import { outdatedBy } from './outdated.ts'
import type { ServiceView } from './service-view.ts'
import { isFilled, type Slot, slotsOf } from './slot.ts'

/** A service that is depended on, with all of its tasks. */
export interface Depended {
  readonly service: Service
  readonly tasks: readonly Task[]
}

/** Each slot asks, and one picture has one answer. */
const answers = new WeakMap<ServiceView, string>()

/** What new tasks of the service wait for, in words; empty: for nothing. O(tasks of both) while there is anything to wait for. */
export function waitsFor(view: ServiceView): string {
  const known = answers.get(view)
  if (known !== undefined) return known
  const answer = whatFor(view)
  answers.set(view, answer)
  return answer
}

function whatFor(view: ServiceView): string {
  const { service } = view
  if (service === undefined) return ''
  const { dependsOn } = service.spec.task
  // What goes back to where it was does not wait for what may be broken.
  if (dependsOn.length === 0 || isRollback(service) || hasPassed(service, view)) return ''
  for (const one of dependsOn) {
    const why = unmet(one, view)
    if (why !== undefined) return `service "${one.service}"${why}`
  }
  return ''
}

/** How a new task begins: prepared only, while there is something to wait for. */
export function gated(start: TaskStart, view: ServiceView): TaskStart {
  const why = waitsFor(view)
  return why === '' ? start : { ...start, desiredState: TaskState.READY, waitsFor: why }
}

/** A version that is the same as an earlier one goes on with its tasks, as far as they are there yet. */
function hasPassed({ specVersion, specHash }: Service, view: ServiceView): boolean {
  for (const task of view.allTasks()) {
    const isOfIt =
      task.specVersion === specVersion || (task.specHash === specHash && isActive(task))
    if (isOfIt && task.waitsFor === '') return true
  }
  return false
}

/** Undefined: it is so far. */
function unmet(
  { service: name, condition }: DependencySpec,
  view: ServiceView,
): string | undefined {
  const depended = view.depended(name)
  if (depended === undefined) return ', which does not exist'
  const slots = slotsOf(depended.tasks).filter(isFilled)
  const isOutdated = outdatedBy(depended.service, { ...view, service: depended.service })
  const isMet = conditions[condition]
  const wanted = placesWanted(depended.service)
  const isWhole = wanted === undefined ? slots.length > 0 : slots.length >= wanted
  const isSoFar = (slot: Slot): boolean =>
    isOfPresentRun(slot.head, depended.service) &&
    !isOutdated(slot.head) &&
    isMet(slot, depended.service)
  return isWhole && slots.every(isSoFar) ? undefined : words[condition]
}

/**
 * A job runs again with each update, and what the run before it did does not count, be its tasks there for a moment longer. Runs of a
 * schedule come and go by themselves: there the newest of each slot counts.
 */
function isOfPresentRun(head: Task, { jobStatus, spec: { mode } }: Service): boolean {
  return mode.kind === 'cron' || head.jobIteration === jobStatus?.iteration
}

/** Undefined: as many as there are nodes for it. */
function placesWanted({ spec: { mode } }: Service): number | undefined {
  switch (mode.kind) {
    case 'replicated':
      return mode.replicas
    case 'replicated-job':
      return mode.completions
    case 'global':
    case 'global-job':
    case 'cron':
      return undefined
  }
}

type Condition = DependencySpec['condition']

const words: Readonly<Record<Condition, string>> = {
  started: ' to be started',
  healthy: ' to be healthy',
  completed_successfully: ' to complete successfully',
}

/** Of one slot whose head is of the present spec. With a health check a task is RUNNING only once that passed. */
const conditions: Readonly<Record<Condition, (slot: Slot, service: Service) => boolean>> = {
  started: ({ head }) => head.ranAtMs > 0 || hasStarted(head),
  healthy: ({ head }) => head.state === TaskState.RUNNING,
  completed_successfully: ({ tasks, head }) =>
    tasks.some(
      (task) =>
        task.specHash === head.specHash &&
        task.state === TaskState.COMPLETE &&
        isOfSameRun(task, head),
    ),
}

function hasStarted({ state }: Task): boolean {
  return state >= TaskState.STARTING && state <= TaskState.COMPLETE
}

function isOfSameRun(task: Task, head: Task): boolean {
  return task.jobIteration === head.jobIteration
}
