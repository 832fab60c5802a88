// What a service may say of name servers.
import { clusterNetworks } from '../../proto/objects/index.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Problem } from './check-problem.ts'

/** Names of services are known to the node's own resolver alone; it asks the host's servers for all others. */
export function checkDns({ task }: ServiceSpec): readonly Problem[] {
  if (task.dns.nameservers.length === 0 || clusterNetworks(task).length === 0) return []
  const reason =
    'would hide the names of services on its networks: leave them out (search domains and options go with networks)'
  return [{ field: 'task.dns.nameservers', reason }]
}
