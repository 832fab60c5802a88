// Why a task is not placed, in words: one line for a list of tasks, and per node for a whole answer.
import type { NodeId, Task } from '../proto/objects/index.ts'
import type { Refusal } from './candidates.ts'
import type { ClusterIndex, NodeEntry } from './cluster-index.ts'
import type { Demand } from './demand.ts'
import type { Filter } from './filters/filter.ts'
import { allFilters } from './filters/filters.ts'
import { refusingFilter } from './refusing-filter.ts'
import { type VolumeHome, volumeHomeOf, whyNotHome } from './volume-home.ts'

/** Of one node: the first filter that turns the task away, and the facts. */
export interface NodeRefusal {
  readonly nodeId: NodeId
  readonly hostname: string
  readonly filter: string
  readonly reason: string
}

export interface TaskExplanation {
  /** As in the error column of task lists. */
  readonly summary: string
  /** By hostname; nodes that would take the task are absent. */
  readonly refusals: readonly NodeRefusal[]
}

/** "no suitable node (…; …)" with a part for each filter, in their order. */
export function summaryOf(refusals: readonly Refusal[]): string {
  if (refusals.length === 0) return 'no suitable node'
  const parts = refusals.map(({ filter, nodes }) => filter.summary(nodes))
  return `no suitable node (${parts.join('; ')})`
}

/** Asks every node about a task without one. O(nodes). */
export function explainTask(index: ClusterIndex, task: Task): TaskExplanation {
  const demand = index.demandOf(task.specHash)
  if (demand === undefined) {
    return { summary: missingSpecSummary(task), refusals: [] }
  }
  const counts = new Map<Filter, number>()
  const refusals: NodeRefusal[] = []
  const home = volumeHomeOf(index, task)
  const why = task.forNodeId === undefined ? whyNotHome(index, task, demand, home) : undefined
  if (why !== undefined) {
    const refusals = elsewhere(index, home, refusalAt(index, { task, demand, home }))
    return { summary: `no suitable node (${why})`, refusals }
  }
  const asked = entriesFor(index, task)
  for (const entry of asked) {
    const tasks = index.services.on(task.serviceId, entry.index)
    const filter = refusingFilter(entry, demand, tasks)
    if (filter === undefined) continue
    counts.set(filter, (counts.get(filter) ?? 0) + 1)
    refusals.push({
      nodeId: entry.node.id,
      hostname: entry.node.description?.hostname ?? '',
      filter: filter.name,
      reason: filter.detail(entry, demand, tasks),
    })
  }
  if (refusals.length < asked.length) {
    const fitting = asked.length - refusals.length
    return { summary: `not placed yet: ${fitting} of ${asked.length} nodes fit`, refusals }
  }
  refusals.sort((a, b) => (a.hostname < b.hostname ? -1 : 1))
  return { summary: summaryOf(inOrder(counts)), refusals }
}

/** All nodes, or the only one it is for. */
function entriesFor(index: ClusterIndex, { forNodeId }: Task): readonly NodeEntry[] {
  if (forNodeId === undefined) return [...index.entries()]
  const entry = index.entryOf(forNodeId)
  return entry === undefined ? [] : [entry]
}

export function missingSpecSummary(task: Task): string {
  return `no suitable node (the task's spec ${task.specHash} is missing)`
}

/** Why the node that has its volumes does not take the task. */
function refusalAt(
  index: ClusterIndex,
  {
    task,
    demand,
    home,
  }: { readonly task: Task; readonly demand: Demand; readonly home: VolumeHome },
): Pick<NodeRefusal, 'filter' | 'reason'> | undefined {
  if (home.kind !== 'node') return undefined
  const tasks = index.services.on(task.serviceId, home.entry.index)
  const filter = refusingFilter(home.entry, demand, tasks)
  if (filter === undefined) return undefined
  const reason = `${filter.detail(home.entry, demand, tasks)}; it has the slot's volumes`
  return { filter: filter.name, reason }
}

/** Of a task whose volumes are on a node that does not take it: what each node lacks. */
function elsewhere(
  index: ClusterIndex,
  home: VolumeHome,
  atHome: Pick<NodeRefusal, 'filter' | 'reason'> | undefined,
): readonly NodeRefusal[] {
  const without = { filter: 'volumes', reason: "has not the slot's volumes" }
  const refusals = [...index.entries()].map(({ node }) => ({
    nodeId: node.id,
    hostname: node.description?.hostname ?? '',
    ...(home.kind === 'node' && node.id === home.id ? (atHome ?? without) : without),
  }))
  return refusals.sort((a, b) => (a.hostname < b.hostname ? -1 : 1))
}

function inOrder(counts: ReadonlyMap<Filter, number>): Refusal[] {
  const refusals: Refusal[] = []
  for (const filter of allFilters) {
    const nodes = counts.get(filter)
    if (nodes !== undefined) refusals.push({ filter, nodes })
  }
  return refusals
}
