// A network of the cluster as Docker's API shows it.
import type { Network } from '../objects/index.ts'
import { dockerTime, type Json, omitEmpty } from './json.ts'

/** How much of a subnet is in use. */
export interface PoolUse {
  readonly subnet: string
  readonly used: number
  readonly size: number
}

export interface NetworkMember {
  readonly serviceName: string
  readonly vips: readonly string[]
}

/** Docker's Network, with the use of its address pools where newer versions of Docker have it. */
export function networkJson(
  network: Network,
  pools: readonly PoolUse[],
): Readonly<Record<string, Json>> {
  const { spec, subnets, vni } = network
  return {
    Name: spec.name,
    Id: network.id,
    Created: dockerTime(network.createdAtMs),
    Scope: 'swarm',
    Driver: spec.driver,
    EnableIPv4: true,
    EnableIPv6: subnets.length > 1,
    IPAM: {
      Driver: 'default',
      Config: subnets.map(({ subnet, ipRange, gateway }) => ({
        Subnet: subnet,
        ...omitEmpty({ IPRange: ipRange }),
        Gateway: gateway,
      })),
    },
    Internal: spec.isInternal,
    Attachable: spec.isAttachable,
    Ingress: spec.isIngress,
    ConfigOnly: false,
    Options: { 'com.docker.network.driver.overlay.vxlanid_list': String(vni), ...spec.options },
    Labels: spec.labels,
    Status: { IPAM: { Subnets: Object.fromEntries(pools.map(poolJson)) } },
  }
}

function poolJson({ subnet, used, size }: PoolUse): readonly [string, Json] {
  return [subnet, { IPsInUse: used, DynamicIPsAvailable: size - used }]
}

/** Docker's Services of a network that is inspected verbosely. */
export function membersJson(members: readonly NetworkMember[]): Json {
  return Object.fromEntries(
    members.map(({ serviceName, vips }) => [serviceName, { VIP: vips[0] ?? '', VIPs: vips }]),
  )
}
