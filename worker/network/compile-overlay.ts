// From what the node was told of overlay networks to what the kernel must hold for them, in pieces. Pure. What is the same
// for every node and network (rules of nft) is in nft-tables.ts; what differs between two compilations is told by
// overlay-change.ts.
import type { NodePath, OverlayNetwork, TaskEndpoint } from '../../proto/objects/overlay.ts'
import { compileNode } from './compile-node.ts'
import { compileServices } from './compile-services.ts'
import { type AddressFamily, fdbItem, neighbourItem, routeItem, vxlanItem } from './items.ts'
import type { DesiredItem } from './kernel-state.ts'
import { addressesOf, type Endpoint } from './network-state.ts'
import {
  familyOf,
  heldViews,
  type OverlayState,
  ofFamily,
  ownPath,
  vxlanName,
} from './overlay-state.ts'
import {
  type CompiledOverlay,
  isSameList,
  type NetworkContext,
  type Piece,
  type PieceCache,
  type PieceGroup,
  type Pieces,
  remembered,
  suffixed,
  type TableElement,
} from './pieces.ts'
import { type PathMtus, routeMtu } from './probed-peers.ts'

export interface OverlayInput {
  readonly overlay: OverlayState
  /** Interfaces of containers of this node, of overlay and other networks. */
  readonly endpoints: readonly Endpoint[]
  /** Networks that are held without an interface. */
  readonly wanted: ReadonlySet<string>
  readonly vxlanPort: number
  readonly dataPlaneFile: string
  /** Bind address of a published port -> the door that stands for it. */
  readonly doors: ReadonlyMap<string, string>
  /** Published ports that are not opened here (claimKey): programs of the host have them. */
  readonly blocked: ReadonlySet<string>
  /** What paths to other nodes carry, as far as it was measured. */
  readonly mtus: PathMtus
}

/** `previous`: groups made from the same parts are taken over from it. */
export function compileOverlay(
  input: OverlayInput,
  previous?: CompiledOverlay,
): CompiledOverlay | undefined {
  const own = ownPath(input.overlay)
  if (own === undefined) return undefined
  const held = heldViews(input.overlay, input.endpoints, input.wanted)
  const byId = new Map(input.overlay.paths.map((path) => [`${path.nodeId}`, path]))
  const groups = new Map<string, PieceGroup>()
  const add = (name: string, sources: readonly unknown[], make: () => Pieces): void => {
    const old = previous?.groups.get(name)
    const isSame = old !== undefined && isSameList(old.sources, sources)
    groups.set(name, isSame ? old : { sources, pieces: new Map(make()) })
  }
  const ingress = held.find(({ network }) => network.isIngress)?.network
  const hasIpv6 =
    held.some(({ network }) => network.subnets.some(isIpv6)) ||
    input.endpoints.some(({ nodeAddress6 }) => nodeAddress6 !== undefined)
  const { vxlanPort, dataPlaneFile, mtus } = input
  const { paths } = input.overlay
  const probes = { vxlanPort, dataPlaneFile }
  add('node', [paths, own, ingress?.vni, ingress?.mtu, hasIpv6, vxlanPort, mtus], () =>
    compileNode({ own, paths, ingress, hasIpv6, mtus, probes }),
  )
  for (const view of held) {
    const local = input.endpoints.filter(({ networkId }) => networkId === view.network.id)
    const { doors, blocked } = input
    const sources = [view, paths, mtus, ...local, ...[...doors].flat(), blocked]
    add(`network ${view.network.id}`, sources, () => {
      const families = familiesOf(view.network, own)
      const context = { view, link: vxlanName(view.network), own, families, paths: byId }
      return compileNetwork({ ...context, doors, blocked, mtus }, local, input)
    })
  }
  return { transit: own.transit, groups }
}

/** A family needs a subnet, and a transit address to go through. */
function familiesOf(network: OverlayNetwork, own: NodePath): readonly AddressFamily[] {
  return ([4, 6] as const).filter(
    (family) =>
      ofFamily(network.subnets, family).length > 0 && ofFamily(own.transit, family).length > 0,
  )
}

function isIpv6(subnet: string): boolean {
  return familyOf(subnet) === 6
}

function compileNetwork(
  context: NetworkContext,
  local: readonly Endpoint[],
  input: OverlayInput,
): Pieces {
  const { view, paths, own } = context
  const peers = view.network.isIngress
    ? [...paths.values()]
    : [...new Set(view.tasks.map(({ nodeId }) => paths.get(nodeId)))]
  const { network } = view
  const { link, families } = context
  const { vxlanPort, dataPlaneFile } = input
  const made = [own, ...families, vxlanPort, dataPlaneFile]
  return [
    [network, remembered(networkPieces, network, made, () => networkPiece(context, input))],
    ...peers
      .filter((path) => path !== undefined)
      .filter((path) => path !== own)
      .map((path): readonly [unknown, Piece] => [
        path,
        remembered(peerPieces, path, [link, ...families], () => peerPiece(context, path)),
      ]),
    ...view.tasks.map((task): readonly [unknown, Piece] => [task, taskPiece(context, task)]),
    ...local.map((endpoint): readonly [unknown, Piece] => [endpoint, localPiece(endpoint)]),
    ...compileServices(context),
  ]
}

const networkPieces: PieceCache = new WeakMap()
const peerPieces: PieceCache = new WeakMap()
const localPieces: PieceCache = new WeakMap()

function networkPiece({ view, link, own, families }: NetworkContext, input: OverlayInput): Piece {
  const { vni, mtu, subnets, isInternal, isIngress, isLocal = false } = view.network
  const { mac, dataPathAddress: localAddress } = own
  const device = { vni, mac, mtu, local: localAddress, port: input.vxlanPort }
  const inner = (set: string, element: string): TableElement => ({
    namespace: 'dataPlane',
    set,
    element,
  })
  return {
    items: [
      // Of a local network nothing goes to other nodes.
      ...(isLocal ? [] : [vxlanItem(link, { ...device, netns: input.dataPlaneFile })]),
      // Without it a packet to a task that is gone would leave by up0, and a host of the LAN might answer.
      ...subnets.map((subnet) => routeItem(subnet, { type: 'unreachable' })),
    ],
    // Answers to clients outside come in by it, from addresses that no route leads to.
    sysctls: isLocal ? [] : [[`net/ipv4/conf/${link}/rp_filter`, '0']],
    elements: families.flatMap((family) =>
      ofFamily(subnets, family).flatMap((subnet) => [
        inner(suffixed('same_network', family), `${subnet} . ${subnet}`),
        ...(isInternal ? [] : [inner(suffixed('egress', family), subnet)]),
        ...(isIngress ? [inner(suffixed('ingress_subnets', family), subnet)] : []),
        { namespace: 'host' as const, set: suffixed('overlay', family), element: subnet },
      ]),
    ),
  }
}

function peerPiece({ link, families }: NetworkContext, path: NodePath): Piece {
  const addresses = families.flatMap((family) => ofFamily(path.transit, family))
  return {
    items: [
      fdbItem(link, path.mac, path.dataPathAddress),
      ...addresses.map((address) => neighbourItem(link, address, path.mac)),
    ],
  }
}

const taskPieces: PieceCache = new WeakMap()

function taskPiece(context: NetworkContext, task: TaskEndpoint): Piece {
  const { paths, own, link, view, mtus } = context
  const path = paths.get(task.nodeId)
  const mtu = path && mtus.get(path.nodeId)
  return remembered(taskPieces, task, [path, own, link, view.network.mtu, mtu], () => ({
    members: task.addresses,
    // Those of this node are routed when their container is attached.
    ...(path === undefined || path === own ? {} : { items: taskRoutes(context, path, task) }),
  }))
}

function taskRoutes(
  { own, link, view, mtus }: NetworkContext,
  path: NodePath,
  task: TaskEndpoint,
): readonly DesiredItem[] {
  return task.addresses.flatMap((address) => {
    const via = ofFamily(path.transit, familyOf(address))[0]
    const src = ofFamily(own.transit, familyOf(address))[0]
    if (via === undefined || src === undefined) return []
    const mtu = routeMtu(view.network, path, familyOf(address), mtus)
    const how = { via, dev: link, src, ...(mtu === undefined ? {} : { mtu }) }
    return [routeItem(address, how, { isOnlink: true })]
  })
}

/** What a container of this node needs beside its link (see desired-kernel.ts): a way to itself through its service. */
function localPiece(endpoint: Endpoint): Piece {
  const own = addressesOf(endpoint).map(([address]) => address)
  return remembered(localPieces, endpoint, [], () => ({
    elements: own.map((address) => ({
      namespace: 'dataPlane',
      set: suffixed('hairpin', familyOf(address)),
      element: `${address} . ${address}`,
    })),
  }))
}
