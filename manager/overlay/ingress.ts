// The network that carries published ports: made with the cluster, or when an older one moves to the level of networks.
import { SwarmError } from '../../proto/errors.ts'
import { type Cluster, networkId } from '../../proto/objects/index.ts'
import { networkSpec } from '../../proto/spec/network-spec.ts'
import { planNetwork } from '../allocator/network-plan.ts'
import type { Tx } from '../store/store.ts'

/** Source: Docker Swarm's network of this name. */
export const ingressName = 'ingress'

/** Writes it, unless there is one or the name is taken. Errors: as planNetwork's refusals. */
export function createIngress(tx: Tx, cluster: Cluster, id: string): void {
  const others = [...tx.all('networks')]
  const isThere = others.some(({ spec }) => spec.isIngress || spec.name === ingressName)
  if (isThere) return
  const spec = networkSpec.parse({ name: ingressName, isIngress: true })
  const plan = planNetwork(spec, others, cluster, 0)
  if (plan.kind === 'refused') {
    throw new SwarmError(plan.code, `network "${ingressName}": ${plan.field} ${plan.reason}`)
  }
  const { vni, subnets } = plan
  const meta = { version: 0, createdAtMs: 0, updatedAtMs: 0 }
  tx.create('networks', { id: networkId(id), ...meta, spec, vni, subnets })
}
