// Refuses services that reach what belongs to nodes while the cluster does not allow it. Decision 0072.
import { SwarmError } from '../../proto/errors.ts'
import { reachOf } from '../../proto/spec/security-spec.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'

const words = {
  privileged: 'is privileged',
  'system paths': 'asks for open system paths',
  devices: 'asks for devices of its nodes',
}

/** Errors: PERMISSION_DENIED. What runs already goes on. */
export function requirePrivileges(tx: ReadTx, { name, task }: ServiceSpec): void {
  const { security } = task.container
  const reach = reachOf(security)
  if (reach === undefined || theCluster(tx).spec.allowPrivileged) return
  const what = words[reach]
  throw new SwarmError(
    'PERMISSION_DENIED',
    `service "${name}" ${what}, which gives its program the nodes it runs on, and the cluster does not allow that: ` +
      'capabilities (--cap-add) are often enough. "tsswarm swarm update --allow-privileged" allows it, to all who may create services',
    { details: { field: 'task.container.security' } },
  )
}
