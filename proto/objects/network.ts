// A network of the cluster: an overlay that tasks on any node may be on.
import type { NetworkSpec } from '../spec/network-spec.ts'
import type { NetworkId } from './ids.ts'

export interface Network {
  readonly id: NetworkId
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly spec: NetworkSpec
  /** VXLAN network identifier; no other network has it. */
  readonly vni: number
  /** One of IPv4 and at most one of IPv6. They overlap with no other network's. */
  readonly subnets: readonly NetworkSubnet[]
}

export interface NetworkSubnet {
  /** CIDR, its first address. */
  readonly subnet: string
  /** CIDR within the subnet that addresses are taken from; empty: all of it. */
  readonly ipRange: string
  /** Nobody's: nodes are the gateways of their containers. */
  readonly gateway: string
}

/** What a service or task was given on one network. */
export interface NetworkAddresses {
  readonly networkId: NetworkId
  /** Without prefix length, one of each family of the network. */
  readonly addresses: readonly string[]
}
