// Why a task is not placed, in words: one line for a list of tasks, and per node for a whole answer.
import type { NodeId, Task } from '../proto/objects/index.ts'
import type { Refusal } from './candidates.ts'
import type { ClusterIndex, NodeEntry } from './cluster-index.ts'
import type { Demand } from './demand.ts'
import type { Filter } from './filters/filter.ts'
import { allFilters } from './filters/filters.ts'

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

/** The first filter that turns a task away from the node, which has so many of the service. */
export function refusingFilter(
  entry: NodeEntry,
  demand: Demand,
  tasks: number,
): Filter | undefined {
  return allFilters.find(
    (filter) => filter.applies(demand) && !filter.accepts(entry, demand, tasks),
  )
}

function inOrder(counts: ReadonlyMap<Filter, number>): Refusal[] {
  const refusals: Refusal[] = []
  for (const filter of allFilters) {
    const nodes = counts.get(filter)
    if (nodes !== undefined) refusals.push({ filter, nodes })
  }
  return refusals
}
