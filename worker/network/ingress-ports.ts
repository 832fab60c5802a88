// Ports of the routing mesh as this host sees them: held on every node, and each bind address behind a door of its own. Pure.
import { isWildcardBind } from '../../proto/objects/bind-address.ts'
import type { IngressPort } from '../../proto/objects/overlay.ts'
import { commonDoor, doorFamily, doorKey, freeDoor, isFirewallDoor, loopback6 } from './doors.ts'
import type { AddressFamily } from './items.ts'
import type { LoopbackPort } from './loopback-listener.ts'
import type { Endpoint, PublishedPort } from './network-state.ts'
import { familyOf, type OverlayState } from './overlay-state.ts'
import { claimKey, type PortClaim } from './port-claims.ts'

/**
 * The door that stands for each bind address, by doorKey. Doors of ports in host mode are shared; the others stay as they were.
 * An address for which no door is left is not in it.
 */
export function chooseDoors(
  overlay: OverlayState,
  hostPorts: readonly PublishedPort[],
  previous: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const wanted = new Map(
    meshPorts(overlay)
      .filter(({ bindAddress }) => !isWildcardBind(bindAddress))
      .map((port) => [doorKey(port), port]),
  )
  const doors = new Map<string, string>()
  for (const [key, { bindAddress, isFirewallFirst }] of wanted) {
    const held = hostPorts.find(
      (port) => port.bindAddress === bindAddress && isFirewallDoor(port.door) === isFirewallFirst,
    )
    const door = held?.door ?? previous.get(key)
    if (door !== undefined) doors.set(key, door)
  }
  const taken = new Set([...doors.values(), ...hostPorts.map(({ door }) => door)])
  for (const [key, use] of wanted) {
    if (doors.has(key)) continue
    const door = freeDoor(use, (one) => taken.has(one))
    if (door === undefined) continue
    doors.set(key, door)
    taken.add(door)
  }
  const isSame = doors.size === previous.size && [...doors].every(([a, d]) => previous.get(a) === d)
  return isSame ? previous : doors
}

function meshPorts(overlay: OverlayState | undefined): readonly IngressPort[] {
  const ingress = overlay?.views.find(({ network }) => network.isIngress)
  return ingress?.services.flatMap(({ ports }) => ports) ?? []
}

/** Published ports of the mesh in the form of ports in host mode, so that neither takes the other's. */
export function ingressPorts(
  overlay: OverlayState | undefined,
  doors: ReadonlyMap<string, string>,
): readonly PublishedPort[] {
  return meshPorts(overlay).map((port) => {
    const { protocol, targetPort, publishedPort, bindAddress } = port
    return {
      ...{ protocol, targetPort, publishedPort },
      bindAddress: bindAddress === '' ? undefined : bindAddress,
      door: doorOf(port, doorFamily(bindAddress), doors),
    }
  })
}

/** Of these, what is to answer on ::1: those on all addresses of both families as on 127.0.0.1, those on ::1 or all of IPv6 by their door. */
export function loopbackPorts(
  ports: readonly PublishedPort[],
  blocked: ReadonlySet<string>,
): readonly LoopbackPort[] {
  return ports.flatMap(({ publishedPort: port, protocol, bindAddress, door }) => {
    const isBlocked = blocked.has(claimKey({ protocol, port, bindAddress: bindAddress ?? '' }))
    if (isBlocked || protocol === 'sctp') return []
    if (bindAddress === undefined) return [{ protocol, port, to: '127.0.0.1' }]
    return [loopback6, '::'].includes(bindAddress) ? [{ protocol, port, to: door }] : []
  })
}

/** What this node is to open: ports of the mesh, and those of its own containers. */
export function portClaims(
  overlay: OverlayState | undefined,
  endpoints: readonly Endpoint[],
): readonly PortClaim[] {
  const ingress = overlay?.views.find(({ network }) => network.isIngress)
  const hasIpv6 = ingress?.network.subnets.some((subnet) => familyOf(subnet) === 6) ?? false
  const mesh = (ingress?.services ?? []).flatMap(({ serviceId, name, ports }) =>
    ports.map(({ protocol, publishedPort: port, bindAddress }) => ({
      ...{ protocol, port, bindAddress, hasIpv6, serviceId },
      owner: `service "${name}"`,
      isOpen: false,
    })),
  )
  const own = endpoints.flatMap(({ containerId, ports }) =>
    ports.map(({ protocol, publishedPort: port, bindAddress = '', door6 }) => ({
      ...{ protocol, port, bindAddress, hasIpv6: door6 !== undefined },
      owner: `container ${containerId}`,
      isOpen: true,
    })),
  )
  // Whoever has it on ::1 keeps it: the daemon waits there itself.
  return [...mesh, ...own].filter(({ bindAddress }) => bindAddress !== loopback6)
}

/** The door of a port for one family. */
export function doorOf(
  port: IngressPort,
  family: AddressFamily,
  doors: ReadonlyMap<string, string>,
): string {
  return doors.get(doorKey(port)) ?? commonDoor(family, port.isFirewallFirst)
}
