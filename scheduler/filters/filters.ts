// All filters in the order in which nodes are asked and refusals are told.
// Source: the order of Docker Swarm's pipeline (swarm-semantics 1.1, scheduler); "version" and "runtime" stand where that asks for plugins.
import type { Demand } from '../demand.ts'
import { constraintsFilter } from './constraints.ts'
import type { Filter } from './filter.ts'
import { hostPortFilter } from './host-port.ts'
import { maxReplicasFilter } from './max-replicas.ts'
import { platformFilter } from './platform.ts'
import { readyFilter } from './ready.ts'
import { resourcesFilter } from './resources.ts'
import { runtimeFilter } from './runtime.ts'
import { versionFilter } from './version.ts'

export const allFilters: readonly Filter[] = [
  readyFilter,
  resourcesFilter,
  versionFilter,
  runtimeFilter,
  constraintsFilter,
  platformFilter,
  hostPortFilter,
  maxReplicasFilter,
]

/** Filters whose answer is the same for every service with this demand. */
export function classFilters(demand: Demand): readonly Filter[] {
  return allFilters.filter((filter) => filter !== maxReplicasFilter && filter.applies(demand))
}

/** Those of the class filters that a placement can turn from yes to no. */
export function consumingFilters(demand: Demand): readonly Filter[] {
  return [resourcesFilter, hostPortFilter].filter((filter) => filter.applies(demand))
}
