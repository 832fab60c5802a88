// Which task of a service moves onto a node that has fewer of them, one at a time: the new one is made beside the former, which serves until
// the new one runs (slot.ts). Decides from what is, so a new leader goes on.
import {
  type DecisionEnv,
  isActive,
  isUpdating,
  type Node,
  type NodeId,
  type Plan,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { ClusterIndex } from '../../scheduler/cluster-index.ts'
import { spreadValue } from '../../scheduler/constraints.ts'
import { type Demand, demandOf, type Strategy } from '../../scheduler/demand.ts'
import { fitsNode } from '../../scheduler/fits-node.ts'
import { refusingFilter } from '../../scheduler/refusing-filter.ts'
import { newTask, startAtOnce } from './new-task.ts'
import { PlanDraft, type ServiceView } from './service-view.ts'
import { isFilled, isOnLostNode, type Slot, slotsOf } from './slot.ts'

export interface RebalanceView extends ServiceView {
  readonly tasksOn: (id: NodeId) => Iterable<Task>
  /** The cluster's, for specs that name none. */
  readonly strategy: Strategy
  /** Also without being told to. */
  readonly isGradual: boolean
  /** How many more tasks of the cluster may be on the move. */
  readonly movesLeft: number
}

const recheckMs = 1_000
/** Nodes of a branch that are asked whether they have room. */
const asksMax = 32

/** Decides about one service. O(its tasks + nodes). */
export function reconcileRebalance(view: RebalanceView, env: DecisionEnv): Plan {
  const draft = new PlanDraft()
  const { service } = view
  if (service !== undefined && (view.isGradual || service.rebalance !== undefined)) {
    decide(service, view, draft, env)
  }
  return { changes: draft.changes, wakeAtMs: draft.wakeAtMs, notes: [] }
}

function decide(service: Service, view: RebalanceView, draft: PlanDraft, env: DecisionEnv): void {
  const slots = slotsOf(view.tasks).filter(isFilled)
  // It changes anyway: afterwards.
  if (isUpdating(service) || !slots.every((slot) => isWhole(slot, view))) {
    draft.wakeAt(env.nowMs + recheckMs)
    return
  }
  const slot = slotToMove(service, slots, view)
  if (slot === undefined) {
    if (service.rebalance !== undefined) finish(service, draft)
    return
  }
  if (view.movesLeft <= 0) {
    draft.wakeAt(env.nowMs + recheckMs)
    return
  }
  const { rebalance } = service
  const counted = rebalance && { rebalance: { ...rebalance, moved: rebalance.moved + 1 } }
  // Also where nothing of it changes: an update decided meanwhile, which does not know of the new task, is decided anew then.
  draft.updateService({ ...service, ...counted })
  draft.create(newTask(service, slot.place, { ...startAtOnce, reason: 'rebalance' }, env))
}

function finish(service: Service, draft: PlanDraft): void {
  const { rebalance: _, ...done } = service
  draft.updateService(done)
}

/** Whether the slot has one task, which runs: nothing is missing that a move would make worse. */
function isWhole({ head, tasks }: Slot, view: ServiceView): boolean {
  return (
    isActive(head) &&
    head.state === TaskState.RUNNING &&
    !isOnLostNode(head, view) &&
    tasks.every((task) => task === head || !isActive(task))
  )
}

/**
 * A slot whose task stands where there are at least two more of the service than where it could stand, at the first level of the
 * spread preferences (nodes last) that tells the two apart. So each move lowers the sum of squares of that level and leaves
 * those above alone: moving ends. Undefined: none.
 */
export function slotToMove(
  service: Service,
  slots: readonly Slot[],
  view: RebalanceView,
): Slot | undefined {
  const demand = demandOf(service.specHash, service.spec.task)
  if (service.spec.mode.kind !== 'replicated') return undefined
  if ((demand.strategy ?? view.strategy) !== 'spread') return undefined
  const counts = countsOf(slots, demand, view)
  const targets = targetsOf(demand, counts, view)
  const movable = slots.filter((slot) => isMovable(slot, service))
  const byPlace = movable.map((slot) => ({ slot, path: pathOf(slot.head.nodeId, demand, view) }))
  byPlace.sort(
    (a, b) =>
      compareFullest(a.path, b.path, counts) || b.slot.head.createdAtMs - a.slot.head.createdAtMs,
  )
  for (const { slot, path } of byPlace) {
    let asked = 0
    for (const target of targets) {
      if (!isBetter(path, target.path, counts)) continue
      asked += 1
      if (asked > asksMax) break
      if (hasRoom(target.node, service, demand, view)) return slot
    }
  }
  return undefined
}

type Path = readonly string[]
type Counts = ReadonlyMap<string, number>

/** The branches that the node is in, outermost first; the last is the node itself. */
function pathOf(id: NodeId | undefined, demand: Demand, view: ServiceView): Path {
  const node = id === undefined ? undefined : view.node(id)
  return node === undefined ? [] : pathOfNode(node, demand)
}

function pathOfNode(node: Node, { spread }: Demand): Path {
  const path: string[] = []
  for (const preference of spread) {
    path.push(JSON.stringify([path.at(-1) ?? '', spreadValue(preference, node)]))
  }
  return [...path, node.id]
}

function countsOf(slots: readonly Slot[], demand: Demand, view: ServiceView): Counts {
  const counts = new Map<string, number>()
  for (const { head } of slots) {
    for (const branch of pathOf(head.nodeId, demand, view)) {
      counts.set(branch, (counts.get(branch) ?? 0) + 1)
    }
  }
  return counts
}

interface Target {
  readonly node: Node
  readonly path: Path
}

/** Nodes that may take tasks of the service, emptiest first. */
function targetsOf(demand: Demand, counts: Counts, view: ServiceView): readonly Target[] {
  const targets: Target[] = []
  for (const node of view.nodes()) {
    const isOpen = node.state === 'ready' && node.spec.availability === 'active'
    if (isOpen && fitsNode(node, demand)) targets.push({ node, path: pathOfNode(node, demand) })
  }
  return targets.sort((a, b) => compareFullest(b.path, a.path, counts))
}

/** Fullest first, level by level. */
function compareFullest(a: Path, b: Path, counts: Counts): number {
  for (let level = 0; level < a.length; level++) {
    const difference = (counts.get(b[level] ?? '') ?? 0) - (counts.get(a[level] ?? '') ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function isBetter(from: Path, to: Path, counts: Counts): boolean {
  const level = from.findIndex((branch, at) => branch !== to[at])
  if (level < 0) return false
  return (counts.get(from[level] ?? '') ?? 0) >= (counts.get(to[level] ?? '') ?? 0) + 2
}

/** By all filters of the scheduler. */
function hasRoom(node: Node, service: Service, demand: Demand, view: RebalanceView): boolean {
  const tasks = [...view.tasksOn(node.id)]
  const index = new ClusterIndex(view.strategy)
  for (const { specHash } of tasks) {
    const spec = view.taskSpec(specHash)
    if (spec !== undefined) index.putSpec({ hash: specHash, spec })
  }
  index.putNode(node)
  for (const task of tasks) index.changeTask(undefined, task)
  const entry = index.entryOf(node.id)
  if (entry === undefined) return false
  return refusingFilter(entry, demand, index.services.on(service.id, entry.index)) === undefined
}

/** Not one whose last move failed, nor one that has its volumes where it is. */
function isMovable({ head, tasks }: Slot, service: Service): boolean {
  if (head.specHash !== service.specHash) return false
  if (head.volumeNodeId !== undefined || head.slotVolumes.length > 0) return false
  return !tasks.some(
    (task) =>
      task !== head &&
      task.reason === 'rebalance' &&
      task.specVersion === service.specVersion &&
      (task.nodeId === undefined ||
        task.state === TaskState.FAILED ||
        task.state === TaskState.REJECTED),
  )
}
