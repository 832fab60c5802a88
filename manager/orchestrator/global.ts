// Keeps one task of a global service on every node that fits: new nodes get one, lost ones lose it, restarts and updates as in slots.
// Source: Docker Swarm's global orchestrator (swarm-semantics 1.1, 7.2). Unlike there a node that does not answer for a moment gets no new
// task either.
import {
  type DecisionEnv,
  isActive,
  isTerminal,
  type Node,
  type NodeId,
  type Place,
  type Plan,
  type Service,
  TaskState,
} from '../../proto/objects/index.ts'
import { type Demand, demandOf } from '../../scheduler/demand.ts'
import { fitsNode } from '../../scheduler/fits-node.ts'
import { gated } from './dependencies.ts'
import { newTask, startAtOnce } from './new-task.ts'
import { endedByItself, takeOver } from './restart.ts'
import { PlanDraft, type Scope, type ServiceView } from './service-view.ts'
import { type Drafting, planOf, promote, removeSlot, settleSlot } from './settle.ts'
import { isFilled, type Slot, slotsOf } from './slot.ts'
import { planUpdate } from './update.ts'

/**
 * What a node is to the service. open: it is to have a task. kept: what runs there runs on, and nothing new comes (paused, or not heard of
 * for a moment). lost: it is to have none. gone: it was removed.
 */
export type Standing = 'open' | 'kept' | 'lost' | 'gone'

export function standingOf(node: Node | undefined, demand: Demand): Standing {
  if (node === undefined) return 'gone'
  const { availability } = node.spec
  if (node.state === 'down' || availability === 'drain' || !fitsNode(node, demand)) return 'lost'
  return node.state === 'ready' && availability === 'active' ? 'open' : 'kept'
}

/**
 * Decides about the nodes of the scope. Needs all tasks of these nodes. Updates only with the scope 'all'.
 * O(nodes + tasks) for 'all'.
 */
export function reconcileGlobal(view: ServiceView, scope: Scope, env: DecisionEnv): Plan {
  const draft = new PlanDraft()
  const { service } = view
  if (service === undefined) return planOf(draft, env)
  const demand = demandOf(service.specHash, service.spec.task)
  const slots = new Map(slotsOf(view.tasks).map((slot) => [slot.place, slot]))
  const kept: Slot[] = []
  const settled: Slot[] = []
  const begun: Slot[] = []
  for (const place of placesOf(view, slots, scope)) {
    const slot = slots.get(place)
    const node = typeof place === 'number' ? undefined : view.node(place)
    const standing = standingOf(node, demand)
    if (standing === 'open') {
      const whose = { service, iteration: undefined }
      const isSettled = settleNode(place, slot, whose, { view, draft, env })
      if (slot === undefined || !isFilled(slot)) continue
      kept.push(slot)
      if (isSettled) settled.push(slot)
    } else if (slot !== undefined) {
      leave(slot, standing, view, { draft, env })
      if (standing === 'kept' && isActive(slot.head)) begun.push(slot)
    }
  }
  if (scope === 'all') planUpdate({ service, kept, settled, begun }, view, { draft, env })
  return planOf(draft, env)
}

/** Slots by node, and the nodes where the run of a job is done. */
export interface NodesVisit {
  readonly service: Service
  readonly iteration: number
  readonly slots: ReadonlyMap<Place, Slot>
  readonly done: ReadonlySet<Place>
}

/** One run of a job on each node that fits. */
export function visitNodes(visit: NodesVisit, view: ServiceView, drafting: Drafting): void {
  const { service, iteration, slots, done } = visit
  const demand = demandOf(service.specHash, service.spec.task)
  for (const place of placesOf(view, slots, 'all')) {
    const slot = slots.get(place)
    const node = typeof place === 'number' ? undefined : view.node(place)
    const standing = standingOf(node, demand)
    if (standing !== 'open') {
      if (slot !== undefined) leave(slot, standing, view, drafting)
    } else if (!done.has(place)) {
      settleNode(place, slot, { service, iteration }, { ...drafting, view })
    }
  }
}

/** Of all nodes, and of those that are gone while tasks of theirs are left. */
function placesOf(
  view: ServiceView,
  slots: ReadonlyMap<Place, Slot>,
  scope: Scope,
): ReadonlySet<Place> {
  if (scope !== 'all') return scope
  const places = new Set<Place>(slots.keys())
  for (const { id } of view.nodes()) places.add(id)
  return places
}

interface Settling extends Drafting {
  readonly view: ServiceView
}

/** Returns whether nothing was decided about the node. */
function settleNode(
  place: Place,
  slot: Slot | undefined,
  { service, iteration }: { readonly service: Service; readonly iteration: number | undefined },
  { view, draft, env }: Settling,
): boolean {
  if (slot === undefined) {
    const start = { ...startAtOnce, jobIteration: iteration }
    draft.create(newTask(service, place, gated(start, view), env))
    return false
  }
  const { head } = slot
  // It was stopped because the node was lost, which no restart policy is about.
  const wasStopped = !isActive(head) && !endedByItself(head, view)
  if (!wasStopped && isFilled(slot)) return !settleSlot(slot, service, view, { draft, env })
  draft.create(newTask(service, place, gated(takeOver(slot, head, view, 0), view), env))
  return false
}

/** A node that is not to get anything new. */
function leave(slot: Slot, standing: Standing, view: ServiceView, drafting: Drafting): void {
  if (standing === 'gone') {
    removeSlot(slot, drafting.draft)
    return
  }
  if (standing === 'kept') {
    const { head } = slot
    if (isActive(head) && !isTerminal(head.state)) promote(slot, head, view, drafting)
    return
  }
  for (const task of slot.tasks) {
    if (!isActive(task)) continue
    drafting.draft.update({ ...task, desiredState: TaskState.SHUTDOWN })
  }
}

/** The nodes that are to have a task, or may keep the one they have. O(nodes + tasks). */
export function nodesOfGlobal(service: Service, view: ServiceView): ReadonlySet<NodeId> {
  const demand = demandOf(service.specHash, service.spec.task)
  const occupied = new Set(view.tasks.filter(isActive).map(({ forNodeId }) => forNodeId))
  const wanted = new Set<NodeId>()
  for (const node of view.nodes()) {
    const standing = standingOf(node, demand)
    if (standing === 'open' || (standing === 'kept' && occupied.has(node.id))) wanted.add(node.id)
  }
  return wanted
}
