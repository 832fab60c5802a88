// Rolls a service over to its current task spec, a few slots at a time, and judges by the tasks themselves how that goes: what a slot's
// first task of the new generation did. So nothing is remembered but the status that users see, and a new leader goes on.
// Source: Docker Swarm's updater: when a slot counts as updated and as failed, pause and rollback, the messages.
import {
  type DecisionEnv,
  isActive,
  isRollback,
  isTerminal,
  isUpdating,
  type Service,
  type Task,
  TaskState,
  type UpdateStatus,
} from '../../proto/objects/index.ts'
import type { UpdatePolicy } from '../../proto/spec/service-spec.ts'
import { waitsFor } from './dependencies.ts'
import { newTask, startAtOnce } from './new-task.ts'
import { outdatedBy } from './outdated.ts'
import { policyOf } from './policy.ts'
import { hasEndedOnItsOwn, restartAtMs, shouldRestart, takeOver } from './restart.ts'
import type { PlanDraft, ServiceView } from './service-view.ts'
import { byPlaces, type Slot } from './slot.ts'
import { volumeHome } from './slot-volumes.ts'
import { updateReason } from './task-reason-of.ts'

const recheckMs = 100
const updateGoesOn = 'update in progress'
/** Before what it waits for. */
const updateWaits = 'update waits for '

interface Updating {
  readonly draft: PlanDraft
  readonly env: DecisionEnv
}

/** The service and its filled slots. */
export interface UpdateView {
  readonly service: Service
  /** All that stay. */
  readonly kept: readonly Slot[]
  /** Those about which nothing else was decided. */
  readonly settled: readonly Slot[]
  /** Those that get nothing new (their node is paused): the update is not for them, but what it began there is part of it. */
  readonly begun?: readonly Slot[]
}

/** Replaces outdated tasks, and notes how the update goes. */
export function planUpdate(update: UpdateView, view: ServiceView, updating: Updating): void {
  const { service, kept } = update
  const isOutdated = outdatedBy(service, view)
  const all = kept.filter((slot) => isOutdated(slot.head))
  const outdated = all.filter((slot) => !isGivenUp(slot, service, view))
  const status = statusOf(service, outdated.length, updating.env.nowMs)
  if (status === undefined || isPaused(status)) return
  const policy = policyOf({ ...service, updateStatus: status })
  const judged = judge(update, policy, updating)
  const course = { outdated: outdated.length, givenUp: all.length - outdated.length }
  const why = outdated.length === 0 ? '' : waitsFor(view)
  const told = why === '' ? goingOn(status) : { ...status, message: `${updateWaits}${why}` }
  const next = outcome(
    { service, status: same(told, service), policy, ...course },
    judged,
    updating,
  )
  if (next !== service.updateStatus) writeStatus(service, next, updating.draft)
  if (isUpdating({ ...service, updateStatus: next })) {
    if (why !== '') return
    replaceSome(update, { outdated, policy, holding: judged.holding }, view, updating)
  }
}

/** One that waited does so no longer. */
function goingOn(status: UpdateStatus): UpdateStatus {
  return status.message.startsWith(updateWaits) ? { ...status, message: updateGoesOn } : status
}

/** What is told already is not written again. */
function same(status: UpdateStatus, { updateStatus }: Service): UpdateStatus {
  const isTold = updateStatus?.message === status.message && updateStatus.slots === status.slots
  return isTold && updateStatus.state === status.state ? updateStatus : status
}

/** The status while it is under way; undefined: there is no update. */
function statusOf(service: Service, outdated: number, nowMs: number): UpdateStatus | undefined {
  const { updateStatus: status } = service
  if (status !== undefined && (isUpdating(service) || isPaused(status))) {
    return status.slots > 0 || outdated === 0 ? status : { ...status, slots: outdated }
  }
  if (outdated === 0) return undefined
  return {
    state: 'updating',
    startedAtMs: nowMs,
    completedAtMs: 0,
    message: updateGoesOn,
    slots: outdated,
  }
}

function isPaused({ state }: UpdateStatus): boolean {
  return state === 'paused' || state === 'rollback_paused'
}

interface Judged {
  /** Slots that were updated and are not up again, or not for long enough. */
  readonly holding: number
  /** First tasks of their slots that ended too early. */
  readonly failed: readonly Task[]
  /** Every updated slot has run for as long as it is watched, or failed. */
  readonly isProven: boolean
}

function judge(
  { service, kept, begun = [] }: UpdateView,
  policy: UpdatePolicy,
  { draft, env }: Updating,
): Judged {
  let holding = 0
  let isProven = true
  const failed: Task[] = []
  for (const slot of [...kept, ...begun]) {
    const first = firstOfUpdate(slot, service)
    if (first === undefined) continue
    if (hasEndedOnItsOwn(first)) {
      if (hasFailed(first, policy)) failed.push(first)
      continue
    }
    if (first.state < TaskState.RUNNING) {
      holding += 1
      isProven = false
      continue
    }
    const nextAtMs = first.ranAtMs + policy.delayMs
    if (env.nowMs < nextAtMs) {
      holding += 1
      draft.wakeAt(nextAtMs)
    }
    const provenAtMs = first.ranAtMs + policy.monitorMs
    if (env.nowMs < provenAtMs) {
      isProven = false
      draft.wakeAt(provenAtMs)
    }
  }
  return { holding, failed, isProven }
}

/**
 * The first task of the present generation in a slot that had one of an earlier generation before; those that the cluster itself stopped
 * (a lost node) prove nothing.
 */
function firstOfUpdate({ tasks, head }: Slot, { specVersion }: Service): Task | undefined {
  const generation = tasks.filter((task) => task.specVersion === specVersion)
  const [oldest] = generation
  if (oldest === undefined) return undefined
  // Those before it may be forgotten already.
  const tookOver =
    oldest.startAfterTaskId !== undefined || tasks.some((task) => task.specVersion < specVersion)
  if (!tookOver) return undefined
  return generation.find((task) => isActive(task) || hasEndedOnItsOwn(task)) ?? head
}

function hasFailed(task: Task, { monitorMs }: UpdatePolicy): boolean {
  return task.ranAtMs === 0 || task.appliedAtMs - task.ranAtMs < monitorMs
}

interface Course {
  readonly service: Service
  readonly status: UpdateStatus
  readonly policy: UpdatePolicy
  /** Slots still to be replaced. */
  readonly outdated: number
  /** Slots that keep their former task, because every attempt at a new one failed. */
  readonly givenUp: number
}

/** What becomes of the update; `back`: the service is to return to its previous spec. */
function outcome(course: Course, judged: Judged, { env }: Updating): UpdateStatus {
  const { service, status, policy, outdated, givenUp } = course
  const goesBack = isRollback({ ...service, updateStatus: status })
  const [blamed] = judged.failed
  const ratio = judged.failed.length / Math.max(1, status.slots)
  if (
    blamed !== undefined &&
    policy.failureAction !== 'continue' &&
    ratio > policy.maxFailureRatio
  ) {
    const why = `due to failure or early termination of task ${blamed.id}`
    if (goesBack) return { ...status, state: 'rollback_paused', message: `rollback paused ${why}` }
    if (policy.failureAction === 'rollback' && service.previousSpec !== undefined) {
      const message = `update rolled back ${why}`
      return { ...newRollback(env.nowMs, message) }
    }
    return { ...status, state: 'paused', message: `update paused ${why}` }
  }
  if (outdated > 0 || judged.holding > 0 || !judged.isProven) return status
  return {
    ...status,
    state: goesBack ? 'rollback_completed' : 'completed',
    completedAtMs: env.nowMs,
    message: `${goesBack ? 'rollback' : 'update'} completed${givenUp > 0 ? except(givenUp) : ''}`,
  }
}

function except(givenUp: number): string {
  const slots = givenUp === 1 ? '1 slot, which keeps its' : `${givenUp} slots, which keep their`
  return ` except for ${slots} former task: every attempt to start a new one failed`
}

/** The status of a service that begins to go back. */
export function newRollback(nowMs: number, message: string): UpdateStatus {
  return { state: 'rollback_started', startedAtMs: nowMs, completedAtMs: 0, message, slots: 0 }
}

function writeStatus(service: Service, next: UpdateStatus, draft: PlanDraft): void {
  const begins = next.state === 'rollback_started' && !isRollback(service)
  if (begins) draft.rollBack(service, next)
  else draft.updateService({ ...service, updateStatus: next })
}

interface Replacing {
  readonly outdated: readonly Slot[]
  readonly policy: UpdatePolicy
  readonly holding: number
}

function replaceSome(
  { service, kept, settled }: UpdateView,
  { outdated, policy, holding }: Replacing,
  view: ServiceView,
  updating: Updating,
): void {
  // Its spec is another one as soon as this is written.
  if (updating.draft.rollsBack) return
  const changing = kept.length - settled.length
  // What changes now is judged after that.
  if (outdated.length > 0 && changing > 0) updating.draft.wakeAt(updating.env.nowMs + recheckMs)
  const open = new Set(settled)
  let free = (policy.parallelism || Number.POSITIVE_INFINITY) - holding - changing
  for (const slot of outdated.filter((one) => open.has(one)).sort(leastUsefulFirst)) {
    const idle = isIdle(slot)
    if ((!idle && free <= 0) || mustWait(slot, service, view, updating)) continue
    if (!idle) free -= 1
    replace(slot, { service, policy }, view, updating)
  }
}

/** Whether the last attempt at a new task failed, and it is too soon for another; the one before it serves on (start-first). */
function mustWait(
  slot: Slot,
  service: Service,
  view: ServiceView,
  { draft, env }: Updating,
): boolean {
  const failed = lastFailure(slot, service)
  if (failed === undefined) return false
  const atMs = restartAtMs(failed, view, env.nowMs)
  if (atMs > env.nowMs) draft.wakeAt(atMs)
  return atMs > env.nowMs
}

/** Whether there will be no more attempts. */
function isGivenUp(slot: Slot, service: Service, view: ServiceView): boolean {
  const failed = lastFailure(slot, service)
  return failed !== undefined && !shouldRestart(slot, failed, view)
}

function lastFailure({ tasks }: Slot, { specVersion }: Service): Task | undefined {
  return tasks.findLast((task) => task.specVersion === specVersion && hasEndedOnItsOwn(task))
}

/**
 * What never had a node serves nobody, and replacing it proves nothing. Not where the former task serves on until then (start-first): such a
 * slot has one more than others, and only so many may.
 */
function isIdle({ head, tasks }: Slot): boolean {
  if (head.nodeId !== undefined || head.startAfterTaskId !== undefined) return false
  return !tasks.some((task) => task !== head && isActive(task) && !isTerminal(task.state))
}

function leastUsefulFirst(a: Slot, b: Slot): number {
  return Number(isRunning(a)) - Number(isRunning(b)) || byPlaces(a, b)
}

function isRunning(slot: Slot): boolean {
  return slot.head.state === TaskState.RUNNING && isActive(slot.head)
}

function replace(
  slot: Slot,
  { service, policy }: { readonly service: Service; readonly policy: UpdatePolicy },
  view: ServiceView,
  { draft, env }: Updating,
): void {
  const { head } = slot
  const reason = updateReason(service)
  const staysUntilThen =
    policy.order === 'start-first' && isActive(head) && !isTerminal(head.state) && isRunning(slot)
  if (staysUntilThen) {
    const start = { ...startAtOnce, volumeNodeId: volumeHome(slot, view), reason }
    draft.create(newTask(service, slot.place, start, env))
    return
  }
  if (isActive(head)) draft.update({ ...head, desiredState: TaskState.SHUTDOWN })
  const start = { ...takeOver(slot, head, view, 0), reason }
  draft.create(newTask(service, slot.place, start, env))
}
