// Puts one container on its networks and takes it off again: record first, then the kernel, the way in last. Overlay
// networks are there already when this is called (see node-network.ts).
import { SwarmError } from '../../proto/errors.ts'
import { invariant } from '../../proto/lib/assert.ts'
import type { Random } from '../../proto/lib/random.ts'
import { formatIp, parseIp } from '../../proto/spec/ip.ts'
import type {
  AttachRequest,
  HostPort,
  NetworkAttachment,
  RestoredAttachment,
} from '../executor/network-attacher.ts'
import { reachFaultPoint } from '../fault-points.ts'
import { takeAddress } from './address-pool.ts'
import { containerLines, containerSysctls, endpointItems } from './desired-kernel.ts'
import { isFirewallDoor } from './doors.ts'
import { type HostView, planHostPorts } from './host-ports.ts'
import { findNetns, isAlive, readHostAddresses, readListening, readResolver } from './host-view.ts'
import { type InterfacePlan, planInterfaces } from './interface-plan.ts'
import { formatIpv4, randomMac, requireSubnet } from './ipv4.ts'
import type { Journal } from './journal.ts'
import type { Kernel } from './kernel.ts'
import type { LineError } from './line-writer.ts'
import { type NetworkRecord, stateOf } from './network-record.ts'
import {
  addressesOf,
  defaultVxlanPort,
  type Endpoint,
  localNetworkId,
  type NetnsRef,
  type NetworkState,
  nodeSubnet6,
  type PublishedPort,
  resolverAddress,
} from './network-state.ts'
import type { OverlayKeeper } from './overlay-keeper.ts'
import { familyOf } from './overlay-state.ts'
import { dataPlaneElements, doorsOf, hostPlaces } from './port-elements.ts'
import { elementsCommand } from './service-chains.ts'

export interface AttachmentDeps {
  readonly kernel: Kernel
  readonly journal: Journal
  readonly random: Random
  readonly overlay: OverlayKeeper
}

/** Errors: as NetworkAttacher.attach; nothing is left then. */
export async function attachContainer(
  deps: AttachmentDeps,
  request: AttachRequest,
  signal: AbortSignal,
): Promise<NetworkAttachment> {
  const plans = planInterfaces(request, deps.overlay)
  const netns = requireNetns(request)
  await detachContainer(deps, request.containerId)
  const view = { ...(await readHost(deps, request.ports)), isDual: isDual(plans) }
  // From here to the journal there is no await: two attachments never get the same address or port.
  const endpoints = reserve(deps, request, { netns, plans, view })
  try {
    reachFaultPoint('attach.reserved')
    for (const endpoint of endpoints) await connectEndpoint(deps, endpoint)
    reachFaultPoint('attach.interface')
    for (const endpoint of endpoints) await publish(deps.kernel, endpoint)
    reachFaultPoint('attach.ports')
    signal.throwIfAborted()
  } catch (err) {
    throw await undo(deps, request, signal.aborted ? cancelled(request, err) : err)
  }
  return await describeAttachment(endpoints)
}

function cancelled(request: AttachRequest, cause: unknown): SwarmError {
  return new SwarmError('CANCELLED', `attaching container ${request.name} was cancelled`, { cause })
}

/** Takes back a failed attachment and answers with what to throw. */
async function undo(
  deps: AttachmentDeps,
  request: AttachRequest,
  failure: unknown,
): Promise<unknown> {
  try {
    await detachContainer(deps, request.containerId)
    return failure
  } catch (err) {
    return new AggregateError([failure, err], `attaching container ${request.name} failed twice`)
  }
}

export function requireNetns(request: Pick<AttachRequest, 'name' | 'pid'>): NetnsRef {
  const netns = findNetns(request.pid)
  if (netns !== undefined) return netns
  const message = `container ${request.name} cannot be attached: its process ${request.pid} has ended`
  throw new SwarmError('UNAVAILABLE', message)
}

async function readHost(
  deps: AttachmentDeps,
  ports: readonly HostPort[],
): Promise<Pick<HostView, 'listening' | 'addresses' | 'hasIpv6'>> {
  const nothing = { addresses: [], hasIpv6: false }
  if (ports.length === 0) return { listening: [], ...nothing }
  const isBound = ports.some((port) => (port.bindAddress ?? '') !== '')
  const [listening, host] = await Promise.all([
    readListening(deps.kernel),
    isBound ? readHostAddresses(deps.kernel) : nothing,
  ])
  return { listening, ...host }
}

/** Whether the interface that ports lead to has an address of both families. */
function isDual(plans: readonly InterfacePlan[]): boolean {
  return plans.some((plan) => plan.isSecondary !== true && plan.overlay?.how.address6 !== undefined)
}

interface Found {
  readonly netns: NetnsRef
  readonly plans: readonly InterfacePlan[]
  readonly view: Omit<HostView, 'published' | 'meshed'>
}

function reserve(deps: AttachmentDeps, request: AttachRequest, found: Found): readonly Endpoint[] {
  const record = requireRecord(deps.journal)
  const view = { ...found.view, ...portsOfNode(deps) }
  const ports = planHostPorts(request.ports, view, deps.random)
  const endpoints = found.plans.map(
    (plan): Endpoint =>
      withPorts(plan.isSecondary === true ? [] : ports, {
        containerId: request.containerId,
        networkId: plan.networkId,
        address: plan.overlay?.address ?? nextAddress(record, request.name),
        prefix: plan.overlay?.prefix ?? requireSubnet(record.subnet, 'local subnet').prefix,
        mac: randomMac(deps.random),
        link: linkName(deps.random),
        netns: found.netns,
        ...optionalParts(plan),
      }),
  )
  for (const endpoint of endpoints) deps.journal.append({ kind: 'attached', endpoint })
  return endpoints
}

/** The interface with these ports. Where its network has no IPv6, those on IPv6 addresses lead to an address of this node alone. */
function withPorts(ports: readonly PublishedPort[], endpoint: Omit<Endpoint, 'ports'>): Endpoint {
  const isMissing = endpoint.overlay?.address6 === undefined
  const needsIpv6 = isMissing && ports.some(({ door }) => familyOf(door) === 6)
  return {
    ...endpoint,
    ports,
    ...(needsIpv6 && { nodeAddress6: nodeAddress6Of(endpoint.address) }),
  }
}

/** As its IPv4 address, which no other container of the node has, whatever their networks. */
function nodeAddress6Of(address: string): string {
  const base = parseIp(nodeSubnet6.split('/')[0] ?? '')
  const own = parseIp(address)
  invariant(base !== undefined && own !== undefined, 'an endpoint has an IPv4 address', { address })
  return formatIp({ bits: 128, value: base.value | own.value })
}

/** Of an interface that is made while its container runs. Errors: INVALID_ARGUMENT: it is of no overlay network. */
export function newOverlayEndpoint(
  { random }: Pick<AttachmentDeps, 'random'>,
  {
    containerId,
    netns,
    plan,
  }: {
    readonly containerId: string
    readonly netns: NetnsRef
    readonly plan: InterfacePlan
  },
): Endpoint {
  const { networkId, overlay } = plan
  if (overlay === undefined) {
    const message = `container ${containerId} cannot be connected to network "${networkId}": it is local to the node`
    throw new SwarmError('INVALID_ARGUMENT', message)
  }
  const { address, prefix } = overlay
  const device = { mac: randomMac(random), link: linkName(random), netns }
  return { containerId, networkId, address, prefix, ...device, ports: [], ...optionalParts(plan) }
}

function optionalParts(
  plan: InterfacePlan,
): Pick<Endpoint, 'overlay' | 'device' | 'isSecondary' | 'resolvesNames' | 'sysctls'> {
  return {
    ...(plan.overlay === undefined ? {} : { overlay: plan.overlay.how }),
    ...(plan.device === 'eth0' ? {} : { device: plan.device }),
    ...(plan.isSecondary === undefined ? {} : { isSecondary: plan.isSecondary }),
    ...(plan.resolvesNames === undefined ? {} : { resolvesNames: plan.resolvesNames }),
    ...(plan.sysctls.length === 0 ? {} : { sysctls: plan.sysctls }),
  }
}

/** Ports of this host that are taken: by its containers in host mode, and by the routing mesh. */
function portsOfNode({ journal, overlay }: AttachmentDeps): Pick<HostView, 'published' | 'meshed'> {
  const published = requireRecord(journal).endpoints.flatMap((endpoint) => endpoint.ports)
  return { published, meshed: overlay.ingressPorts() }
}

function nextAddress(record: NetworkRecord, container: string): string {
  const taken = takeAddress(record.pool)
  if (taken.kind === 'taken') return formatIpv4(taken.address)
  throw new SwarmError(
    'RESOURCE_EXHAUSTED',
    `container ${container} gets no address: all of the local subnet ${record.subnet} are in use. ` +
      'Configure a larger local subnet, or remove containers of this node',
  )
}

/** Random, so that the device of a container that is just going never has the name of the next one. */
function linkName(random: Random): string {
  return `v${Buffer.from(random.bytes(6)).toString('hex')}`
}

/** What an interface needs of the cluster is in its endpoint. */
const localOnly = { overlay: undefined, vxlanPort: defaultVxlanPort }

/** Makes the interface, both ends. Errors: UNAVAILABLE. */
export async function connectEndpoint(deps: AttachmentDeps, endpoint: Endpoint): Promise<void> {
  const state = stateOf(requireRecord(deps.journal), [], localOnly)
  const lines = endpointItems(endpoint, state).flatMap((item) => [...item.create, ...item.put])
  requireWritten(endpoint, await deps.kernel.ip('dataPlane', lines))
  const failure = await furnish(deps.kernel, endpoint, state)
  if (failure !== undefined) throw attachError(endpoint, failure)
}

/** Makes what belongs to the interface inside its container; answers with what failed. */
export async function furnish(
  kernel: Kernel,
  endpoint: Endpoint,
  state: NetworkState,
): Promise<string | undefined> {
  const { netns } = endpoint
  const failure = await kernel.ipIn(netns.path, containerLines(endpoint, state))
  return failure ?? (await kernel.sysctlsIn(netns.path, containerSysctls(endpoint)))
}

/** First the way from the data plane to the container, then the one from the host: no packet meets half of it. */
async function publish(kernel: Kernel, endpoint: Endpoint): Promise<void> {
  if (endpoint.ports.length === 0) return
  const inner = endpoint.ports.flatMap((port) => dataPlaneElements(port, endpoint))
  const outer = endpoint.ports.flatMap(hostPlaces)
  // Who may come in, and where to, in one transaction.
  requireWritten(endpoint, await kernel.nft('dataPlane', bySet(inner)))
  if (outer.length > 0) requireWritten(endpoint, await kernel.nft('host', bySet(outer)))
  for (const port of endpoint.ports) if (port.protocol === 'udp') await forgetFlows(kernel, port)
}

/** A client that sent before the port was open would be held to its first answer, that nobody is there. */
async function forgetFlows(kernel: Kernel, port: PublishedPort): Promise<void> {
  for (const family of doorsOf(port).map(familyOf)) {
    const flows = ['-f', `ipv${family}`, '-p', 'udp', '--orig-port-dst', `${port.publishedPort}`]
    await kernel.run('dataPlane', ['conntrack', '-D', ...flows])
    await kernel.run('host', ['conntrack', '-D', ...flows])
  }
}

function bySet(places: readonly Place[]): readonly string[] {
  const sets = [...new Set(places.map(({ set }) => set))]
  return sets.map((name) => {
    const own = places.filter(({ set }) => set === name)
    return elementsCommand(
      'add',
      name,
      own.map(({ element }) => element),
    )
  })
}

function deletion({ set, element }: Place): string {
  return elementsCommand('delete', set, [element])
}

function requireWritten(endpoint: Endpoint, errors: readonly LineError[]): void {
  if (errors.length === 0) return
  throw attachError(endpoint, errors.map(({ line, text }) => `${line}: ${text}`).join('; '))
}

function attachError(endpoint: Endpoint, why: string): SwarmError {
  const { containerId, networkId } = endpoint
  const network = networkId === localNetworkId ? 'the local network' : `network ${networkId}`
  const message = `cannot attach container ${containerId} to ${network}: ${why}`
  return new SwarmError('UNAVAILABLE', message)
}

/** What all interfaces of one container come to. */
export async function describeAttachment(
  endpoints: readonly Endpoint[],
): Promise<NetworkAttachment> {
  const resolver = await readResolver()
  const isNodeResolved = endpoints.some(({ overlay }) => overlay !== undefined)
  return {
    endpoints: endpoints.map((endpoint) => ({
      networkId: endpoint.networkId,
      addresses: addressesOf(endpoint)
        .filter(([address]) => address !== endpoint.nodeAddress6)
        .map(([address, prefix]) => `${address}/${prefix}`),
    })),
    ports: endpoints
      .flatMap(({ ports }) => ports)
      .map(({ protocol, targetPort, publishedPort, bindAddress, door, sources }) => ({
        ...{ protocol, targetPort, publishedPort },
        ...(bindAddress === undefined ? {} : { bindAddress }),
        ...(isFirewallDoor(door) ? { isFirewallFirst: true } : {}),
        ...(sources === undefined ? {} : { sources }),
      })),
    // The host's name servers are asked through the node's own resolver, which knows the names of the networks.
    nameservers: isNodeResolved ? [resolverAddress] : resolver.nameservers,
    ...(isNodeResolved && { isNodeResolved }),
    search: resolver.search,
    hosts: [],
  }
}

/** A no-op on an unknown container. What is gone already is no error. */
export async function detachContainer(deps: AttachmentDeps, containerId: string): Promise<void> {
  const endpoints = deps.journal.record?.endpoints ?? []
  const own = endpoints.filter((endpoint) => endpoint.containerId === containerId)
  if (own.length === 0) return
  const places = own.flatMap((endpoint) => endpoint.ports.flatMap(hostPlaces))
  const left = places.filter((place) => isMeshed(deps, place))
  try {
    for (const endpoint of own) await disconnectEndpoint(deps, endpoint)
  } finally {
    // Forgotten in any case: what is left in the kernel is then removed as nobody's.
    deps.journal.append({ kind: 'detached', containerId })
  }
  // What the mesh gave up in between it left to the container.
  await closeOnHost(deps, left)
}

/** The routing mesh has the same port open. */
function isMeshed({ overlay }: Pick<AttachmentDeps, 'overlay'>, place: Place): boolean {
  return overlay.needs(`element ${place.set} ${place.element}`)
}

type Place = ReturnType<typeof hostPlaces>[number]

/** One command a transaction: an element that is missing must not keep the others. */
async function closeOnHost(
  deps: Pick<AttachmentDeps, 'kernel' | 'overlay'>,
  places: readonly Place[],
): Promise<void> {
  for (const place of places) {
    if (!isMeshed(deps, place)) await deps.kernel.nft('host', [deletion(place)])
  }
}

/** Takes the interface and its ports off the kernel; what is gone already is no error. */
export async function disconnectEndpoint(
  deps: Pick<AttachmentDeps, 'kernel' | 'overlay'>,
  endpoint: Endpoint,
): Promise<void> {
  const { kernel } = deps
  await closeOnHost(deps, endpoint.ports.flatMap(hostPlaces))
  // The way in goes before what guards it.
  const inner = endpoint.ports.flatMap((port) => dataPlaneElements(port, endpoint)).reverse()
  for (const element of inner) await kernel.nft('dataPlane', [deletion(element)])
  // Removing a device takes the kernel some 20 ms; with a container that has ended it goes by itself, many at once.
  const goesAlone = !isAlive(endpoint.netns)
  if (goesAlone) kernel.devicesLeave([endpoint.link])
  const lines = goesAlone
    ? addressesOf(endpoint).map(([address]) => `route del ${address} dev ${endpoint.link}`)
    : [`link del ${endpoint.link}`]
  await kernel.ip('dataPlane', lines)
  if (endpoint.ports.length > 0) {
    // Clients that go on sending from the same port would be led to the old address for ever.
    for (const [address] of addressesOf(endpoint)) {
      const flows = ['-f', `ipv${familyOf(address)}`, '--reply-src', address]
      await kernel.run('dataPlane', ['conntrack', '-D', ...flows])
    }
  }
}

/** Takes a container that lives on into a record that does not know it, with the address it has. */
export async function readmit(
  deps: AttachmentDeps,
  { request, attachment }: RestoredAttachment,
): Promise<void> {
  const netns = findNetns(request.pid)
  if (netns === undefined) return
  const endpoints = attachment.endpoints.map(({ networkId, addresses }) => {
    const asked = request.endpoints.find((endpoint) => endpoint.networkId === networkId)
    const { sysctls = [] } = asked ?? {}
    return { networkId, addresses, aliases: [], sysctls }
  })
  const plans = planInterfaces({ ...request, endpoints }, deps.overlay)
  const host = await readHostAddresses(deps.kernel)
  const view = { ...portsOfNode(deps), ...host, listening: [], isDual: isDual(plans) }
  const ports = planHostPorts(attachment.ports, view, deps.random)
  for (const plan of plans) {
    const { overlay } = plan
    const [address = '', prefix = ''] = (plan.addresses[0] ?? '').split('/')
    const known = overlay?.address ?? address
    if (known === '') continue
    const endpoint = withPorts(plan.isSecondary === true ? [] : ports, {
      containerId: request.containerId,
      networkId: plan.networkId,
      address: known,
      prefix: overlay?.prefix ?? Number(prefix),
      mac: randomMac(deps.random),
      link: linkName(deps.random),
      netns,
      ...optionalParts(plan),
    })
    deps.journal.append({ kind: 'attached', endpoint })
  }
}

export function requireRecord(journal: Journal): NetworkRecord {
  invariant(journal.record !== undefined, 'the network is started before it is used')
  return journal.record
}
