// Follows a packet's way through the kernel of this node: from a container, from the host, in from outside or in by VXLAN. Asks
// and reads; sends nothing and changes nothing. Where it goes after its destination is settled: trace-forward.ts.
import { SwarmError } from '../../proto/errors.ts'
import {
  TraceEnd,
  type TraceHop,
  type TraceLeg,
  type TraceLegRequest,
  type TracePath,
  type VxlanArrival,
} from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import { bindsMeet } from '../../proto/objects/bind-address.ts'
import { commonDoor, loopback6 } from './doors.ts'
import { readListening } from './host-view.ts'
import type { ListeningSocket } from './listening-sockets.ts'
import { compareOnce, type MendDeps } from './mend.ts'
import {
  dataPlaneAddress,
  dataPlaneAddress6,
  dataPlaneLink,
  doorSubnet,
  doorSubnet6,
  hostAddress,
  hostAddress6,
  strangerAddress,
  strangerAddress6,
} from './network-state.ts'
import {
  type Balanced,
  holds,
  isElement,
  isWithin,
  mapped,
  readChain,
  type Target,
} from './nft-lookup.ts'
import { familyOf } from './overlay-state.ts'
import { suffixed } from './pieces.ts'
import { routeGet } from './route-lookup.ts'
import {
  ended,
  hop,
  itemOf,
  mtuOfLink,
  named,
  type Packet,
  type TraceContext,
} from './trace-context.ts'
import { forward, unheard } from './trace-forward.ts'

/** Errors: NOT_FOUND (no such container here), INVALID_ARGUMENT; UNAVAILABLE when the kernel does not answer. */
export async function traceLeg(deps: MendDeps, request: TraceLegRequest): Promise<TraceLeg> {
  const { observed, state } = await compareOnce(deps)
  const { protocol } = request
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') {
    const message = `protocol "${protocol}" is neither tcp, udp nor sctp`
    throw new SwarmError('INVALID_ARGUMENT', message)
  }
  const context: TraceContext = {
    kernel: deps.kernel,
    observed,
    endpoints: state.endpoints,
    views: deps.overlay.state?.views ?? [],
    paths: deps.overlay.state?.paths ?? [],
    transit: state.overlay?.transit ?? [],
    protocol,
    loopback: deps.overlay.loopbackPorts(state.endpoints.flatMap(({ ports }) => ports)),
  }
  return await walk(context, request)
}

export async function walk(context: TraceContext, request: TraceLegRequest): Promise<TraceLeg> {
  const { from } = request
  const packet: Packet = {
    source: request.source,
    destination: request.destination,
    port: request.port,
    link: '',
    isPublished: false,
    isMasqueraded: false,
    hops: [],
    mtu: 0,
  }
  switch (from?.$case) {
    case 'taskId':
      return await fromContainer(context, packet, from.value)
    case 'host':
      return await atHost(context, packet, true)
    case 'outside':
      return await atHost(context, packet, false)
    case 'arrival':
      return single(await fromVxlan(context, packet, from.value))
    case undefined:
      throw new SwarmError('INVALID_ARGUMENT', 'a trace begins somewhere: name the sender')
  }
}

function single(path: TracePath): TraceLeg {
  return { hops: [], paths: [path], balancedBy: '' }
}

async function fromContainer(
  context: TraceContext,
  packet: Packet,
  taskId: string,
): Promise<TraceLeg> {
  const endpoints = context.endpoints.filter(({ containerId }) => containerId === taskId)
  const [first] = endpoints
  if (first === undefined) {
    throw new SwarmError('NOT_FOUND', `this node has no container of task ${taskId} on a network`)
  }
  const { destination } = packet
  const question = { namespace: 'host', netns: first.netns.path, destination } as const
  const route = await routeGet(context.kernel, question)
  if (route.kind === 'none') {
    const reason = `the container has no route to ${destination}: ${route.why}`
    return single(ended(packet, TraceEnd.UNREACHABLE, reason))
  }
  const source = packet.source || route.source
  if (route.isLocal) {
    const deaf = await unheard(context, first, packet.port)
    const end = deaf === undefined ? TraceEnd.DELIVERED : TraceEnd.REFUSED
    const reason = deaf ?? 'it is its own address'
    return single({ ...ended(packet, end, reason), taskId, device: route.dev })
  }
  const endpoint = endpoints.find(({ device = 'eth0' }) => device === route.dev)
  if (endpoint === undefined) {
    const reason = `the container sends it by ${route.dev}, which is none of ours`
    return single(ended(packet, TraceEnd.DROPPED, reason))
  }
  const mtu = mtuOfLink(context, endpoint.link)
  const left = hop('container', `leaves by ${route.dev} from ${source}, MTU ${mtu}`)
  return await fromLink(context, { ...packet, source, mtu, link: endpoint.link, hops: [left] })
}

/** By a container's link, or by VXLAN: virtual addresses are looked up. */
async function fromLink(context: TraceContext, packet: Packet): Promise<TraceLeg> {
  const { destination } = packet
  const { table } = context.observed.dataPlane
  const map = suffixed('vips', familyOf(destination))
  const verdict = mapped(table, map, destination)
  if (verdict === undefined) return single(await forward(context, packet))
  return await balance(context, packet, { by: destination, where: `nft map ${map}`, verdict })
}

interface Balancing {
  /** The virtual address, or the published port. */
  readonly by: string
  readonly where: string
  /** `jump CHAIN` */
  readonly verdict: string
}

async function balance(
  context: TraceContext,
  packet: Packet,
  { by, where, verdict }: Balancing,
): Promise<TraceLeg> {
  const { table } = context.observed.dataPlane
  const chain = verdict.replace('jump ', '')
  const balanced = readChain(table?.serviceChains.get(chain) ?? [])
  const targets = balanced.targets.map((target) => targetText(context, target))
  const leads = targets.length === 0 ? 'to nobody' : `to ${targets.join(', ')}`
  const what = packet.isPublished ? `port ${packet.port}/${context.protocol}` : named(context, by)
  const text = `${where}: ${what} leads ${leads}`
  const hops: readonly TraceHop[] = [...packet.hops, hop('data plane', text)]
  const refusal = refusedByChain(packet, balanced)
  const alone: Packet = { ...packet, hops: [] }
  const leg = { hops: [...hops], balancedBy: by }
  if (refusal !== undefined) return { ...leg, paths: [ended(alone, TraceEnd.DROPPED, refusal)] }
  // Without a backend the chain does nothing, and the address is the node's own, which refuses.
  if (targets.length === 0) return { ...leg, paths: [await forward(context, alone)] }
  const paths = balanced.targets.map(({ address, port }) =>
    forward(context, {
      ...alone,
      destination: address,
      port: port ?? packet.port,
      isMasqueraded: balanced.isMasqueraded,
    }),
  )
  return { ...leg, paths: await Promise.all(paths) }
}

function targetText(context: TraceContext, { address, port }: Target): string {
  return `${named(context, address)}${port === undefined ? '' : ` port ${port}`}`
}

function refusedByChain(
  { source }: Packet,
  { sources, foreign }: Pick<Balanced, 'sources' | 'foreign'>,
): string | undefined {
  if (foreign !== undefined) return `its nft chain has a rule that is not ours: ${foreign}`
  if (sources === undefined || sources.some((subnet) => holds(subnet, source))) return undefined
  return `the port is open to ${sources.join(', ') || 'nobody'} only, and the client is ${source}`
}

/** At the host's own addresses: published ports, or its programs. */
async function atHost(context: TraceContext, packet: Packet, isOwn: boolean): Promise<TraceLeg> {
  const { destination, port } = packet
  const route = await routeGet(context.kernel, { namespace: 'host', destination })
  if (route.kind === 'none') {
    const reason = `the host has no route to ${destination}: ${route.why}`
    return single(ended(packet, TraceEnd.UNREACHABLE, reason))
  }
  const source = packet.source || route.source
  if (!route.isLocal) {
    const by = `${route.dev}${route.gateway === '' ? '' : ` via ${route.gateway}`}`
    const hops = [hop('host', `route to ${destination}: ${by}`)]
    return single(ended({ ...packet, source, hops, mtu: route.mtu }, TraceEnd.OUTSIDE, ''))
  }
  const handed = context.loopback.find(
    (one) => one.protocol === context.protocol && one.port === port,
  )
  if (destination === loopback6 && handed !== undefined) {
    return await fromDaemon(context, packet, handed.to)
  }
  const door = destination === loopback6 ? undefined : doorOf(context, packet)
  if (door === undefined) return single(await atProgram(context, { ...packet, source }))
  const text = `port ${port}/${context.protocol} is published (nft set ${door.set}): on by dp0`
  return await fromDoor(context, door.address, {
    ...packet,
    source: seenAs(context, source, isOwn),
    link: dataPlaneLink,
    isPublished: true,
    hops: [hop('host', text)],
  })
}

/** The client as the data plane sees it, by the host's chain `postrouting`. */
function seenAs({ observed }: TraceContext, source: string, isOwn: boolean): string {
  const isIpv4 = familyOf(source) === 4
  // So it is, too, for what comes out of the data plane to be led back into it.
  const isInner = source === dataPlaneAddress || source === dataPlaneAddress6
  const isLoopback = isOwn && (holds('127.0.0.0/8', source) || source === '::1')
  if (isInner || isLoopback) return isIpv4 ? hostAddress : hostAddress6
  if (!isWithin(observed.host.table, suffixed('overlay', familyOf(source)), source)) return source
  return isIpv4 ? strangerAddress : strangerAddress6
}

/** What comes to ::1: it is sent again by the daemon, to loopback over IPv4 or right to a door. */
async function fromDaemon(context: TraceContext, packet: Packet, to: string): Promise<TraceLeg> {
  const hops = [hop('host', `the daemon waits on ${packet.destination} and hands on to ${to}`)]
  if (!holds(doorSubnet, to) && !holds(doorSubnet6, to)) {
    const leg = await atHost(context, { ...packet, source: '', destination: to }, true)
    return withHops(leg, hops)
  }
  const source = familyOf(to) === 4 ? hostAddress : hostAddress6
  const sent = { ...packet, source, link: dataPlaneLink, isPublished: true, hops }
  return await fromDoor(context, to, sent)
}

/** These come before its own, of which the first are those of all paths, or of the only one. */
function withHops(leg: TraceLeg, hops: readonly TraceHop[]): TraceLeg {
  if (leg.balancedBy !== '') return { ...leg, hops: [...hops, ...leg.hops] }
  return { ...leg, paths: leg.paths.map((path) => ({ ...path, hops: [...hops, ...path.hops] })) }
}

/** Where the host's table leads a published port in the data plane; undefined: it is not published. */
function doorOf(
  { observed, protocol }: TraceContext,
  { destination, port }: Packet,
): { readonly address: string; readonly set: string } | undefined {
  const { table } = observed.host
  const family = familyOf(destination)
  const at = family === 4 ? 'published_at' : 'published_at6'
  const bound = mapped(table, at, `${destination} . ${protocol} . ${port}`)
  if (bound !== undefined) return { address: bound, set: at }
  for (const [name, isFirewallFirst] of [
    ['published', false],
    ['firewalled', true],
  ] as const) {
    const set = suffixed(name, family)
    if (isElement(table, set, `${protocol} . ${port}`)) {
      return { address: commonDoor(family, isFirewallFirst), set }
    }
  }
  return undefined
}

async function atProgram(context: TraceContext, packet: Packet): Promise<TracePath> {
  const { protocol } = context
  const { destination, port } = packet
  if (port === 0) return ended(packet, TraceEnd.HOST, 'the host itself')
  const waiting = await readListening(context.kernel)
  const isMeant = (one: ListeningSocket): boolean =>
    one.protocol === protocol && one.port === port && bindsMeet(destination, one.address ?? '')
  if (waiting.some(isMeant)) {
    return ended(packet, TraceEnd.HOST, `a program of the host waits on ${protocol} port ${port}`)
  }
  const reason = `port ${port}/${protocol} is not published at ${destination}, and no program of the host waits on it there`
  return ended(packet, TraceEnd.REFUSED, reason)
}

async function fromDoor(context: TraceContext, door: string, packet: Packet): Promise<TraceLeg> {
  const { table } = context.observed.dataPlane
  const key = `${door} . ${context.protocol} . ${packet.port}`
  const hostPorts = suffixed('host_ports', familyOf(door))
  const own = mapped(table, hostPorts, key)
  if (own !== undefined) {
    const [address = '', port = '0'] = own.split(' . ')
    const text = `nft map ${hostPorts}: leads to ${named(context, address)} port ${port}`
    const hops = [...packet.hops, hop('data plane', text)]
    const refusal = refusedByGuard(context, packet, { door, key })
    if (refusal !== undefined) return single(ended({ ...packet, hops }, TraceEnd.DROPPED, refusal))
    const to = { ...packet, hops, destination: address, port: Number(port) }
    return single(await forward(context, to))
  }
  const map = suffixed('ingress_ports', familyOf(door))
  const verdict = mapped(table, map, key)
  if (verdict === undefined) {
    const reason = `nft map ${map} of the data plane has no entry for ${key}`
    return single(ended(packet, TraceEnd.REFUSED, reason))
  }
  const by = `${context.protocol}/${packet.port}`
  const at = { ...packet, destination: door }
  return await balance(context, at, { by, where: `nft map ${map}`, verdict })
}

/** A port in host mode that is open to some only. */
function refusedByGuard(
  { observed }: TraceContext,
  packet: Packet,
  { door, key }: { readonly door: string; readonly key: string },
): string | undefined {
  const { table } = observed.dataPlane
  const family = familyOf(door)
  if (!isElement(table, suffixed('guarded', family), key)) return undefined
  const beginning = `${key} . `
  const known = table?.elements.get(suffixed('host_sources', family)) ?? []
  const sources = known
    .filter((one) => one.startsWith(beginning))
    .map((one) => one.slice(beginning.length))
  return refusedByChain(packet, { sources, foreign: undefined })
}

async function fromVxlan(
  context: TraceContext,
  packet: Packet,
  { vni, outerSource }: VxlanArrival,
): Promise<TracePath> {
  const set = suffixed('vteps', familyOf(outerSource))
  if (!isElement(context.observed.host.table, set, outerSource)) {
    const reason = `VXLAN from ${outerSource} is dropped: nft set ${set} does not know it as a node`
    return ended(packet, TraceEnd.DROPPED, reason)
  }
  const link = `vx${vni.toString(16)}`
  const device = itemOf(context, 'link', link)
  if (device?.fields.state !== 'up') {
    const reason = `device ${link} is ${device === undefined ? 'missing' : 'down'} there`
    return ended(packet, TraceEnd.DROPPED, reason)
  }
  const hops = [hop('data plane', `arrives by ${link} from ${outerSource}`)]
  return await forward(context, { ...packet, link, hops, mtu: mtuOfLink(context, link) })
}
