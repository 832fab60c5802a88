// What this node was told of the overlay networks, and what follows from it for the node itself. Pure.

import type { NodeId } from '../../proto/objects/ids.ts'
import type { NetworkView, NodePath, OverlayNetwork } from '../../proto/objects/overlay.ts'
import type { AddressFamily } from './items.ts'
import type { Endpoint } from './network-state.ts'

/** As of one stamp. Unchanged parts may keep their identity from one state to the next: then they cost nothing. */
export interface OverlayState {
  /** This node. */
  readonly nodeId: NodeId
  /** Of all nodes, this one among them. */
  readonly paths: readonly NodePath[]
  /** Networks this node may hold; each is used only while it does. */
  readonly views: readonly NetworkView[]
}

/** How other nodes reach this one; undefined: it is no part of the overlay yet. */
export function ownPath(overlay: OverlayState): NodePath | undefined {
  return overlay.paths.find((path) => path.nodeId === overlay.nodeId)
}

/** The ingress network, networks with a container of this node on them, and those that are wanted in any case. */
export function heldViews(
  overlay: OverlayState,
  endpoints: readonly Endpoint[],
  wanted: ReadonlySet<string>,
): readonly NetworkView[] {
  const ids = new Set([...endpoints.map(({ networkId }) => networkId), ...wanted])
  return overlay.views.filter(({ network }) => network.isIngress || ids.has(network.id))
}

export function familyOf(address: string): AddressFamily {
  return address.includes(':') ? 6 : 4
}

export function ofFamily(addresses: readonly string[], family: AddressFamily): readonly string[] {
  return addresses.filter((address) => familyOf(address) === family)
}

/** Name of the VXLAN device of a network over all nodes; no veth of ours can have it, as theirs are `v` and hexadecimal digits. */
export function vxlanName({ vni }: OverlayNetwork): string {
  return `vx${vni.toString(16)}`
}
