// Asks the filters about one node.
import type { NodeEntry } from './cluster-index.ts'
import type { Demand } from './demand.ts'
import type { Filter } from './filters/filter.ts'
import { allFilters } from './filters/filters.ts'

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
