// A service on hand-made nodes, for tests of decisions: who decides what about it, in short words.

import type { Depended } from '../../manager/orchestrator/dependencies.ts'
import type { ServiceView } from '../../manager/orchestrator/service-view.ts'
import { seededRandom } from '../../proto/lib/random.ts'
import {
  type DecisionEnv,
  type Node,
  type Plan,
  type Service,
  type Task,
  type TaskSpecRecord,
  taskStateName,
} from '../../proto/objects/index.ts'

export interface Situation {
  readonly service?: Service | undefined
  readonly tasks: readonly Task[]
  readonly nodes?: readonly Node[]
  readonly specs?: readonly TaskSpecRecord[]
  /** What it depends on. */
  readonly depended?: readonly Depended[]
}

export function aServiceView(situation: Situation): ServiceView {
  const nodes = new Map((situation.nodes ?? []).map((node) => [node.id, node]))
  const specs = new Map((situation.specs ?? []).map((record) => [record.hash, record.spec]))
  return {
    service: situation.service,
    tasks: situation.tasks,
    node: (id) => nodes.get(id),
    nodes: () => nodes.values(),
    taskSpec: (hash) => specs.get(hash),
    allTasks: () => situation.tasks,
    depended: (name) => situation.depended?.find(({ service }) => service.spec.name === name),
  }
}

/** Ids are new-1, new-2, … */
export function aDecisionEnv(nowMs = 1_000_000, seed = 1): DecisionEnv {
  let made = 0
  return {
    nowMs,
    wallMs: nowMs,
    newId: () => {
      made += 1
      return `new-${made}`
    },
    random: seededRandom(seed).float,
  }
}

/**
 * The plan as lines: "t1 -> shutdown", "+ new-1 slot 2 running", "- t1". A created task that waits tells until when
 * and for whom.
 */
export function linesOf(plan: Plan): string[] {
  return plan.changes.map((change) => {
    if (change.kind === 'remove') return `- ${change.id}`
    if (change.kind === 'rollback') return `back: ${change.updateStatus.message}`
    if (change.table === 'services') {
      const { updateStatus } = change.object
      return `${updateStatus?.state}: ${updateStatus?.message}`
    }
    if (change.table !== 'tasks') return `${change.table} ${change.object.id}`
    const task = change.object
    if (change.kind === 'create') return createdLine(task)
    return `${task.id} -> ${taskStateName(task.desiredState)}`
  })
}

function createdLine(task: Task): string {
  const waits = [
    ...(task.startAtMs > 0 ? [`at ${task.startAtMs}`] : []),
    ...(task.startAfterTaskId === undefined ? [] : [`after ${task.startAfterTaskId}`]),
  ]
  const suffix = waits.length > 0 ? ` ${waits.join(' ')}` : ''
  return `+ ${task.id} ${task.forNodeId === undefined ? `slot ${task.slot}` : `on ${task.forNodeId}`} ${taskStateName(task.desiredState)}${suffix}`
}
