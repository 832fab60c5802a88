// What a new network is given: its subnets, and its VXLAN identifier if it is over all nodes.
import type { Cluster, Network } from '../../proto/objects/index.ts'
import {
  isLocalNetwork,
  mtuOption,
  type NetworkSpec,
  networkDrivers,
} from '../../proto/spec/network-spec.ts'
import { predefinedNetworks } from '../../proto/spec/predefined-networks.ts'
import { type LocalSubnet, planSubnets, type SubnetPlan } from './subnets.ts'

/** Docker's networks, which may be on the same hosts, begin at 4,096. */
export const vniFirst = 1_048_576
/** The one after it is for probes between nodes (worker/network/network-state.ts). */
const vniLast = 2 ** 24 - 2
const mtuMin = 576
/** IPv6 asks for as much of every link. Source: RFC 8200, section 5. */
const mtuMinV6 = 1280
const mtuMax = 65_000

export type NetworkPlan =
  | { readonly kind: 'ok'; readonly vni: number; readonly subnets: Network['subnets'] }
  | Extract<SubnetPlan, { kind: 'refused' }>

/**
 * Decides about a new network. `version` of the store, so that an identifier is not given again soon after its network
 * was removed. O(networks log networks).
 */
export function planNetwork(
  spec: NetworkSpec,
  others: readonly Network[],
  cluster: Cluster,
  { version, locals = [] }: { readonly version: number; readonly locals?: readonly LocalSubnet[] },
): NetworkPlan {
  const refused = checkDriver(spec) ?? checkOptions(spec) ?? checkIngress(spec, others)
  if (refused !== undefined) return refused
  const { defaultAddressPools, subnetSize: size } = cluster.spec
  const pools = [...defaultAddressPools, localPool(cluster.id)]
  const plan = planSubnets(spec, others, { pools, size, locals })
  if (plan.kind === 'refused') return plan
  const vni = isLocalNetwork(spec) ? 0 : freeVni(others, version)
  return { kind: 'ok', vni, subnets: plan.subnets }
}

function checkDriver({ driver }: NetworkSpec): NetworkPlan | undefined {
  if (networkDrivers.some((known) => known === driver)) return undefined
  const predefined = predefinedNetworks.find((network) => network.driver === driver)
  if (predefined === undefined) {
    return refuse('driver', `("${driver}") is not known: write overlay or bridge, or leave it out`)
  }
  const { name } = predefined
  const reason =
    `("${driver}") makes no further networks: every node has one of its own, which services are on with ` +
    `--network ${name}. Write overlay for a network over all nodes, bridge for one within each`
  return refuse('driver', reason)
}

function checkOptions(spec: NetworkSpec): NetworkPlan | undefined {
  for (const [name, value] of Object.entries(spec.options)) {
    if (name === 'encrypted' && isLocalNetwork(spec)) {
      const why = 'has no meaning on a bridge network: nothing of it leaves its node. Leave it out'
      return refuse('options', `("encrypted") ${why}`)
    }
    if (name === 'encrypted') {
      return refuse('options', '("encrypted") is not available in this version: leave it out')
    }
    if (name !== mtuOption) {
      return refuse(
        'options',
        `("${name}") is no option of the ${spec.driver} driver: it has ${mtuOption}`,
      )
    }
    const hasV6 = spec.ipv6 || spec.subnets.some(({ subnet }) => subnet.includes(':'))
    const least = hasV6 ? mtuMinV6 : mtuMin
    if (!/^\d{1,5}$/.test(value) || Number(value) < least || Number(value) > mtuMax) {
      return refuse(
        'options',
        `(${mtuOption}="${value}") must be a number from ${least} to ${mtuMax}`,
      )
    }
  }
  return undefined
}

function checkIngress(spec: NetworkSpec, others: readonly Network[]): NetworkPlan | undefined {
  if (!spec.isIngress) return undefined
  if (isLocalNetwork(spec)) {
    const why = 'the ingress network leads from node to node. Leave out the driver'
    return refuse('isIngress', `does not go with the driver ${spec.driver}: ${why}`)
  }
  if (spec.isAttachable)
    return refuse('isAttachable', 'does not go with an ingress network: leave it out')
  if (spec.isInternal)
    return refuse('isInternal', 'does not go with an ingress network: leave it out')
  const other = others.find((network) => network.spec.isIngress)
  if (other === undefined) return undefined
  const remedy = `remove it first ("tsswarm network rm ${other.spec.name}")`
  return refuse(
    'isIngress',
    `cannot be: "${other.spec.name}" is the ingress network, and there is one: ${remedy}`,
  )
}

function freeVni(others: readonly Network[], version: number): number {
  const used = new Set(others.map(({ vni }) => vni))
  const span = vniLast - vniFirst + 1
  let at = version % span
  while (used.has(vniFirst + at)) at = (at + 1) % span
  return vniFirst + at
}

/** A /48 of unique local addresses, the same for the life of the cluster. Source: RFC 4193, section 3.2. */
function localPool(clusterId: string): string {
  let high = 0x811c9dc5
  let low = 0x01000193
  for (let i = 0; i < clusterId.length; i++) {
    high = Math.imul(high ^ clusterId.charCodeAt(i), 0x01000193) >>> 0
    low = Math.imul(low ^ clusterId.charCodeAt(i) ^ (high >>> 24), 0x85ebca6b) >>> 0
  }
  const group = (value: number): string => (value & 0xffff).toString(16)
  // fd77 is the nodes' own.
  return `fd${(high >>> 24 === 0x77 ? 0x78 : high >>> 24).toString(16).padStart(2, '0')}:${group(high)}:${group(low)}::/48`
}

function refuse(field: string, reason: string): NetworkPlan {
  return { kind: 'refused', code: 'INVALID_ARGUMENT', field, reason }
}
