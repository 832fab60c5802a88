// Which nodes this one sends packets of containers to and so wants to know the way to, what the routes to them follow from
// that, and what the cluster is told of it. Pure.
import type { NodeCondition } from '../../proto/objects/index.ts'
import type { NetworkView, NodePath, OverlayNetwork } from '../../proto/objects/overlay.ts'
import type { AddressFamily } from './items.ts'
import { familyOf, type OverlayState, ofFamily, ownPath } from './overlay-state.ts'
import type { Peer, PeerReport } from './peer-table.ts'

/** Of packets of containers, by the node they go to: the largest its path carries, where that is known. */
export type PathMtus = ReadonlyMap<string, number>

/** All nodes where the ingress network is held; else those with a task on a network that is held here too. */
export function probedPaths(
  overlay: OverlayState,
  held: readonly NetworkView[],
): readonly NodePath[] {
  const own = ownPath(overlay)
  if (own === undefined || held.length === 0) return []
  const others = overlay.paths.filter((path) => path !== own && transit4(path) !== undefined)
  if (held.some(({ network }) => network.isIngress)) return others
  const ids = new Set(held.flatMap(({ tasks }) => tasks.map(({ nodeId }) => nodeId)))
  return others.filter(({ nodeId }) => ids.has(nodeId))
}

export function peersOf(paths: readonly NodePath[], mtuMax: number): readonly Peer[] {
  return paths.flatMap((path) => {
    const address = transit4(path)
    if (address === undefined) return []
    const { nodeId, dataPathAddress: vtep, isDown = false } = path
    return [{ nodeId, vtep, address, mtuMax, isDown }]
  })
}

function transit4({ transit }: NodePath): string | undefined {
  return ofFamily(transit, 4)[0]
}

/** The largest packet that a container on one of the networks may send to other nodes; 0: none may. */
export function largestMtu(networks: readonly OverlayNetwork[]): number {
  const wide = networks.filter(({ isLocal }) => isLocal !== true)
  return Math.max(0, ...wide.map(({ mtu }) => mtu))
}

/** What is left of 1,500 bytes over IPv6, whose routers take no packet apart. */
const ipv6UnderlayMtu = 1430
/** Routes cannot carry less. Source: RFC 791 (what every host takes), RFC 8200. */
const leastMtu: Readonly<Record<AddressFamily, number>> = { 4: 576, 6: 1280 }

/** The `mtu` of routes to containers of that node; undefined: the network's own is small enough. */
export function routeMtu(
  network: OverlayNetwork,
  path: NodePath,
  family: AddressFamily,
  mtus: PathMtus,
): string | undefined {
  const unmeasured = familyOf(path.dataPathAddress) === 6 ? ipv6UnderlayMtu : network.mtu
  const mtu = Math.max(leastMtu[family], mtus.get(path.nodeId) ?? unmeasured)
  return mtu < network.mtu ? `${mtu}` : undefined
}

export function mtusOf(reports: readonly PeerReport[]): PathMtus {
  return new Map(
    reports.flatMap(({ nodeId, mtu }) => (mtu === undefined ? [] : [[nodeId, mtu] as const])),
  )
}

export function isSameMtus(a: PathMtus, b: PathMtus): boolean {
  return a.size === b.size && [...a].every(([id, mtu]) => b.get(id) === mtu)
}

/** A node whose agent is gone as well is not told of: the cluster knows that it is down before this time is over. */
const silentForMs = 10_000
const namedMax = 4

/** Nodes that are up and do not answer. `port`: of VXLAN. */
export function peerConditions(
  reports: readonly PeerReport[],
  port: number,
): readonly NodeCondition[] {
  const silent = reports.filter(
    ({ state, isDown, sinceMs }) => state === 'silent' && !isDown && sinceMs >= silentForMs,
  )
  if (silent.length === 0) return []
  const names = silent.slice(0, namedMax).map(({ nodeId, vtep }) => `${nodeId} (${vtep})`)
  const more = silent.length - names.length
  const who = more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ')
  const what = silent.length === 1 ? `node ${who} does` : `${silent.length} nodes do`
  const which = silent.length === 1 ? '' : `: ${who}`
  const message = `${what} not answer to VXLAN packets of this one${which}; let UDP ${port} pass between the hosts, both ways`
  return [{ code: 'PEER_UNREACHABLE', message }]
}
