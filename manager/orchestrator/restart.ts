// Whether and when a slot whose task ended or lost its node gets a new one, and when a prepared one starts. Restart
// history is what is left of the slot's tasks, so nothing is remembered and a new leader goes on.
// Source: Docker Swarm's restart supervisor; unlike there the delay is counted from the end of the task, and a lost
// node causes none.
import { isTerminal, type Task, type TaskReason, TaskState } from '../../proto/objects/index.ts'
import { type RestartPolicy, restartPolicy } from '../../proto/spec/service-spec.ts'
import type { TaskStart } from './new-task.ts'
import type { ServiceView } from './service-view.ts'
import { isFilled, isOnLostNode, type Slot, taskInTheWay } from './slot.ts'
import { volumeHome } from './slot-volumes.ts'
import { reasonToReplace } from './task-reason-of.ts'

/** A prepared task waits for its predecessor's end at most this long, or as long as that may take to stop. */
const stopWaitMs = 60_000
const stopMarginMs = 10_000

const defaultPolicy: RestartPolicy = restartPolicy.parse({})

/** The policy the task was made under. */
export function restartPolicyOf(task: Task, view: ServiceView): RestartPolicy {
  return view.taskSpec(task.specHash)?.restart ?? defaultPolicy
}

/**
 * Whether the slot gets another task after this one, its newest. Attempts are about tasks that ended by themselves: one that was stopped, or
 * lost its node, is followed however many there were.
 */
export function shouldRestart(slot: Slot, task: Task, view: ServiceView): boolean {
  const policy = restartPolicyOf(task, view)
  if (policy.condition === 'none') return false
  if (policy.condition === 'on-failure' && task.state === TaskState.COMPLETE) return false
  if (policy.maxAttempts === 0 || !hasEndedOnItsOwn(task)) return true
  return restartsBefore(slot, task, policy.windowMs) < policy.maxAttempts
}

/** Nobody stopped it, whatever has become of its node since. */
export function hasEndedOnItsOwn({ state }: Task): boolean {
  return isTerminal(state) && state !== TaskState.SHUTDOWN && state !== TaskState.ORPHANED
}

/** Whether the slot's place is held by a task that ended and gets no successor until the service is changed. */
export function hasGivenUp(slot: Slot, view: ServiceView): boolean {
  const { head } = slot
  if (!isFilled(slot) || !isTerminal(head.state)) return false
  return !shouldRestart(slot, head, view)
}

/** Why tasks are made that follow none which ended by itself. */
const noRestart: ReadonlySet<TaskReason> = new Set([
  'new',
  'node-down',
  'node-removed',
  'drain',
  'constraint',
  'resources',
  'rebalance',
])

/** The first task of this spec version, which is no restart, and those that are. */
function attemptsOf(slot: Slot, { specVersion }: Task): readonly Task[] {
  const generation = slot.tasks.filter(
    (other) => other.specVersion === specVersion && other.desiredState !== TaskState.REMOVE,
  )
  return generation.filter(({ reason }, at) => at === 0 || !noRestart.has(reason))
}

/** Restarts of this spec version up to the task's end, within the window if there is one. */
function restartsBefore(slot: Slot, task: Task, windowMs: number): number {
  const restarts = attemptsOf(slot, task).slice(1)
  if (windowMs === 0) return restarts.length
  return restarts.filter((other) => other.createdAtMs >= task.appliedAtMs - windowMs).length
}

/** The tasks of the slot that the counting of attempts needs: as many as there are attempts, and the first. */
export function countedTasks(slot: Slot, view: ServiceView): ReadonlySet<Task> {
  const { maxAttempts } = restartPolicyOf(slot.head, view)
  if (maxAttempts === 0) return new Set()
  return new Set(attemptsOf(slot, slot.head).slice(-(maxAttempts + 1)))
}

/** How a task that takes over the slot from `head` begins: not before startAtMs, nor beside a task that still stops. */
export function takeOver(slot: Slot, head: Task, view: ServiceView, startAtMs: number): TaskStart {
  const waits = startAtMs > 0 || taskInTheWay(slot, undefined, view) !== undefined
  return {
    desiredState: waits ? TaskState.READY : TaskState.RUNNING,
    startAtMs,
    // What never had a node took nobody's place; then its predecessor counts.
    startAfterTaskId: head.nodeId === undefined ? head.startAfterTaskId : head.id,
    reason: reasonToReplace(head, view),
    volumeNodeId: volumeHome(slot, view),
    jobIteration: head.jobIteration,
  }
}

/** When the slot's next task starts; 0: at once. Only what ended by itself, on a node that takes part, is delayed. */
export function restartAtMs(ended: Task, view: ServiceView, nowMs: number): number {
  if (!endedByItself(ended, view)) return 0
  const fromMs = Math.max(ended.appliedAtMs, ended.startAtMs)
  const atMs = fromMs + restartPolicyOf(ended, view).delayMs
  return atMs <= nowMs ? 0 : atMs
}

/**
 * When the slot's next task may be made. One that ended while its own start was still delayed (an image or a mount
 * that is not there) is not followed by the next one before that delay is over: they would fail in turn, without end.
 */
export function successorAtMs(ended: Task, view: ServiceView): number {
  return endedByItself(ended, view) ? ended.startAtMs : 0
}

/** Nobody stopped it, and it was not lost with its node. */
export function endedByItself(ended: Task, view: ServiceView): boolean {
  if (!isTerminal(ended.state) || ended.state === TaskState.ORPHANED) return false
  if (isOnLostNode(ended, view)) return false
  return ended.state !== TaskState.SHUTDOWN || ended.desiredState < TaskState.SHUTDOWN
}

export type StartVerdict =
  | { readonly kind: 'start' }
  | { readonly kind: 'wait'; readonly untilMs: number }

/** Whether a task with desired state READY may start now. */
export function mayStart(slot: Slot, task: Task, view: ServiceView, nowMs: number): StartVerdict {
  if (task.startAtMs > nowMs) return { kind: 'wait', untilMs: task.startAtMs }
  const inTheWay = taskInTheWay(slot, task, view)
  if (inTheWay === undefined) return { kind: 'start' }
  const graceMs = view.taskSpec(inTheWay.specHash)?.container.stopGraceMs ?? 0
  const waitMs = Math.max(stopWaitMs, graceMs + stopMarginMs)
  const untilMs = Math.max(task.startAtMs, task.createdAtMs) + waitMs
  return nowMs >= untilMs ? { kind: 'start' } : { kind: 'wait', untilMs }
}
