// At most so many active tasks of one service on a node, when the service limits them.
import type { Filter } from './filter.ts'

export const maxReplicasFilter: Filter = {
  name: 'max-replicas',
  applies: (demand) => demand.maxReplicasPerNode > 0,
  accepts: (_entry, demand, serviceTasks) => serviceTasks < demand.maxReplicasPerNode,
  summary: () => 'max replicas per node limit exceed',
  detail: (_entry, demand, serviceTasks) =>
    `runs ${serviceTasks} of the service, the limit is ${demand.maxReplicasPerNode}`,
}
