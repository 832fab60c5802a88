// What a task that does not run yet waits for.
import {
  isActive,
  isDraining,
  isTerminal,
  isUpdating,
  type Task,
  TaskState,
  taskStateName,
} from '../../../proto/objects/index.ts'
import { restartPolicyOf } from '../restart.ts'
import type { ServiceView } from '../service-view.ts'
import { taskInTheWay } from '../slot.ts'
import { type Finding, nodeText, spanText } from './finding.ts'
import { dependencyFinding, missingPayloads } from './needs.ts'
import { nameOf } from './remedies.ts'
import { slotOf, type TaskSituation } from './task-situation.ts'

export function waitsOf(situation: TaskSituation): readonly Finding[] {
  const { task } = situation
  if (!isActive(task) || isTerminal(task.state)) return []
  return [
    ...delayOf(situation),
    ...predecessorOf(situation),
    ...dependencyOf(situation),
    ...payloadsOf(situation),
    ...updateOf(situation),
    ...healthOf(situation),
    ...stepOf(situation),
  ]
}

function delayOf({ task, view, nowMs }: TaskSituation): readonly Finding[] {
  if (task.desiredState !== TaskState.READY || task.startAtMs <= nowMs) return []
  const left = spanText(task.startAtMs - nowMs)
  return [{ code: 'WAITS', text: `it is started in ${left}: ${delayText(task, view)}` }]
}

/** Source: docs/task-model.md, Cron services: the delay between tries of a run doubles. */
export function delayText(task: Task, view: ServiceView): string {
  const delay = spanText(restartPolicyOf(task, view).delayMs)
  const mode = view.service?.spec.mode
  if (mode?.kind !== 'cron') return `the restart delay is ${delay}`
  return `the delay between tries of a run doubles from ${delay} up to ${spanText(mode.backoffMaxMs)}`
}

/** The drain barrier is that of the one before it. */
function predecessorOf(situation: TaskSituation): readonly Finding[] {
  const { task, view } = situation
  if (task.desiredState !== TaskState.READY) return []
  const before = taskInTheWay(slotOf(situation), task, view)
  if (before === undefined) return []
  const where = nodeText(before.nodeId, before.nodeId && view.node(before.nodeId))
  const text = `it is started when the task before it (${before.id}, ${taskStateName(before.state)} on ${where}) has stopped`
  const causes = isDraining(before)
    ? ['that one serves on until every node leads connections elsewhere']
    : graceOf(before, view)
  return [{ code: 'WAITS', text, causes }]
}

/** How long a task that is to stop may take for it. */
export function graceOf({ specHash }: Task, view: ServiceView): readonly string[] {
  const graceMs = view.taskSpec(specHash)?.container.stopGraceMs
  return graceMs === undefined ? [] : [`its stop grace period is ${spanText(graceMs)}`]
}

function dependencyOf({ task, view }: TaskSituation): readonly Finding[] {
  return task.waitsFor === '' ? [] : [dependencyFinding(task.waitsFor, view)]
}

/** One that is prepared has its own. */
function payloadsOf({ task, view, hasPayload }: TaskSituation): readonly Finding[] {
  if (task.state >= TaskState.READY) return []
  return missingPayloads(view.taskSpec(task.specHash), view.service, hasPayload)
}

/** A task of an earlier specification in a service that is being updated. */
function updateOf({ task, view }: TaskSituation): readonly Finding[] {
  const { service } = view
  if (service === undefined || task.specVersion === service.specVersion) return []
  const { updateStatus } = service
  if (updateStatus === undefined) return []
  if (isUpdating(service)) {
    const { parallelism, delayMs } = service.spec.update
    const pace = parallelism === 0 ? 'all at once' : `${parallelism} at a time`
    const delay = delayMs === 0 ? '' : `, ${spanText(delayMs)} between`
    const text = `it is of an earlier specification and waits for its turn in the update (${pace}${delay})`
    return [{ code: 'UPDATE', text }]
  }
  if (updateStatus.state !== 'paused' && updateStatus.state !== 'rollback_paused') return []
  return [
    {
      code: 'UPDATE',
      text: `it is of an earlier specification: the update stands still (${updateStatus.message})`,
      remedy: `change the service again, or "tsswarm service rollback ${nameOf(view)}"`,
    },
  ]
}

function healthOf({ task, nowMs }: TaskSituation): readonly Finding[] {
  const { health } = task
  if (health === undefined || health.state === 'healthy') return []
  const failed =
    health.failures === 0
      ? 'no probe has succeeded yet'
      : `${health.failures} probes in a row failed, the last ${spanText(nowMs - health.failedAtMs)} ago`
  const text = `its health check says ${health.state}: ${failed}`
  return [{ code: 'HEALTH', text, causes: health.output === '' ? [] : [health.output] }]
}

/** How far its node is with it. */
function stepOf({ task }: TaskSituation): readonly Finding[] {
  switch (task.state) {
    case TaskState.ASSIGNED:
      return [{ code: 'WAITS', text: 'its node has not taken it up yet' }]
    case TaskState.ACCEPTED:
    case TaskState.PREPARING:
      return [{ code: 'WAITS', text: 'its node gets the image and makes the container' }]
    case TaskState.STARTING:
      return task.health === undefined
        ? [{ code: 'WAITS', text: 'it was started: its published ports are not waited on yet' }]
        : []
    default:
      return []
  }
}
