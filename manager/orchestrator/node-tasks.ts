// What becomes of the tasks on a node that is gone for good, or that no longer offers what they were placed for. Their
// replacement is the service's business (replicated.ts).
// Source: Docker Swarm: a node down for 24 h, or removed, orphans its tasks; a task whose constraints or reservations no
// longer hold is evicted. Unlike there an evicted task is asked to stop, and is replaced after it has.
import {
  type DecisionEnv,
  genericText,
  holdsResources,
  isActive,
  type Node,
  type Plan,
  type Service,
  type ServiceId,
  type SpecHash,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import { matchesConstraint } from '../../scheduler/constraints.ts'
import { type Demand, demandOf } from '../../scheduler/demand.ts'
import { GenericHoldings, stillOffers } from '../../scheduler/generic.ts'
import { differInPlaceOnly } from './outdated.ts'
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
  readonly service: (id: ServiceId) => Service | undefined
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

/** What is left of the node for those that come later. */
interface Rest {
  nanoCpus: number
  memoryBytes: number
  readonly held: GenericHoldings
}

/** The oldest tasks keep what there is. */
function evict(node: Node, view: NodeView, draft: PlanDraft): void {
  const { nanoCpus = 0, memoryBytes = 0 } = node.description?.resources ?? {}
  const rest: Rest = { nanoCpus, memoryBytes, held: new GenericHoldings() }
  const demands = new DemandsOf(view)
  for (const task of view.tasks.filter(holdsResources).sort(byAge)) {
    const demand = demands.of(task)
    if (demand === undefined) continue
    const why = misfit(task, demand, node, rest)
    if (why !== undefined && isActive(task)) {
      draft.update({ ...task, desiredState: TaskState.SHUTDOWN, err: why })
      continue
    }
    rest.nanoCpus -= demand.nanoCpus
    rest.memoryBytes -= demand.memoryBytes
    rest.held.add(task.generic, 1)
  }
}

/**
 * What is asked of the node for a task now. When its service was changed in nothing but where tasks may be, tasks that still fit were
 * kept: then the service's own words count.
 * Source: SwarmKit's constraint enforcer, the same rule.
 */
class DemandsOf {
  readonly #view: NodeView
  readonly #known = new Map<string, Demand | undefined>()

  constructor(view: NodeView) {
    this.#view = view
  }

  of(task: Task): Demand | undefined {
    const key = `${task.specHash} ${task.serviceId}`
    if (!this.#known.has(key)) this.#known.set(key, this.#read(task))
    return this.#known.get(key)
  }

  #read({ specHash, serviceId }: Task): Demand | undefined {
    const own = this.#view.taskSpec(specHash)
    if (own === undefined) return undefined
    const service = this.#view.service(serviceId)
    const current = service?.spec.task
    const isKept =
      current !== undefined && service?.specHash !== specHash && differInPlaceOnly(own, current)
    return demandOf(specHash, isKept ? current : own)
  }
}

function misfit(task: Task, demand: Demand, node: Node, rest: Rest): string | undefined {
  const broken = demand.constraints.find((constraint) => !matchesConstraint(constraint, node))
  if (broken !== undefined) return `assigned node no longer meets constraint ${broken.text}`
  const lacks =
    (demand.nanoCpus > 0 && demand.nanoCpus > rest.nanoCpus) ||
    (demand.memoryBytes > 0 && demand.memoryBytes > rest.memoryBytes)
  if (lacks) return 'assigned node no longer has the reserved resources'
  const lost = task.generic.find((one) => !stillOffers(node.description, rest.held, [one]))
  return lost && `assigned node no longer has the reserved ${genericText(lost)}`
}
