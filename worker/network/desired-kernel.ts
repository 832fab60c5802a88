// From a NetworkState to what the kernel must hold in the host's namespace and in the data plane, and in a container. Pure.

import { ipv6Piece } from './ipv6-link.ts'
import { addressItem, linkItem, neighbourItem, routeItem, ruleFamily } from './items.ts'
import type { DesiredItem, DesiredKernel, DesiredNamespace } from './kernel-state.ts'
import {
  addressesOf,
  dataPlaneAddress,
  dataPlaneAddress6,
  dataPlaneLink,
  dataPlaneMac,
  doorSubnet,
  type Endpoint,
  hostAddress,
  hostLink,
  hostMac,
  linkMtu,
  linkPrefix,
  type NetnsRef,
  type NetworkState,
  resolverAddress,
} from './network-state.ts'
import { dataPlaneTable, hostTable } from './nft-tables.ts'
import { familyOf, ofFamily } from './overlay-state.ts'
import type { Piece } from './pieces.ts'

/** `dataPlaneFile`: the file the data plane's namespace is bound to. */
export function desiredKernel(state: NetworkState, dataPlaneFile: string): DesiredKernel {
  return { host: desiredHost(state, dataPlaneFile), dataPlane: desiredDataPlane(state) }
}

function desiredHost(state: NetworkState, dataPlaneFile: string): DesiredNamespace {
  const make = `link add ${hostLink} type veth peer name ${dataPlaneLink} netns ${dataPlaneFile}`
  const byLink = { via: dataPlaneAddress, dev: hostLink }
  const pieces = piecesOf(state)
  return {
    items: [
      linkItem(hostLink, { mtu: linkMtu, mac: hostMac, create: [make], alias: 'tsswarm' }),
      addressItem(hostLink, `${hostAddress}/${linkPrefix}`),
      neighbourItem(hostLink, dataPlaneAddress, dataPlaneMac),
      routeItem(doorSubnet, byLink),
      ...state.networks.map(({ subnet }) => routeItem(subnet, { ...byLink, src: hostAddress })),
      ...pieces.flatMap(({ hostItems = [] }) => hostItems),
    ],
    sysctls: new Map([
      [`net/ipv4/conf/${hostLink}/route_localnet`, '1'],
      ['net/ipv4/ip_forward', '1'],
      ...pieces.flatMap(({ hostSysctls = [] }) => hostSysctls),
    ]),
    table: hostTable(state),
  }
}

function piecesOf({ overlay, endpoints }: NetworkState): readonly Piece[] {
  if (overlay !== undefined) {
    return [...overlay.groups.values()].flatMap(({ pieces }) => [...pieces.values()])
  }
  const needsIpv6 = endpoints.some(({ nodeAddress6 }) => nodeAddress6 !== undefined)
  return needsIpv6 ? [ipv6Piece()] : []
}

function desiredDataPlane(state: NetworkState): DesiredNamespace {
  const pieces = piecesOf(state)
  const own = [
    linkItem('lo', {}),
    linkItem(dataPlaneLink, { mtu: linkMtu, mac: dataPlaneMac }),
    addressItem('lo', `${state.transit}/32`),
    addressItem(dataPlaneLink, `${dataPlaneAddress}/${linkPrefix}`),
    neighbourItem(dataPlaneLink, hostAddress, hostMac),
    routeItem('default', { via: hostAddress, dev: dataPlaneLink }),
    // Without it a packet to a container that is gone would leave by up0, and a host of the LAN might answer.
    ...state.networks.map(({ subnet }) => routeItem(subnet, { type: 'unreachable' })),
    ...state.endpoints.flatMap((endpoint) => endpointItems(endpoint, state)),
  ]
  return {
    items: withoutRivals(own, pieces),
    sysctls: new Map([
      ...dataPlaneSysctls,
      ...state.endpoints.map(({ link }) => [`net/ipv4/conf/${link}/rp_filter`, '1'] as const),
      ...pieces.flatMap(({ sysctls = [] }) => sysctls),
    ]),
    table: dataPlaneTable(state),
  }
}

/** What a container of this node has counts before what is told of other nodes: that may be old. */
function withoutRivals(
  own: readonly DesiredItem[],
  pieces: readonly Piece[],
): readonly DesiredItem[] {
  const taken = new Set(own.map(({ kind, key }) => `${kind} ${key}`))
  const others = pieces
    .flatMap(({ items = [] }) => items)
    .filter(({ kind, key }) => !taken.has(`${kind} ${key}`))
  return [...own, ...others]
}

// rp_filter: of `all` and the device the greater counts. Strict on every veth, so that a container cannot send in the
// name of another; devices that must not filter (VXLAN) set their own 0.
const dataPlaneSysctls: readonly (readonly [string, string])[] = [
  ['net/ipv4/ip_forward', '1'],
  ['net/ipv4/conf/all/rp_filter', '0'],
  ['net/ipv4/conf/default/rp_filter', '1'],
  [`net/ipv4/conf/${dataPlaneLink}/rp_filter`, '1'],
  // Containers ask the resolver at 127.0.0.11; what else of loopback they send is dropped (nft-tables.ts).
  ['net/ipv4/conf/all/route_localnet', '1'],
  ['net/ipv4/conf/all/send_redirects', '0'],
  ['net/ipv4/conf/default/send_redirects', '0'],
  [`net/ipv4/conf/${dataPlaneLink}/send_redirects`, '0'],
  ['net/ipv4/conf/all/accept_redirects', '0'],
  ['net/netfilter/nf_conntrack_tcp_timeout_time_wait', '30'],
  ['net/netfilter/nf_conntrack_tcp_be_liberal', '1'],
]

/** By process id: of a file, `ip -batch` keeps a descriptor, and with it the namespace of a container that is gone. */
function netnsWord({ path }: NetnsRef): string {
  return /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1] ?? path
}

/** What the data plane holds for one interface of a container: its veth, routes to it and its neighbour entries. */
export function endpointItems(endpoint: Endpoint, state: NetworkState): readonly DesiredItem[] {
  const { link, mac, netns } = endpoint
  const mtu = mtuOf(endpoint, state)
  const peer = `peer name ${deviceOf(endpoint)} address ${mac} mtu ${mtu} netns ${netnsWord(netns)}`
  return [
    linkItem(link, {
      mtu,
      mac: gatewayMac(endpoint, state),
      create: [`link add ${link} mtu ${mtu} type veth ${peer}`],
    }),
    ...addressesOf(endpoint).flatMap(([address]) => [
      routeItem(address, { dev: link }),
      neighbourItem(link, address, mac),
    ]),
  ]
}

/** Lines for `ip -batch` inside the container's namespace, after the interface's veth was made. */
export function containerLines(endpoint: Endpoint, state: NetworkState): readonly string[] {
  const device = deviceOf(endpoint)
  return [
    'link set lo up',
    `link set ${device} up`,
    ...addressesOf(endpoint).flatMap(([address, prefix]) => {
      const gateway = ofFamily(gatewaysOf(endpoint, state), familyOf(address))[0]
      const how = familyOf(address) === 6 ? 'noprefixroute nodad' : 'noprefixroute'
      return [
        `addr replace ${address}/${prefix} dev ${device} ${how}`,
        ...(gateway === undefined ? [] : wayOut(endpoint, { device, address, gateway, state })),
      ]
    }),
  ]
}

/** Kernel settings inside the container's namespace, after its interface was made: paths below /proc/sys. */
export function containerSysctls(endpoint: Endpoint): ReadonlyMap<string, string> {
  const device = deviceOf(endpoint)
  const { sysctls = [] } = endpoint
  return new Map(sysctls.map(([path, value]) => [path.replace('IFNAME', device), value]))
}

/** Lines for `ip -batch` inside the container before its interface is taken away: what would outlive it. */
export function leaveLines(endpoint: Endpoint): readonly string[] {
  if (endpoint.isSecondary === undefined) return []
  const table = tableOf(deviceOf(endpoint))
  return addressesOf(endpoint).map(
    ([address]) => `${ruleFamily(familyOf(address))}rule del from ${address} lookup ${table}`,
  )
}

/** What an interface takes over inside the container when another goes: the default route, the way to the resolver. */
export function inheritLines(endpoint: Endpoint, state: NetworkState): readonly string[] {
  return containerLines(endpoint, state).filter(
    (line) => line.startsWith('route replace ') && !/ table 1\d\d$/.test(line),
  )
}

interface Way {
  readonly device: string
  readonly address: string
  readonly gateway: string
  readonly state: NetworkState
}

/** Each interface leads to its own subnet, and holds the answers to what came in by it; the first also all else. */
function wayOut(endpoint: Endpoint, way: Way): readonly string[] {
  const { device, address, gateway, state } = way
  const by = `via ${gateway} dev ${device} onlink src ${address}`
  const all = familyOf(address) === 6 ? '::/0' : 'default'
  const { overlay } = endpoint
  const neighbour = `neigh replace ${gateway} lladdr ${gatewayMac(endpoint, state)} dev ${device} nud permanent`
  const table = tableOf(device)
  const subnets = ofFamily(overlay?.subnets ?? [], familyOf(address))
  const toSubnets = subnets.map((subnet) => `route replace ${subnet} ${by}`)
  const isOpen = overlay?.isInternal !== true
  // A network that leads nowhere else leads back to the data plane, from where containers are asked for their health.
  const isAsked = !isOpen && familyOf(address) === 4
  const toNode = isAsked ? [`route replace ${state.transit} ${by}`] : []
  const isOnlyOne = endpoint.isSecondary === undefined
  return [
    neighbour,
    ...toSubnets,
    ...toNode,
    ...(isOpen && endpoint.isSecondary !== true ? [`route replace ${all} ${by}`] : []),
    ...((endpoint.resolvesNames ?? endpoint.isSecondary !== true) && familyOf(address) === 4
      ? [`route replace ${resolverAddress} ${by} table local`]
      : []),
    ...(isOnlyOne
      ? []
      : [
          ...[...toSubnets, ...toNode].map((line) => `${line} table ${table}`),
          ...(isOpen ? [`route replace ${all} ${by} table ${table}`] : []),
          `${ruleFamily(familyOf(address))}rule add from ${address} lookup ${table}`,
        ]),
  ]
}

function tableOf(device: string): number {
  return 100 + Number(device.slice('eth'.length))
}

function deviceOf(endpoint: Endpoint): string {
  return endpoint.device ?? 'eth0'
}

function gatewaysOf(endpoint: Endpoint, state: NetworkState): readonly string[] {
  const gateways = endpoint.overlay?.gateways ?? [state.transit]
  return endpoint.nodeAddress6 === undefined ? gateways : [...gateways, dataPlaneAddress6]
}

function gatewayMac(endpoint: Endpoint, state: NetworkState): string {
  return endpoint.overlay?.gatewayMac ?? state.mac
}

function mtuOf({ networkId, overlay }: Endpoint, state: NetworkState): number {
  if (overlay !== undefined) return overlay.mtu
  return state.networks.find(({ id }) => id === networkId)?.mtu ?? linkMtu
}
