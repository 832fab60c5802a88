// Why a slot's next task is made, told from the one before it and its node as they are now.
import {
  isRollback,
  type Service,
  type Task,
  type TaskReason,
  TaskState,
} from '../../proto/objects/index.ts'
import { matchesConstraint } from '../../scheduler/constraints.ts'
import { demandOf } from '../../scheduler/demand.ts'
import type { ServiceView } from './service-view.ts'

/** Of the task that takes over after `head` ended, was evicted, or lost its node: what came first. */
export function reasonToReplace(head: Task, view: ServiceView): TaskReason {
  switch (head.state) {
    case TaskState.FAILED:
    case TaskState.REJECTED:
      return 'failure'
    case TaskState.COMPLETE:
      return 'ended'
    default:
      return lossOf(head, view) ?? stopOf(head, view)
  }
}

function stopOf(head: Task, view: ServiceView): TaskReason {
  return head.desiredState === TaskState.SHUTDOWN ? evictionOf(head, view) : 'ended'
}

/** Of a task that makes the service what its spec says. */
export function updateReason(service: Service): TaskReason {
  return isRollback(service) ? 'rollback' : 'update'
}

function lossOf(head: Task, view: ServiceView): TaskReason | undefined {
  if (head.nodeId === undefined) return undefined
  const node = view.node(head.nodeId)
  if (node === undefined) return 'node-removed'
  if (node.state === 'down' || head.state === TaskState.ORPHANED) return 'node-down'
  return node.spec.availability === 'drain' ? 'drain' : undefined
}

/** Whoever is asked to stop without a successor was evicted (node-tasks.ts). */
function evictionOf(head: Task, view: ServiceView): TaskReason {
  const node = head.nodeId === undefined ? undefined : view.node(head.nodeId)
  const spec = view.service?.spec.task ?? view.taskSpec(head.specHash)
  if (node === undefined || spec === undefined) return 'resources'
  const { constraints } = demandOf(head.specHash, spec)
  const isMet = constraints.every((constraint) => matchesConstraint(constraint, node))
  return isMet ? 'resources' : 'constraint'
}
