// A network of the cluster: an overlay over all nodes, or a bridge network that each node has for itself.
import type { NetworkSpec } from '../spec/network-spec.ts'
import type { NetworkId } from './ids.ts'

export interface Network {
  readonly id: NetworkId
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly spec: NetworkSpec
  /** VXLAN network identifier; no other network has it. 0: it has none, as it is each node's own. */
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

/** A task on one network. */
export interface TaskAttachment extends NetworkAddresses {
  /** Of a network that it was connected to while it ran; absent: its spec has the network. */
  readonly connection?: Connection
}

/**
 * `asked`: its addresses, or the word of its node, are still to come. `leaving`: it is to go, and some node may still lead
 * connections to it. `drained`: no node does any more, and its own may take it away. `failed`: it did not come about.
 */
export type ConnectionPhase = 'asked' | 'connected' | 'leaving' | 'drained' | 'failed'

/** How far a network is that a running task was connected to. It ends with the task. */
export interface Connection {
  readonly phase: ConnectionPhase
  /** Names of the task on this network. */
  readonly aliases: readonly string[]
  /** Asked for, at most one of each family. */
  readonly wished: readonly string[]
  /** Why it failed, or what it waits for. */
  readonly err: string
}

/** Whether its node is to have the interface. */
export function isWired({ addresses, connection }: TaskAttachment): boolean {
  if (connection === undefined) return true
  const { phase } = connection
  return addresses.length > 0 && phase !== 'drained' && phase !== 'failed'
}

/** What became of a connection on the task's node. */
export interface ConnectionStatus {
  readonly networkId: NetworkId
  /** Tell it from an earlier connection to the same network. */
  readonly addresses: readonly string[]
  readonly state: 'connected' | 'gone' | 'failed'
  readonly err: string
}
