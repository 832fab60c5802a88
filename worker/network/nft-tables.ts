// The two nft tables of a node: one in the host's namespace (the way in and out), one in the data plane (which container,
// who may talk to whom). Pure text. Rules never change with containers or ports, only elements of sets and maps do, and the
// chains of services (service-chains.ts).

import type { AddressFamily } from './items.ts'
import type { ChainRules, DesiredTable, NamespaceName, NftSet } from './kernel-state.ts'
import { tableFamily, tableName } from './kernel-state.ts'
import {
  dataPlaneAddress,
  dataPlaneAddress6,
  dataPlaneLink,
  doorSubnet,
  doorSubnet6,
  firewallDoor,
  firewallDoor6,
  hostAddress,
  hostAddress6,
  hostLink,
  type NetworkState,
  probeAnswerPort,
  probeLink,
  probePort,
  resolverAddress,
  strangerAddress,
  strangerAddress6,
} from './network-state.ts'
import { ofFamily } from './overlay-state.ts'
import type { CompiledOverlay, TableElement } from './pieces.ts'
import { dataPlaneElements, hostPlaces } from './port-elements.ts'
import { masqueradeMark } from './service-chains.ts'

/** The table of the host's namespace. */
export function hostTable(state: NetworkState): DesiredTable {
  const places = state.endpoints.flatMap(({ ports }) => ports.flatMap(hostPlaces))
  const sets: readonly NftSet[] = [
    emptySet('published', portType),
    // The same, left to the host's firewall.
    emptySet('firewalled', portType),
    emptyMap('published_at', 'type ipv4_addr . inet_proto . inet_service : ipv4_addr;'),
    emptySet('published6', portType),
    emptySet('firewalled6', portType),
    emptyMap('published_at6', 'type ipv6_addr . inet_proto . inet_service : ipv6_addr;'),
    // Who may send VXLAN to this node, and the subnets whose addresses mean a task here.
    emptySet('vteps', 'type ipv4_addr;'),
    emptySet('vteps6', 'type ipv6_addr;'),
    emptySet('overlay', interval),
    emptySet('overlay6', interval6),
  ]
  return {
    sets: withOverlay('host', sets, { overlay: state.overlay, own: places }),
    chains: hostChains(state),
    serviceChains: new Map(),
  }
}

const portType = 'type inet_proto . inet_service;'
const doorType = 'type ipv4_addr . inet_proto . inet_service'
const interval = 'type ipv4_addr; flags interval;'
const interval6 = 'type ipv6_addr; flags interval;'

function emptySet(name: string, declaration: string): NftSet {
  return { kind: 'set', name, declaration, elements: [] }
}

function emptyMap(name: string, declaration: string): NftSet {
  return { kind: 'map', name, declaration, elements: [] }
}

type SetElement = Pick<TableElement, 'set' | 'element'>

interface Filling {
  readonly overlay: CompiledOverlay | undefined
  /** Of this node's own containers. */
  readonly own: readonly SetElement[]
}

/** The sets with what the node's containers and the overlay have in them. */
function withOverlay(
  namespace: NamespaceName,
  sets: readonly NftSet[],
  { overlay, own }: Filling,
): readonly NftSet[] {
  const bySet = new Map<string, string[]>()
  for (const { set, element } of [...own, ...overlayElements(namespace, overlay)]) {
    const known = bySet.get(set)
    if (known === undefined) bySet.set(set, [element])
    else known.push(element)
  }
  return sets.map((set) => {
    const more = bySet.get(set.name)
    return more === undefined ? set : { ...set, elements: [...set.elements, ...more] }
  })
}

function overlayElements(
  namespace: NamespaceName,
  overlay: CompiledOverlay | undefined,
): readonly TableElement[] {
  return [...(overlay?.groups.values() ?? [])]
    .flatMap(({ pieces }) => [...pieces.values()])
    .flatMap(({ elements = [] }) => elements)
    .filter((element) => element.namespace === namespace)
}

// Other VXLAN networks may live on the same host and port: ours have identifiers from 1,048,576 on, which shows in the
// first byte of the identifier, 12 bytes into the UDP packet.
function ourVxlan({ vxlanPort }: NetworkState): string {
  return `udp dport ${vxlanPort} @th,96,8 >= 16`
}

function hostChains(state: NetworkState): string {
  const own = [
    ...(state.forwardingIsOurs ? ['    meta nfproto ipv4 drop'] : []),
    ...(state.forwarding6IsOurs ? ['    meta nfproto ipv6 drop'] : []),
  ]
  // What comes out of the data plane goes back only where a published port leads: the doors behind ports of loopback are
  // addresses, too, that a container may send to.
  // A packet to 127.0.0.0/8 that comes over a wire is forged: a port bound to loopback must not open to neighbours. So is
  // one from an address between host and data plane: there these stand for the host itself.
  return `
  chain raw_prerouting {
    type filter hook prerouting priority raw; policy accept;
    ${ourVxlan(state)} goto vxlan
    iifname "${hostLink}" ip daddr 127.0.0.0/8 drop
    iifname != { "lo", "${hostLink}" } ip saddr ${doorSubnet} drop
    iifname != { "lo", "${hostLink}" } ip6 saddr ${doorSubnet6} drop
  }
  chain vxlan {
    ip saddr @vteps notrack accept
    ip6 saddr @vteps6 notrack accept
    drop
  }
  chain raw_output {
    type filter hook output priority raw; policy accept;
    ${ourVxlan(state)} notrack
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
    meta nfproto ipv4 meta l4proto . th dport @firewalled dnat ip to ${firewallDoor}
    ip6 daddr ::1 return
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at6
    meta nfproto ipv6 meta l4proto . th dport @published6 dnat ip6 to ${dataPlaneAddress6}
    meta nfproto ipv6 meta l4proto . th dport @firewalled6 dnat ip6 to ${firewallDoor6}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${hostLink}" ip saddr { 127.0.0.0/8, ${dataPlaneAddress} } snat ip to ${hostAddress}
    oifname "${hostLink}" ip saddr @overlay snat ip to ${strangerAddress}
    oifname "${hostLink}" ip6 saddr ${dataPlaneAddress6} snat ip6 to ${hostAddress6}
    oifname "${hostLink}" ip6 saddr @overlay6 snat ip6 to ${strangerAddress6}
    iifname "${hostLink}" oifname != "${hostLink}" meta nfproto ipv4 masquerade
    iifname "${hostLink}" oifname != "${hostLink}" meta nfproto ipv6 masquerade
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    iifname "${hostLink}" oifname != "${hostLink}" accept
    oifname "${hostLink}" ct state established,related accept
    oifname "${hostLink}" ct status dnat accept
    oifname "${hostLink}" drop
${own.map((line) => `${line}\n`).join('')}  }
`
}

/** The table of the data plane. */
export function dataPlaneTable(state: NetworkState): DesiredTable {
  const subnets = state.networks.map((network) => network.subnet)
  const own = state.endpoints.flatMap((endpoint) =>
    endpoint.ports.flatMap((port) => dataPlaneElements(port, endpoint)),
  )
  const { overlay } = state
  return {
    sets: withOverlay('dataPlane', dataPlaneSets(subnets), { overlay, own }),
    chains: dataPlaneChains(overlay?.transit ?? []),
    serviceChains: serviceChains(overlay),
  }
}

function serviceChains(overlay: CompiledOverlay | undefined): ReadonlyMap<string, ChainRules> {
  const pieces = [...(overlay?.groups.values() ?? [])].flatMap((group) => [
    ...group.pieces.values(),
  ])
  return new Map(pieces.flatMap(({ chains = [] }) => chains))
}

function dataPlaneSets(subnets: readonly string[]): NftSet[] {
  const both = (name: string, declaration: string, make = emptySet): NftSet[] => [
    make(name, declaration),
    make(`${name}6`, declaration.replaceAll('ipv4_addr', 'ipv6_addr')),
  ]
  const [same, same6] = both('same_network', 'type ipv4_addr . ipv4_addr; flags interval;')
  const [egress, egress6] = both('egress', interval)
  return [
    ...both('host_ports', `${doorType} : ipv4_addr . inet_service;`, emptyMap),
    // Ports in host mode that are open to some only, and to whom.
    ...both('guarded', `${doorType};`),
    ...both('host_sources', `${doorType} . ipv4_addr; flags interval;`),
    ...withElements(
      same,
      subnets.map((subnet) => `${subnet} . ${subnet}`),
    ),
    ...withElements(same6, []),
    // Networks whose containers may leave the node, and networks that the host itself may enter.
    ...withElements(egress, subnets),
    ...withElements(egress6, []),
    { kind: 'set', name: 'host_reachable', declaration: interval, elements: subnets },
    ...both('vips', 'type ipv4_addr : verdict;', emptyMap),
    ...both('ingress_ports', `${doorType} : verdict;`, emptyMap),
    ...both('ingress_subnets', interval),
    // Containers of this node, each with itself.
    ...both('hairpin', 'type ipv4_addr . ipv4_addr;'),
    emptySet('ingress_links', 'type ifname;'),
    emptyMap('entry_nodes', 'type ether_addr : mark;'),
  ]
}

function withElements(set: NftSet | undefined, elements: readonly string[]): readonly NftSet[] {
  return set === undefined ? [] : [{ ...set, elements }]
}

/** Rules for one family that need this node's transit address of it. */
function transitRules(family: AddressFamily, transit: string | undefined): string {
  if (transit === undefined) return ''
  const [ip, only, doors] = family === 4 ? ['ip', 'ipv4', doorSubnet] : ['ip6', 'ipv6', doorSubnet6]
  const mark = `0x${masqueradeMark.toString(16)}`
  return `
    oifname != "${dataPlaneLink}" ct mark and ${mark} != 0 meta nfproto ${only} snat ${ip} to ${transit}
    oifname "vx*" ${ip} saddr ${doors} snat ${ip} to ${transit}
    oifname "vx*" fib saddr type local meta nfproto ${only} snat ${ip} to ${transit}`
}

/**
 * Probes of other nodes are sent back by the kernel, with source and destination exchanged; nothing else comes in by their
 * device. As answers come from a port that is not answered, no packet goes on for ever.
 */
function probeChain(transit: string | undefined): string {
  const [asks, answers] = [probePort, probeAnswerPort]
  const sendBack =
    transit === undefined
      ? ''
      : `    ip daddr ${transit} udp sport ${asks} udp dport ${answers} ip daddr set ip saddr ip saddr set ${transit} udp sport set ${answers} udp dport set ${asks} accept\n`
  return `
  chain probes {
${sendBack}    udp sport ${answers} udp dport ${asks} accept
    drop
  }`
}

/** Virtual addresses answer echo requests of their own network only; those of the node itself, all of them. */
function ownEchoes(transit: readonly string[]): string {
  const own = [dataPlaneAddress, ...ofFamily(transit, 4)].join(', ')
  const own6 = ['fe80::/10', dataPlaneAddress6, ...ofFamily(transit, 6)].join(', ')
  return `    icmp type echo-request ip daddr != { ${own} } ip saddr . ip daddr != @same_network reject with icmpx admin-prohibited
    icmpv6 type echo-request ip6 daddr != { ${own6} } ip6 saddr . ip6 daddr != @same_network6 reject with icmpx admin-prohibited
`
}

function dataPlaneChains(transit: readonly string[]): string {
  const rules = ([4, 6] as const).map((family) =>
    transitRules(family, ofFamily(transit, family)[0]),
  )
  // A task that calls its own service sees the virtual address as its client: its answer goes back by the interface of that
  // network, also where several are, and where an internal one leads nowhere else.
  // A connection that came in through another node bears that node's mark; answers take it to find their way (ip rule),
  // and lose it once routed: VXLAN would route its own packet by it. IPv6 has no rp_filter: hence the first rule. What came in by
  // another node bears a mark from its first packet on: connections without one have nothing to seek behind the second.
  // Invalid packets are dropped because they bypass NAT and would leave with a container's own address.
  // What the host led here and nobody takes would go back to it: a port without a task is refused. Of doors only the common one is
  // an address of this namespace, which refuses by itself.
  // Every chain and rule that packets of established connections meet costs throughput (decision 59): one chain before
  // routing, one after, and what is cheap and seldom true comes first.
  return `${probeChain(ofFamily(transit, 4)[0])}
  chain mangle_prerouting {
    type filter hook prerouting priority mangle; policy accept;
    meta nfproto ipv6 iifname != "lo" iifname != "vx*" fib saddr . iif oif missing drop
    meta l4proto tcp ct mark 0 ct state established accept
    ct mark and 0xffff != 0 iifname != "vx*" ct direction reply meta mark set ct mark and 0xffff
    iifname @ingress_links ct direction original jump entered
    iifname "${probeLink}" jump probes
  }
  chain entered {
    ip saddr != @ingress_subnets ct mark set ether saddr map @entry_nodes
    ip6 saddr != @ingress_subnets6 ct mark set ether saddr map @entry_nodes
  }
  chain mangle_output {
    type route hook output priority mangle; policy accept;
    ct direction reply ct mark and 0xffff != 0 meta mark set ct mark and 0xffff
  }
  chain filter_output {
    type filter hook output priority filter; policy accept;
    meta mark != 0 meta mark set 0
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "${dataPlaneLink}" jump from_host
    iifname != "${dataPlaneLink}" ip daddr vmap @vips
    iifname != "${dataPlaneLink}" ip6 daddr vmap @vips6
  }
  chain from_host {
    ip daddr . meta l4proto . th dport @guarded ip daddr . meta l4proto . th dport . ip saddr != @host_sources drop
    ip6 daddr . meta l4proto . th dport @guarded6 ip6 daddr . meta l4proto . th dport . ip6 saddr != @host_sources6 drop
    dnat ip to ip daddr . meta l4proto . th dport map @host_ports
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @host_ports6
    ip daddr . meta l4proto . th dport vmap @ingress_ports
    ip6 daddr . meta l4proto . th dport vmap @ingress_ports6
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr vmap @vips
    ip6 daddr vmap @vips6
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${probeLink}" accept
    oifname "${dataPlaneLink}" meta nfproto ipv4 masquerade
    oifname "${dataPlaneLink}" meta nfproto ipv6 masquerade
    ip saddr . ip daddr @hairpin snat ip to ct original ip daddr
    ip6 saddr . ip6 daddr @hairpin6 snat ip6 to ct original ip6 daddr${rules.join('')}
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    iifname "${dataPlaneLink}" ip daddr 127.0.0.0/8 drop
    iifname "vx*" ip daddr 127.0.0.0/8 drop
    ip daddr ${resolverAddress} meta l4proto { tcp, udp } th dport 53 accept
    ip daddr 127.0.0.0/8 drop
${ownEchoes(transit)}    meta l4proto { icmp, ipv6-icmp } accept
    meta l4proto tcp reject with tcp reset
    reject
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    meta mark != 0 meta mark set 0
    ct state established,related accept
    ct state invalid drop
    iifname "${probeLink}" oifname "${probeLink}" accept
    ip saddr . ip daddr @same_network accept
    ip6 saddr . ip6 daddr @same_network6 accept
    iifname "${dataPlaneLink}" ct status dnat accept
    iifname "${dataPlaneLink}" ip daddr @host_reachable accept
    iifname "${dataPlaneLink}" oifname "${dataPlaneLink}" goto refuse
    iifname "${dataPlaneLink}" drop
    iifname @ingress_links ct mark != 0 ip daddr @ingress_subnets accept
    iifname @ingress_links ct mark != 0 ip6 daddr @ingress_subnets6 accept
    oifname "${dataPlaneLink}" ip saddr @egress accept
    oifname "${dataPlaneLink}" ip6 saddr @egress6 accept
    reject with icmpx admin-prohibited
  }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject
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
  const services = [...table.serviceChains].map(
    ([chain, rules]) => `  chain ${chain} {\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`,
  )
  const name = `table ${tableFamily} ${tableName}`
  return `${name}\ndelete ${name}\n${name} {\n${sets.join('')}${services.join('')}${table.chains}}\n`
}
