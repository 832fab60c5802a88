// What must be known of this node's network after a restart of the daemon, as a value that only grows by events. Pure.
import { type AddressPool, claimAddress, createPool, freeAddress } from './address-pool.ts'
import { parseIpv4, requireSubnet } from './ipv4.ts'
import { type Endpoint, linkMtu, localNetworkId, type NetworkState } from './network-state.ts'

export interface NetworkRecord {
  /** Boot of the machine; endpoints of another boot are gone. */
  readonly bootId: string
  readonly subnet: string
  readonly transit: string
  readonly mac: string
  readonly forwardingIsOurs: boolean
  /** Undefined is false: records of earlier versions do not have it. */
  readonly forwarding6IsOurs?: boolean
  readonly pool: AddressPool
  readonly endpoints: readonly Endpoint[]
}

export type RecordEvent =
  /** The first of all: what this node chose for itself. */
  | {
      readonly kind: 'opened'
      readonly bootId: string
      readonly subnet: string
      readonly transit: string
      readonly mac: string
    }
  | { readonly kind: 'attached'; readonly endpoint: Endpoint }
  | { readonly kind: 'detached'; readonly containerId: string }
  /** We switched IPv4 forwarding on. */
  | { readonly kind: 'forwarding-ours' }
  /** The same of IPv6. */
  | { readonly kind: 'forwarding6-ours' }
  /** Replaces all events before it. */
  | { readonly kind: 'compacted'; readonly record: NetworkRecord }

/** The record after the event; undefined before the first one. */
export function applyEvent(
  record: NetworkRecord | undefined,
  event: RecordEvent,
): NetworkRecord | undefined {
  switch (event.kind) {
    case 'opened':
      return openRecord(event)
    case 'compacted':
      return event.record
    case 'attached':
      return record && attach(record, event.endpoint)
    case 'detached':
      return record && detach(record, event.containerId)
    case 'forwarding-ours':
      return record && { ...record, forwardingIsOurs: true }
    case 'forwarding6-ours':
      return record && { ...record, forwarding6IsOurs: true }
  }
}

function openRecord(event: Extract<RecordEvent, { kind: 'opened' }>): NetworkRecord {
  const { bootId, subnet, transit, mac } = event
  const pool = createPool(requireSubnet(subnet, 'local subnet'))
  return { bootId, subnet, transit, mac, forwardingIsOurs: false, pool, endpoints: [] }
}

function attach(record: NetworkRecord, endpoint: Endpoint): NetworkRecord {
  const address = localAddress(endpoint)
  return {
    ...record,
    pool: address === undefined ? record.pool : claimAddress(record.pool, address),
    endpoints: [...record.endpoints, endpoint],
  }
}

function detach(record: NetworkRecord, containerId: string): NetworkRecord {
  let pool = record.pool
  for (const endpoint of record.endpoints) {
    const address = localAddress(endpoint)
    if (endpoint.containerId !== containerId || address === undefined) continue
    pool = freeAddress(pool, address)
  }
  const endpoints = record.endpoints.filter((endpoint) => endpoint.containerId !== containerId)
  return { ...record, pool, endpoints }
}

/** Addresses of overlay networks are the cluster's to give and to take. */
function localAddress({ address, networkId }: Endpoint): number | undefined {
  return networkId === localNetworkId ? parseIpv4(address) : undefined
}

/** The state the kernel shall have, for those endpoints whose containers live. */
export function stateOf(
  record: NetworkRecord,
  endpoints: readonly Endpoint[],
  cluster: Pick<NetworkState, 'overlay' | 'vxlanPort'>,
): NetworkState {
  return {
    ...cluster,
    transit: record.transit,
    mac: record.mac,
    forwardingIsOurs: record.forwardingIsOurs,
    forwarding6IsOurs: record.forwarding6IsOurs ?? false,
    networks: [{ kind: 'local', id: localNetworkId, subnet: record.subnet, mtu: linkMtu }],
    endpoints,
  }
}
