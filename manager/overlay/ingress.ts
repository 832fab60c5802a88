// The network that carries published ports: made with the cluster, or when an older one moves to the level of networks.
import { SwarmError } from '../../proto/errors.ts'
import { type Cluster, networkId } from '../../proto/objects/index.ts'
import { networkSpec } from '../../proto/spec/network-spec.ts'
import { planNetwork } from '../allocator/network-plan.ts'
import type { LocalSubnet } from '../allocator/subnets.ts'
import type { ReadTx, Tx } from '../store/store.ts'

/** Source: Docker Swarm's network of this name. */
export const ingressName = 'ingress'

/** Writes it, unless there is one or the name is taken. Errors: as planNetwork's refusals. */
export function createIngress(tx: Tx, cluster: Cluster, id: string): void {
  const others = [...tx.all('networks')]
  const isThere = others.some(({ spec }) => spec.isIngress || spec.name === ingressName)
  if (isThere) return
  const spec = networkSpec.parse({ name: ingressName, isIngress: true })
  const plan = planNetwork(spec, others, cluster, { version: 0, locals: localSubnets(tx) })
  if (plan.kind === 'refused') {
    throw new SwarmError(plan.code, `network "${ingressName}": ${plan.field} ${plan.reason}`)
  }
  const { vni, subnets } = plan
  const meta = { version: 0, createdAtMs: 0, updatedAtMs: 0 }
  tx.create('networks', { id: networkId(id), ...meta, spec, vni, subnets })
}

/** The local networks of all nodes, each subnet once: nodes choose them alike. O(nodes). */
export function localSubnets(tx: ReadTx): readonly LocalSubnet[] {
  const bySubnet = new Map<string, LocalSubnet>()
  for (const { id, description } of tx.all('nodes')) {
    const { localSubnet: subnet, hostname: node } = description ?? {}
    if (subnet === undefined || bySubnet.has(subnet)) continue
    bySubnet.set(subnet, { subnet, node: node ?? id })
  }
  return [...bySubnet.values()]
}
