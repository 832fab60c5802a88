// What becomes of the tasks on a node that is gone for good, or that no longer offers what they were placed for. Their
// replacement is the service's business (replicated.ts).
// Source: Docker Swarm: a node down for 24 h, or removed, orphans its tasks; a task whose constraints or reservations no
// longer hold is evicted. Unlike there an evicted task is asked to stop, and is replaced after it has.
import {
  type DecisionEnv,
  holdsResources,
  isActive,
  type Node,
  type Plan,
  type SpecHash,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import { matchesConstraint } from '../../scheduler/constraints.ts'
import { type Demand, demandOf } from '../../scheduler/demand.ts'
import { PlanDraft } from './service-view.ts'
import { byAge } from './slot.ts'

/** After this long a node that is down is not expected back. */
export const orphanAfterMs = 24 * 3_600_000

export interface NodeView {
  /** Undefined: it was removed. */
  readonly node: Node | undefined
  /** All tasks with its id. */
  readonly tasks: readonly Task[]
  readonly taskSpec: (hash: SpecHash) => TaskSpec | undefined
}

/** Decides about the tasks of one node. O(tasks log tasks). */
export function reconcileNode(view: NodeView, env: DecisionEnv): Plan {
  const draft = new PlanDraft()
  const { node } = view
  if (node === undefined) orphan(view.tasks, 'its node was removed', draft, env)
  else if (node.state === 'down') {
    const atMs = node.stateAtMs + orphanAfterMs
    if (env.nowMs >= atMs) orphan(view.tasks, 'its node was down for 24 h', draft, env)
    else draft.wakeAt(atMs)
  } else if (node.state === 'ready' && node.spec.availability === 'active') {
    evict(node, view, draft)
  }
  return { changes: draft.changes, wakeAtMs: draft.wakeAtMs, notes: [] }
}

function orphan(tasks: readonly Task[], why: string, draft: PlanDraft, env: DecisionEnv): void {
  for (const task of tasks) {
    if (!holdsResources(task)) continue
    draft.update({
      ...task,
      state: TaskState.ORPHANED,
      stateAtMs: env.nowMs,
      appliedAtMs: env.nowMs,
      message: 'orphaned',
      err: why,
    })
  }
}

/** The oldest tasks keep what there is. */
function evict(node: Node, view: NodeView, draft: PlanDraft): void {
  const demands = new Map<SpecHash, Demand>()
  let nanoCpus = node.description?.resources.nanoCpus ?? 0
  let memoryBytes = node.description?.resources.memoryBytes ?? 0
  for (const task of view.tasks.filter(holdsResources).sort(byAge)) {
    const demand = demandIn(demands, task.specHash, view)
    if (demand === undefined) continue
    const why = misfit(demand, node, nanoCpus, memoryBytes)
    if (why !== undefined && isActive(task)) {
      draft.update({ ...task, desiredState: TaskState.SHUTDOWN, err: why })
      continue
    }
    nanoCpus -= demand.nanoCpus
    memoryBytes -= demand.memoryBytes
  }
}

function demandIn(
  known: Map<SpecHash, Demand>,
  hash: SpecHash,
  view: NodeView,
): Demand | undefined {
  const found = known.get(hash)
  if (found !== undefined) return found
  const spec = view.taskSpec(hash)
  if (spec === undefined) return undefined
  const made = demandOf(hash, spec)
  known.set(hash, made)
  return made
}

function misfit(
  demand: Demand,
  node: Node,
  nanoCpus: number,
  memoryBytes: number,
): string | undefined {
  const broken = demand.constraints.find((constraint) => !matchesConstraint(constraint, node))
  if (broken !== undefined) return `assigned node no longer meets constraint ${broken.text}`
  const lacks =
    (demand.nanoCpus > 0 && demand.nanoCpus > nanoCpus) ||
    (demand.memoryBytes > 0 && demand.memoryBytes > memoryBytes)
  return lacks ? 'assigned node no longer has the reserved resources' : undefined
}
