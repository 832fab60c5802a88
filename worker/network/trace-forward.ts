// A packet's way on from the data plane of this node, after its destination was settled: route, policy, and where it goes.
// Everything is read from the kernel; what the rules mean is in nft-tables.ts, and must be followed there.
import { TraceEnd, type TracePath } from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import { isListening, knowsSctp } from '../listening-ports.ts'
import { enterNamespace } from './data-plane.ts'
import { isAlive } from './host-view.ts'
import { objects, parseJson, textOf } from './json.ts'
import {
  addressesOf,
  dataPlaneAddress,
  dataPlaneAddress6,
  dataPlaneLink,
  doorSubnet,
  doorSubnet6,
  type Endpoint,
  hostLink,
} from './network-state.ts'
import { holds, isElement, isPair, isWithin } from './nft-lookup.ts'
import { familyOf, ofFamily } from './overlay-state.ts'
import { suffixed } from './pieces.ts'
import { noRoute, type RouteAnswer, routeGet } from './route-lookup.ts'
import {
  ended,
  hop,
  itemOf,
  mtuOfLink,
  named,
  networkAt,
  type Packet,
  smallest,
  type TraceContext,
} from './trace-context.ts'

type Route = Extract<RouteAnswer, { kind: 'route' }>

export async function forward(context: TraceContext, packet: Packet): Promise<TracePath> {
  const { destination, source, link } = packet
  const forwarded = { from: source, by: link }
  const namespace = 'dataPlane'
  const route = await routeGet(context.kernel, { namespace, destination, forwarded })
  if (route.kind === 'none') return unroutable(context, packet, route.why)
  // Nothing that the host led here goes back to it.
  const goesBack = link === dataPlaneLink && route.dev === dataPlaneLink
  if (route.isLocal || goesBack) return atNode(context, packet)
  const where = route.gateway === '' ? route.dev : `${route.dev} via ${route.gateway}`
  const policy = policyOf(context, packet, route.dev)
  const hops = [
    ...packet.hops,
    hop('data plane', `route to ${named(context, destination)}: ${where}${mtuText(route.mtu)}`),
  ]
  const mtu = smallest(packet.mtu, route.mtu, mtuOfLink(context, route.dev))
  if (policy.refusal !== undefined) {
    return ended({ ...packet, hops, mtu }, TraceEnd.REFUSED, policy.refusal)
  }
  const passed = [...hops, hop('data plane', policy.passes)]
  const next = { ...packet, hops: passed, mtu }
  if (route.dev === dataPlaneLink) return await outside(context, next)
  if (route.dev.startsWith('vx')) return await overVxlan(context, next, route)
  return await deliver(context, next, route.dev)
}

function mtuText(mtu: number): string {
  return mtu === 0 ? '' : ` (MTU ${mtu})`
}

function unroutable(context: TraceContext, packet: Packet, why: string): TracePath {
  const { source, destination, link } = packet
  if (why === noRoute) {
    const network = networkAt(context, destination)
    if (network?.isLocal === true) {
      const reason = `network ${network.name} is local to each node, and no task of this one has ${destination}`
      return ended(packet, TraceEnd.UNREACHABLE, reason)
    }
    const of = network === undefined ? '' : ` on network ${network.name}`
    return ended(packet, TraceEnd.UNREACHABLE, `no task has ${destination}${of}`)
  }
  if (/Invalid (argument|cross-device link)/.test(why)) {
    const reason = `${source} may not come by ${link}: another container has that address, or none`
    return ended(packet, TraceEnd.DROPPED, reason)
  }
  return ended(
    packet,
    TraceEnd.UNREACHABLE,
    `the data plane has no route to ${destination}: ${why}`,
  )
}

/** Virtual addresses without a backend, doors of ports without one, and the node's own. */
function atNode(context: TraceContext, packet: Packet): TracePath {
  const { destination } = packet
  const isVip = context.views.some(({ services }) =>
    services.some(({ vips }) => vips.includes(destination)),
  )
  const doors = familyOf(destination) === 4 ? doorSubnet : doorSubnet6
  if (isVip || holds(doors, destination)) {
    return ended(packet, TraceEnd.REFUSED, 'no serving task')
  }
  const reason = `${destination} is an address of the node itself, which answers echo requests only`
  return ended(packet, TraceEnd.REFUSED, reason)
}

interface Policy {
  readonly passes: string
  /** Undefined: it may pass. */
  readonly refusal?: string
}

/** The chain `forward` of the data plane, in its order. */
function policyOf(context: TraceContext, packet: Packet, out: string): Policy {
  const { source, destination, link, isPublished } = packet
  const table = context.observed.dataPlane.table
  const set = (name: string): string => suffixed(name, familyOf(destination))
  if (isPair(table, set('same_network'), [source, destination])) {
    const network = networkAt(context, destination)
    const what = network === undefined ? 'the local network' : `network ${network.name}`
    return { passes: `policy: both are on ${what}` }
  }
  if (link === dataPlaneLink && isPublished) return { passes: 'policy: the port is published' }
  if (link === dataPlaneLink && isWithin(table, 'host_reachable', destination)) {
    return { passes: 'policy: the host reaches containers of its local network' }
  }
  if (
    isElement(table, 'ingress_links', link) &&
    isWithin(table, set('ingress_subnets'), destination) &&
    !isWithin(table, set('ingress_subnets'), source)
  ) {
    return { passes: 'policy: it entered by a published port of another node' }
  }
  if (link !== dataPlaneLink && out === dataPlaneLink && isWithin(table, set('egress'), source)) {
    return { passes: 'policy: its network leads outside' }
  }
  return { passes: '', refusal: refusalOf(context, packet, out) }
}

function refusalOf(context: TraceContext, { source, destination }: Packet, out: string): string {
  const from = networkAt(context, source)
  const to = networkAt(context, destination)
  if (from !== undefined && to !== undefined && from.id !== to.id) {
    return `${from.name} and ${to.name} are different networks`
  }
  if (out === dataPlaneLink && from !== undefined) {
    return from.isInternal
      ? `network ${from.name} is internal: nothing leaves it`
      : `nft set egress of this node has no entry for network ${from.name}`
  }
  return `the rules of this node let ${source} reach nothing but its own network`
}

/** On the host it bears the data plane's address, and then the host's own. */
async function outside(context: TraceContext, packet: Packet): Promise<TracePath> {
  const { destination } = packet
  const route = await routeGet(context.kernel, { namespace: 'host', destination })
  const left = hop('data plane', 'leaves the networks of the cluster by up0, masqueraded')
  const source = familyOf(destination) === 4 ? dataPlaneAddress : dataPlaneAddress6
  const sent = { ...packet, source, hops: [...packet.hops, left] }
  if (route.kind === 'none') {
    const reason = `the host has no route to ${destination}: ${route.why}`
    return ended(sent, TraceEnd.UNREACHABLE, reason)
  }
  const via = route.gateway === '' ? route.dev : `${route.dev} via ${route.gateway}`
  const onward = route.isLocal
    ? `${destination} is the host's own`
    : `route to ${destination}: ${via}`
  const hops = [...sent.hops, hop('host', onward)]
  if (!route.isLocal && route.dev === hostLink) {
    const reason =
      'the host lets nothing back into the data plane but what a published port leads there'
    return ended({ ...sent, hops }, TraceEnd.DROPPED, reason)
  }
  return ended({ ...sent, hops, mtu: smallest(packet.mtu, route.mtu) }, TraceEnd.OUTSIDE, '')
}

async function overVxlan(
  context: TraceContext,
  packet: Packet,
  { dev, gateway }: Route,
): Promise<TracePath> {
  const lladdr = itemOf(context, 'neighbour', `${dev} ${gateway}`)?.fields.lladdr
  if (lladdr === undefined) {
    return ended(packet, TraceEnd.DROPPED, `neighbour ${gateway} on ${dev} is missing`)
  }
  const outer = itemOf(context, 'fdb', `${dev} ${lladdr}`)?.fields.dst
  if (outer === undefined) {
    const reason = `forwarding entry for ${lladdr} on ${dev} is missing`
    return ended(packet, TraceEnd.DROPPED, reason)
  }
  const path = context.paths.find(({ dataPathAddress }) => dataPathAddress === outer)
  if (path === undefined) {
    const reason = `the forwarding entry for ${lladdr} on ${dev} leads to ${outer}, which is no node`
    return ended(packet, TraceEnd.DROPPED, reason)
  }
  const underlay = await routeGet(context.kernel, { namespace: 'host', destination: outer })
  if (underlay.kind === 'none') {
    const reason = `the host has no route to ${outer}: ${underlay.why}`
    return ended(packet, TraceEnd.UNREACHABLE, reason)
  }
  const source = sourceOverVxlan(context, packet)
  const { identity } = itemOf(context, 'link', dev) ?? { identity: '' }
  const text = `${identity} to ${outer}, by ${underlay.dev} of the host`
  const sent = { ...packet, source, hops: [...packet.hops, hop('data plane', text)] }
  const vni = Number(/^vxlan (\d+) /.exec(identity)?.[1] ?? 0)
  return { ...ended(sent, TraceEnd.VXLAN, ''), nodeId: path.nodeId, vni, device: dev }
}

/** What comes from loopback or is to be masqueraded bears this node's transit address from here on. */
function sourceOverVxlan({ transit }: TraceContext, packet: Packet): string {
  const { source, isMasqueraded } = packet
  const doors = familyOf(source) === 4 ? doorSubnet : doorSubnet6
  if (!isMasqueraded && !holds(doors, source)) return source
  return ofFamily(transit, familyOf(source))[0] ?? source
}

async function deliver(context: TraceContext, packet: Packet, link: string): Promise<TracePath> {
  const endpoint = context.endpoints.find((one) => one.link === link)
  if (endpoint === undefined) {
    const reason = `the route of ${packet.destination} leads to ${link}, which is no container's`
    return ended(packet, TraceEnd.DROPPED, reason)
  }
  const device = endpoint.device ?? 'eth0'
  const at = { taskId: endpoint.containerId, device }
  const wrong = await wrongInside(context, endpoint, packet.destination)
  if (wrong !== undefined) return { ...ended(packet, TraceEnd.DROPPED, wrong), ...at }
  const hops = [...packet.hops, hop('container', `arrives by ${device}`)]
  const arrived = { ...packet, hops }
  const deaf = await unheard(context, endpoint, packet.port)
  if (deaf !== undefined) return { ...ended(arrived, TraceEnd.REFUSED, deaf), ...at }
  return { ...ended(arrived, TraceEnd.DELIVERED, ''), ...at }
}

/** Why the container does not take a packet for that address; undefined: it does. */
async function wrongInside(
  context: TraceContext,
  { netns, link, mac, ...endpoint }: Endpoint,
  destination: string,
): Promise<string | undefined> {
  if (!isAlive(netns)) return 'its container has ended'
  if (!addressesOf({ ...endpoint, netns, link, mac }).some(([own]) => own === destination)) {
    return `the route of ${destination} leads to a container that has another address`
  }
  const neighbour = itemOf(context, 'neighbour', `${link} ${destination}`)?.fields.lladdr
  if (neighbour === undefined) return `neighbour ${destination} on ${link} is missing`
  const argv = [...enterNamespace(netns.path), 'ip', '-j', 'addr', 'show']
  const { code, stdout, stderr } = await context.kernel.run('host', argv)
  if (code !== 0) return `its container cannot be looked into: ${stderr.trim()}`
  const device = objects(parseJson(stdout)).find((one) =>
    objects(one.addr_info).some((info) => textOf(info.local) === destination),
  )
  if (device === undefined) return `the container has lost its address ${destination}`
  if (textOf(device.address) === neighbour) return undefined
  return `the data plane sends to ${neighbour}, but the container is ${textOf(device.address)}`
}

/** Why nobody in the container takes what comes to that port; undefined: somebody does. */
export async function unheard(
  { protocol }: TraceContext,
  { netns }: Endpoint,
  port: number,
): Promise<string | undefined> {
  const pid = /^\/proc\/(\d+)\//.exec(netns.path)?.[1]
  if (port === 0 || pid === undefined) return undefined
  if (protocol === 'sctp' && !(await knowsSctp(Number(pid)))) {
    return 'nobody can wait on a port of SCTP there: the kernel of this node has none, or has not loaded it'
  }
  if (await isListening(Number(pid), [{ protocol, targetPort: port }])) return undefined
  return `no process of the container waits on ${protocol} port ${port}`
}
