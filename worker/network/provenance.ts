// What of the cluster a thing of the kernel belongs to: the task of a route, the node of a forwarding entry, the service of
// a chain. Known from the pieces that the kernel's state was compiled from. Pure.
import type { NetworkView, OverlayNetwork } from '../../proto/objects/overlay.ts'
import { type Thing, thingKey } from './difference.ts'
import { contains, parseIpv4, parseSubnet } from './ipv4.ts'
import type { NamespaceName } from './kernel-state.ts'
import { addressesOf, type Endpoint, localNetworkId } from './network-state.ts'
import { vxlanName } from './overlay-state.ts'
import type { CompiledOverlay, Piece } from './pieces.ts'

/** Ids; absent: it is of none, or that is not known. */
export interface About {
  readonly networkId?: string
  readonly serviceId?: string
  /** Of a container that is no task: its own id. */
  readonly taskId?: string
  readonly nodeId?: string
}

export interface ProvenanceInput {
  readonly overlay: CompiledOverlay | undefined
  readonly views: readonly NetworkView[]
  readonly endpoints: readonly Endpoint[]
}

export type Provenance = (namespace: NamespaceName, thing: Thing) => About

/** O(everything); the answer is O(networks). */
export function provenanceOf({ overlay, views, endpoints }: ProvenanceInput): Provenance {
  const known = new Map<string, About>()
  const services = servicesOfPorts(views)
  for (const [name, { pieces }] of overlay?.groups ?? []) {
    const [kind, id = ''] = name.split(' ')
    const network = kind === 'network' ? { networkId: id } : {}
    for (const [source, piece] of pieces) {
      const about = { ...network, ...aboutSource(source, services) }
      for (const key of keysOf(piece)) known.set(key, about)
    }
  }
  for (const endpoint of endpoints) {
    for (const key of keysOfEndpoint(endpoint)) known.set(key, aboutEndpoint(endpoint))
  }
  const networks = views.map(({ network }) => network)
  return (namespace, thing) => known.get(thingKey(namespace, thing)) ?? networkOf(thing, networks)
}

function servicesOfPorts(views: readonly NetworkView[]): ReadonlyMap<unknown, string> {
  const services = views.flatMap((view) => view.services)
  return new Map(services.flatMap(({ ports, serviceId }) => ports.map((port) => [port, serviceId])))
}

/** Pieces are keyed by the object they are of, or by a text that names a node. */
function aboutSource(source: unknown, services: ReadonlyMap<unknown, string>): About {
  if (typeof source === 'string') {
    const [kind, id] = source.split(' ')
    return (kind === 'vtep' || kind === 'return') && id !== undefined ? { nodeId: id } : {}
  }
  const serviceId = services.get(source)
  if (serviceId !== undefined) return { serviceId }
  if (typeof source !== 'object' || source === null) return {}
  const text = (name: string): string | undefined => {
    const value: unknown = Object.entries(source).find(([key]) => key === name)?.[1]
    return typeof value === 'string' ? value : undefined
  }
  const [ofService, ofTask, ofNode] = [text('serviceId'), text('taskId'), text('nodeId')]
  const task = ofTask ?? text('containerId')
  return {
    ...(ofService === undefined ? {} : { serviceId: ofService }),
    ...(task === undefined ? {} : { taskId: task }),
    ...(ofNode === undefined ? {} : { nodeId: ofNode }),
  }
}

function keysOf(piece: Piece): readonly string[] {
  const { items = [], hostItems = [], elements = [], chains = [] } = piece
  const { sysctls = [], hostSysctls = [] } = piece
  const item = (namespace: NamespaceName) => (one: (typeof items)[number]) =>
    thingKey(namespace, { kind: 'item', item: one.kind, key: one.key })
  const sysctl =
    (namespace: NamespaceName) =>
    ([path]: readonly [string, string]) =>
      thingKey(namespace, { kind: 'sysctl', path })
  return [
    ...items.map(item('dataPlane')),
    ...hostItems.map(item('host')),
    ...elements.map(({ namespace, set, element }) =>
      thingKey(namespace, { kind: 'element', set, element }),
    ),
    ...chains.map(([name]) => thingKey('dataPlane', { kind: 'chain', name })),
    ...sysctls.map(sysctl('dataPlane')),
    ...hostSysctls.map(sysctl('host')),
  ]
}

function keysOfEndpoint(endpoint: Endpoint): readonly string[] {
  const { link } = endpoint
  const item = (kind: 'link' | 'route' | 'neighbour', key: string): string =>
    thingKey('dataPlane', { kind: 'item', item: kind, key })
  return [
    item('link', link),
    ...addressesOf(endpoint).flatMap(([address]) => [
      item('route', address),
      item('neighbour', `${link} ${address}`),
    ]),
    thingKey('dataPlane', { kind: 'sysctl', path: `net/ipv4/conf/${link}/rp_filter` }),
  ]
}

function aboutEndpoint({ networkId, containerId }: Endpoint): About {
  return { ...(networkId === localNetworkId ? {} : { networkId }), taskId: containerId }
}

/** Of what nobody asked for: by its device, or by an address within a subnet. */
function networkOf(thing: Thing, networks: readonly OverlayNetwork[]): About {
  const text =
    thing.kind === 'item' ? thing.key : thing.kind === 'element' ? thing.element : undefined
  if (text === undefined) return {}
  const words = text.split(/[\s/]+/)
  const addresses = words.flatMap((word) => parseIpv4(word) ?? [])
  const isOf = (network: OverlayNetwork): boolean =>
    (network.isLocal !== true && words.includes(vxlanName(network))) ||
    network.subnets.some((subnet) => {
      const parsed = parseSubnet(subnet)
      return parsed !== undefined && addresses.some((address) => contains(parsed, address))
    })
  const found = networks.find(isOf)
  return found === undefined ? {} : { networkId: found.id }
}
