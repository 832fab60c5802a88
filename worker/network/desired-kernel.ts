// From a NetworkState to what the kernel must hold in the host's namespace and in the data plane. Pure.
import type { DesiredItem, DesiredKernel, DesiredNamespace } from './kernel-state.ts'
import {
  dataPlaneAddress,
  dataPlaneLink,
  doorSubnet,
  type Endpoint,
  hostAddress,
  hostLink,
  type LocalNetwork,
  linkMtu,
  linkPrefix,
  type NetworkState,
} from './network-state.ts'
import { dataPlaneTable, hostTable } from './nft-tables.ts'

/** `dataPlaneFile`: the file the data plane's namespace is bound to. */
export function desiredKernel(state: NetworkState, dataPlaneFile: string): DesiredKernel {
  return { host: desiredHost(state, dataPlaneFile), dataPlane: desiredDataPlane(state) }
}

function desiredHost(state: NetworkState, dataPlaneFile: string): DesiredNamespace {
  const make = `link add ${hostLink} type veth peer name ${dataPlaneLink} netns ${dataPlaneFile}`
  const byLink = { via: dataPlaneAddress, dev: hostLink }
  return {
    items: [
      linkItem(hostLink, { mtu: linkMtu, create: [make], alias: 'tsswarm' }),
      addressItem(hostLink, `${hostAddress}/${linkPrefix}`),
      routeItem(doorSubnet, byLink),
      ...state.networks.map(({ subnet }) => routeItem(subnet, { ...byLink, src: hostAddress })),
    ],
    sysctls: new Map([
      [`net/ipv4/conf/${hostLink}/route_localnet`, '1'],
      ['net/ipv4/ip_forward', '1'],
    ]),
    table: hostTable(state),
  }
}

function desiredDataPlane(state: NetworkState): DesiredNamespace {
  return {
    items: [
      linkItem('lo', {}),
      linkItem(dataPlaneLink, { mtu: linkMtu }),
      addressItem('lo', `${state.transit}/32`),
      addressItem(dataPlaneLink, `${dataPlaneAddress}/${linkPrefix}`),
      routeItem('default', { via: hostAddress, dev: dataPlaneLink }),
      // Without it a packet to a container that is gone would leave by up0, and a host of the LAN might answer.
      ...state.networks.map(({ subnet }) => routeItem(subnet, { type: 'unreachable' })),
      ...state.endpoints.flatMap((endpoint) => endpointItems(endpoint, state)),
    ],
    sysctls: new Map([
      ...dataPlaneSysctls,
      ...state.endpoints.map(({ link }) => [`net/ipv4/conf/${link}/rp_filter`, '1'] as const),
    ]),
    table: dataPlaneTable(state),
  }
}

// rp_filter: of `all` and the device the greater counts. Strict on every veth, so that a container cannot send in the
// name of another; devices that must not filter (VXLAN) set their own 0.
const dataPlaneSysctls: readonly (readonly [string, string])[] = [
  ['net/ipv4/ip_forward', '1'],
  ['net/ipv4/conf/all/rp_filter', '0'],
  ['net/ipv4/conf/default/rp_filter', '1'],
  [`net/ipv4/conf/${dataPlaneLink}/rp_filter`, '1'],
  ['net/ipv4/conf/all/send_redirects', '0'],
  ['net/ipv4/conf/default/send_redirects', '0'],
  [`net/ipv4/conf/${dataPlaneLink}/send_redirects`, '0'],
  ['net/ipv4/conf/all/accept_redirects', '0'],
  ['net/netfilter/nf_conntrack_tcp_timeout_time_wait', '30'],
  ['net/netfilter/nf_conntrack_tcp_be_liberal', '1'],
]

/** What the data plane holds for one interface of a container: its veth, a route to it and its neighbour entry. */
export function endpointItems(endpoint: Endpoint, state: NetworkState): readonly DesiredItem[] {
  const { address, link, mac, netns } = endpoint
  const mtu = networkOf(endpoint, state)?.mtu ?? linkMtu
  const peer = `peer name eth0 address ${mac} mtu ${mtu} netns ${netns.path}`
  return [
    linkItem(link, {
      mtu,
      mac: state.mac,
      create: [`link add ${link} mtu ${mtu} type veth ${peer}`],
    }),
    routeItem(address, { dev: link }),
    {
      kind: 'neighbour',
      key: `${link} ${address}`,
      fields: { lladdr: mac },
      identity: '',
      create: [],
      put: [`neigh replace ${address} lladdr ${mac} dev ${link} nud permanent`],
    },
  ]
}

/** Lines for `ip -batch` inside the container's namespace, after its veth was made. */
export function containerLines(endpoint: Endpoint, state: NetworkState): readonly string[] {
  const { address, prefix } = endpoint
  return [
    'link set lo up',
    'link set eth0 up',
    `addr replace ${address}/${prefix} dev eth0 noprefixroute`,
    `neigh replace ${state.transit} lladdr ${state.mac} dev eth0 nud permanent`,
    `route replace default via ${state.transit} dev eth0 onlink src ${address}`,
  ]
}

function networkOf(endpoint: Endpoint, state: NetworkState): LocalNetwork | undefined {
  return state.networks.find((network) => network.id === endpoint.networkId)
}

interface LinkOptions {
  readonly mtu?: number
  readonly mac?: string
  readonly alias?: string
  readonly create?: readonly string[]
}

function linkItem(name: string, options: LinkOptions): DesiredItem {
  const fields = {
    ...(options.alias === undefined ? {} : { alias: options.alias }),
    ...(options.mtu === undefined ? {} : { mtu: `${options.mtu}` }),
    ...(options.mac === undefined ? {} : { address: options.mac }),
  }
  return {
    kind: 'link',
    key: name,
    fields: { ...fields, state: 'up' },
    identity: name === 'lo' ? 'loopback' : 'veth',
    create: options.create ?? [],
    put: [['link set', name, ...words(fields), 'up'].join(' ')],
  }
}

function addressItem(link: string, address: string): DesiredItem {
  return {
    kind: 'address',
    key: `${link} ${address}`,
    fields: {},
    identity: '',
    create: [],
    put: [`addr add ${address} dev ${link}`],
  }
}

interface RouteOptions {
  readonly type?: 'unreachable'
  readonly via?: string
  readonly dev?: string
  readonly src?: string
}

/** `destination`: `default`, a subnet, or a single address without prefix length. */
function routeItem(destination: string, options: RouteOptions): DesiredItem {
  const { type, ...how } = options
  const target = type === undefined ? destination : `${type} ${destination}`
  return {
    kind: 'route',
    key: destination,
    fields: { type: 'unicast', via: '', dev: '', src: '', ...options },
    identity: '',
    create: [],
    put: [['route replace', target, ...words(how)].join(' ')],
  }
}

function words(options: object): string[] {
  return Object.entries(options).map(([name, value]) => `${name} ${value}`)
}
