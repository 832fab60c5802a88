// A filter: one reason for which a node may not take a task. One file a filter; their order is in filters.ts.
import type { NodeEntry } from '../cluster-index.ts'
import type { Demand } from '../demand.ts'

export interface Filter {
  readonly name: string
  /** Whether the demand concerns this filter at all. */
  applies(demand: Demand): boolean
  /** Whether the node may take a task, as far as this filter goes. `serviceTasks`: active ones of the service on it. */
  accepts(entry: NodeEntry, demand: Demand, serviceTasks: number): boolean
  /** The refusal of `nodes` nodes in one phrase. */
  summary(nodes: number): string
  /** The refusal of this node, with the facts. */
  detail(entry: NodeEntry, demand: Demand, serviceTasks: number): string
}

/** "1 node", "3 nodes". */
export function countNodes(nodes: number): string {
  return nodes === 1 ? '1 node' : `${nodes} nodes`
}
