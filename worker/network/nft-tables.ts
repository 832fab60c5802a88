// The two nft tables of a node: one in the host's namespace (the way in and out), one in the data plane (which container,
// who may talk to whom). Pure text. Rules never change with containers or ports, only elements of sets and maps do.
import type { DesiredTable, NftSet } from './kernel-state.ts'
import { tableFamily, tableName } from './kernel-state.ts'
import {
  dataPlaneAddress,
  dataPlaneLink,
  hostAddress,
  hostLink,
  type NetworkState,
  type PublishedPort,
} from './network-state.ts'

/** The table of the host's namespace. */
export function hostTable(state: NetworkState): DesiredTable {
  const ports = state.endpoints.flatMap((endpoint) => endpoint.ports)
  return {
    sets: [
      {
        kind: 'set',
        name: 'published',
        declaration: 'type inet_proto . inet_service;',
        elements: ports.flatMap((port) => hostElement(port).published ?? []),
      },
      {
        kind: 'map',
        name: 'published_at',
        declaration: 'type ipv4_addr . inet_proto . inet_service : ipv4_addr;',
        elements: ports.flatMap((port) => hostElement(port).publishedAt ?? []),
      },
    ],
    chains: hostChains(state.forwardingIsOurs),
  }
}

/** The element of the host's table that opens a port: in the set `published` or in the map `published_at`. */
export function hostElement(port: PublishedPort): {
  readonly published?: string
  readonly publishedAt?: string
} {
  const key = `${port.protocol} . ${port.publishedPort}`
  if (port.bindAddress === undefined) return { published: key }
  return { publishedAt: `${port.bindAddress} . ${key} : ${port.door}` }
}

/** The element of the data plane's map `host_ports` that leads a port to its container. */
export function dataPlaneElement(port: PublishedPort, address: string): string {
  const key = `${port.door} . ${port.protocol} . ${port.publishedPort}`
  return `${key} : ${address} . ${port.targetPort}`
}

function hostChains(forwardingIsOurs: boolean): string {
  // A packet to 127.0.0.0/8 that comes over a wire is forged: a port bound to loopback must not open to neighbours.
  return `
  chain raw_prerouting {
    type filter hook prerouting priority raw; policy accept;
    iifname "${hostLink}" ip daddr 127.0.0.0/8 drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 return
    fib daddr type local jump publish
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local jump publish
  }
  chain publish {
    dnat ip to ip daddr . meta l4proto . th dport map @published_at
    meta nfproto ipv4 meta l4proto . th dport @published dnat ip to ${dataPlaneAddress}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${hostLink}" ip saddr { 127.0.0.0/8, ${dataPlaneAddress} } snat ip to ${hostAddress}
    iifname "${hostLink}" oifname != "${hostLink}" meta nfproto ipv4 masquerade
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    iifname "${hostLink}" accept
    oifname "${hostLink}" ct state established,related accept
    oifname "${hostLink}" ct status dnat accept
    oifname "${hostLink}" drop
${forwardingIsOurs ? '    meta nfproto ipv4 drop\n' : ''}  }
`
}

/** The table of the data plane. */
export function dataPlaneTable(state: NetworkState): DesiredTable {
  const subnets = state.networks.map((network) => network.subnet)
  const hostPorts = state.endpoints.flatMap((endpoint) =>
    endpoint.ports.map((port) => dataPlaneElement(port, endpoint.address)),
  )
  return { sets: dataPlaneSets(subnets, hostPorts), chains: dataPlaneChains() }
}

function dataPlaneSets(subnets: readonly string[], hostPorts: readonly string[]): NftSet[] {
  const interval = 'type ipv4_addr; flags interval;'
  return [
    {
      kind: 'map',
      name: 'host_ports',
      declaration: 'type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;',
      elements: hostPorts,
    },
    {
      kind: 'set',
      name: 'same_network',
      declaration: 'type ipv4_addr . ipv4_addr; flags interval;',
      elements: subnets.map((subnet) => `${subnet} . ${subnet}`),
    },
    // Networks whose containers may leave the node, and networks that the host itself may enter.
    { kind: 'set', name: 'egress', declaration: interval, elements: subnets },
    { kind: 'set', name: 'host_reachable', declaration: interval, elements: subnets },
  ]
}

function dataPlaneChains(): string {
  // Invalid packets are dropped because they bypass NAT and would leave with a container's own address.
  return `
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "${dataPlaneLink}" dnat ip to ip daddr . meta l4proto . th dport map @host_ports
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${dataPlaneLink}" meta nfproto ipv4 masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    ip saddr . ip daddr @same_network accept
    iifname "${dataPlaneLink}" ct status dnat accept
    iifname "${dataPlaneLink}" ip daddr @host_reachable accept
    iifname "${dataPlaneLink}" drop
    oifname "${dataPlaneLink}" ip saddr @egress accept
    reject with icmpx admin-prohibited
  }
`
}

/** An nft file that replaces the table in one transaction; established connections keep their translation. */
export function tableScript(table: DesiredTable): string {
  const sets = table.sets.map((set) => {
    const elements =
      set.elements.length === 0 ? '' : `    elements = { ${set.elements.join(', ')} }\n`
    return `  ${set.kind} ${set.name} {\n    ${set.declaration}\n${elements}  }\n`
  })
  const name = `table ${tableFamily} ${tableName}`
  return `${name}\ndelete ${name}\n${name} {\n${sets.join('')}${table.chains}}\n`
}
