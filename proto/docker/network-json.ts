// A network of the cluster as Docker's API shows it.
import type { Connection, Network } from '../objects/index.ts'
import { scopeOf } from '../spec/network-spec.ts'
import { dockerTime, type Json, omitEmpty } from './json.ts'

const vniOption = 'com.docker.network.driver.overlay.vxlanid_list'

/** How much of a subnet is in use. */
export interface PoolUse {
  readonly subnet: string
  readonly used: number
  readonly size: number
}

export interface NetworkMember {
  readonly serviceName: string
  readonly serviceId: string
  readonly vips: readonly string[]
  readonly ports: readonly { readonly targetPort: number; readonly publishedPort: number }[]
}

/** A task on the network. */
export interface EndpointFacts {
  readonly taskId: string
  readonly name: string
  readonly serviceId: string
  readonly nodeId: string
  readonly nodeHostname: string
  readonly nodeAddress: string
  /** With prefix length. */
  readonly addresses: readonly string[]
  readonly aliases: readonly string[]
  readonly serving: boolean
  readonly connection: Connection | undefined
}

/** Docker's Network, with the use of its address pools where newer versions of Docker have it. */
export function networkJson(
  network: Network,
  pools: readonly PoolUse[],
  endpoints: readonly EndpointFacts[],
): Readonly<Record<string, Json>> {
  const { spec, subnets, vni } = network
  return {
    Name: spec.name,
    Id: network.id,
    Created: dockerTime(network.createdAtMs),
    Scope: scopeOf(spec),
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
    Containers: Object.fromEntries(endpoints.map((one) => [one.taskId, containerJson(one)])),
    Options: { ...omitEmpty(vni === 0 ? {} : { [vniOption]: String(vni) }), ...spec.options },
    Labels: spec.labels,
    Status: { IPAM: { Subnets: Object.fromEntries(pools.map(poolJson)) } },
  }
}

function poolJson({ subnet, used, size }: PoolUse): readonly [string, Json] {
  return [subnet, { IPsInUse: used, DynamicIPsAvailable: size - used }]
}

/** Docker's container of a network; Node, Serving and Connection are ours. */
function containerJson(endpoint: EndpointFacts): Json {
  const { name, taskId, addresses, nodeHostname, serving, connection } = endpoint
  return {
    Name: name,
    EndpointID: taskId,
    // Each node makes its own, at random.
    MacAddress: '',
    IPv4Address: ofFamily(addresses, false),
    IPv6Address: ofFamily(addresses, true),
    Node: nodeHostname,
    Serving: serving,
    ...(connection === undefined ? {} : { Connection: connectionJson(connection) }),
  }
}

function connectionJson({ phase, aliases, wished, err }: Connection): Json {
  return { Phase: phase, ...omitEmpty({ Aliases: aliases, Wished: wished, Err: err }) }
}

function ofFamily(addresses: readonly string[], isV6: boolean): string {
  return addresses.find((address) => address.includes(':') === isV6) ?? ''
}

/** What Docker adds to a network that is inspected verbosely: its services with their tasks, and the nodes they are on. */
export function membersJson(
  members: readonly NetworkMember[],
  endpoints: readonly EndpointFacts[],
): Readonly<Record<string, Json>> {
  const services = members.map(({ serviceName, serviceId, vips, ports }) => {
    const tasks = endpoints.filter((one) => one.serviceId === serviceId)
    const service = {
      VIP: vips[0] ?? '',
      VIPs: vips,
      Ports: ports.map((port) => `Target: ${port.targetPort}, Publish: ${port.publishedPort}`),
      Tasks: tasks.map(taskJson),
    }
    return [serviceName, service] as const
  })
  const nodes = new Map(endpoints.map((one) => [one.nodeId, one]))
  nodes.delete('')
  const peers = [...nodes.values()].map((one) => ({ Name: one.nodeHostname, IP: one.nodeAddress }))
  return { Services: Object.fromEntries(services), Peers: peers }
}

function taskJson({ name, taskId, addresses, nodeAddress, serving }: EndpointFacts): Json {
  const [first = ''] = addresses
  return {
    Name: name,
    EndpointID: taskId,
    EndpointIP: first.split('/')[0] ?? '',
    Info: { 'Host IP': nodeAddress },
    Serving: serving,
  }
}
