// Updates and rollbacks: never more tasks than replicas and what the update may add, never more slots being replaced than its parallelism,
// nothing replaced while it is paused, and who goes back ends with the spec of before. The words are the specification's, not the updater's.
import type { Change, ReadTx } from '../../../../manager/store/store.ts'
import { canonicalJson } from '../../../../proto/lib/canonical-json.ts'
import {
  isActive,
  isRollback,
  isTerminal,
  isUpdating,
  type Place,
  placeOf,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import type { UpdatePolicy } from '../../../../proto/spec/service-spec.ts'
import type { Findings, Rule } from './rule.ts'

export class UpdateRule implements Rule {
  readonly #findings: Findings
  #entries = 0
  /** Services whose update was ended by a change of a user, and in which entry: what that holds besides may have been before it. */
  readonly #overtaken = new Map<string, number>()
  /** Whose update was completed in this commit: what else it holds is applied by then. */
  readonly #completed: Service[] = []

  constructor(findings: Findings) {
    this.#findings = findings
  }

  committed(changes: readonly Change[], tx: ReadTx): void {
    this.#entries += 1
    const grown = new Map<string, Task[]>()
    for (const change of changes) {
      if (change.table === 'services' && change.kind === 'update') {
        this.#service(change.old, change.object)
      } else if (change.table === 'tasks' && change.kind === 'create') {
        const { serviceId } = change.object
        grown.set(serviceId, [...(grown.get(serviceId) ?? []), change.object])
      }
    }
    for (const [id, tasks] of grown) {
      const [service] = tasks.map((task) => tx.get('services', task.serviceId))
      if (service?.id !== id || !isServed(service)) continue
      // Entries are applied several at once: a change behind these tasks says nothing about them.
      if (tasks.every(({ version }) => version >= service.version)) this.#grown(service, tasks, tx)
    }
    for (const service of this.#completed.splice(0)) this.#ended(service, tx)
  }

  #service(old: Service, now: Service): void {
    const [was, is] = [old.updateStatus?.state, now.updateStatus?.state]
    if (was === is) return
    if (isUpdating(old) && is === undefined) this.#overtaken.set(now.id, this.#entries)
    const { failureAction } = old.spec.update
    if (is === 'paused') {
      this.#findings.note('update paused')
      if (failureAction !== 'pause') this.#fail(now, `is paused, and is to ${failureAction}`)
    } else if (is === 'rollback_started') this.#goesBack(old, now)
    else if (is === 'completed') this.#completed.push(now)
    else if (is === 'rollback_completed') {
      this.#findings.note('rollback completed')
      if (!isSame(old.spec, now.spec)) this.#fail(now, 'ends its rollback with another spec')
      this.#completed.push(now)
    }
  }

  #goesBack(old: Service, now: Service): void {
    this.#findings.note('update rolled back')
    if (old.spec.update.failureAction !== 'rollback') {
      this.#fail(now, `goes back, and is to ${old.spec.update.failureAction}`)
    }
    if (!isUpdating(old)) this.#fail(now, `goes back from being ${old.updateStatus?.state}`)
    if (!isSame(now.spec, old.previousSpec)) this.#fail(now, 'goes back to another spec')
  }

  /** New tasks are there: all that is to run, and what is being replaced. */
  #grown(service: Service, fresh: readonly Task[], tx: ReadTx): void {
    const replacing = fresh.filter(isReplacing)
    if (replacing.length > 0 && !isUpdating(service) && !this.#isOvertaken(service)) {
      const state = service.updateStatus?.state ?? 'not being updated'
      this.#fail(service, `replaces ${replacing[0]?.id}, and is ${state}`)
    }
    const places = placesOf(service, tx)
    this.#inPlaces(service, places)
    const { mode } = service.spec
    // A task that follows another in its place is as good there until the place goes.
    const isMore = fresh.some(({ reason }) => reason === 'new')
    if (isMore && mode.kind === 'replicated' && places.length > mode.replicas) {
      this.#fail(service, `has tasks in ${places.length} places, and ${mode.replicas} replicas`)
    }
    const { parallelism } = policyOf(service)
    const changing = places.filter(({ tasks }) => isChanging(tasks, service))
    if (replacing.length > 0 && parallelism > 0 && changing.length > parallelism) {
      this.#fail(service, `replaces ${changing.length} tasks at once, not ${parallelism}`)
    }
  }

  #isOvertaken({ id, updateStatus }: Service): boolean {
    return updateStatus === undefined && this.#overtaken.get(id) === this.#entries
  }

  #inPlaces(service: Service, places: readonly TasksOfPlace[]): void {
    const { order, parallelism } = policyOf(service)
    const doubled = places.filter(({ tasks }) => tasks.length > 1)
    const isMoved = (tasks: readonly Task[]): boolean =>
      tasks.some(({ reason }) => reason === 'rebalance')
    // Where the new task failed the former serves on beside each further attempt, and the update goes on elsewhere.
    const beside = doubled.filter((one) => !isMoved(one.tasks) && !hasFailed(one)).length
    if (beside > 0) this.#findings.note('new task beside the former')
    const allowed = order === 'start-first' ? parallelism || places.length : 0
    if (beside > allowed) {
      this.#fail(service, `has two tasks in ${beside} places, and may in ${allowed}`)
    }
    for (const { place, tasks } of doubled) {
      const isFine = tasks.length === 2 && (order === 'start-first' || isMoved(tasks))
      if (!isFine) this.#fail(service, `has ${tasks.length} tasks in place ${place}`)
    }
  }

  /** Nothing of an earlier spec is left but what serves on while a task of the present one is tried again, unless that is told. */
  #ended(service: Service, tx: ReadTx): void {
    if (service.spec.mode.kind !== 'replicated') return
    if (service.updateStatus?.message.includes('former task') === true) return
    for (const { place, wanted, tasks } of placesOf(service, tx)) {
      if (wanted.some(({ specHash }) => specHash === service.specHash)) continue
      const [left] = tasks.map(({ id }) => id)
      this.#fail(service, `is ${service.updateStatus?.state}, and ${place} has ${left} of before`)
    }
  }

  #fail({ spec }: Service, what: string): void {
    this.#findings.fail(`service ${spec.name} ${what}`)
  }
}

interface TasksOfPlace {
  readonly place: Place
  /** That are to run. */
  readonly wanted: Task[]
  /** Those of them that have not ended. */
  readonly tasks: Task[]
  /** That ended by themselves. */
  readonly failed: Task[]
}

/** Where tasks are to run. */
function placesOf(service: Service, tx: ReadTx): readonly TasksOfPlace[] {
  const places = new Map<Place, TasksOfPlace>()
  for (const task of tx.find('tasks', 'byService', service.id)) {
    const place = placeOf(task)
    const known = places.get(place) ?? { place, wanted: [], tasks: [], failed: [] }
    places.set(place, known)
    if (isActive(task)) known.wanted.push(task)
    if (isActive(task) && !isTerminal(task.state)) known.tasks.push(task)
    const hasEnded = task.state >= TaskState.COMPLETE && task.state !== TaskState.SHUTDOWN
    if (hasEnded) known.failed.push(task)
  }
  return [...places.values()].filter(({ tasks }) => tasks.length > 0)
}

/** One that was to take over, for the present spec or one between, ended by itself. */
function hasFailed({ tasks, failed }: TasksOfPlace): boolean {
  const former = Math.min(...tasks.map(({ specVersion }) => specVersion))
  return failed.some(({ specVersion }) => specVersion > former)
}

function isServed({ spec: { mode } }: Service): boolean {
  return mode.kind === 'replicated' || mode.kind === 'global'
}

function policyOf(service: Service): UpdatePolicy {
  return isRollback(service) ? service.spec.rollback : service.spec.update
}

function isReplacing({ reason }: Task): boolean {
  return reason === 'update' || reason === 'rollback'
}

/** A task of the present spec replaces another, and does not run yet. One that took over from a task without a node replaces nothing. */
function isChanging(tasks: readonly Task[], { specVersion }: Service): boolean {
  return tasks.some(
    (task) =>
      isReplacing(task) &&
      task.specVersion === specVersion &&
      task.state < TaskState.RUNNING &&
      (task.startAfterTaskId !== undefined || tasks.length > 1),
  )
}

function isSame(one: unknown, other: unknown): boolean {
  return one === other || canonicalJson(one) === canonicalJson(other)
}
