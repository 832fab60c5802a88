// Ports of the routing mesh as this host sees them: held on every node, and each bind address behind a door of its own. Pure.
import { isWildcardBind } from '../../proto/objects/bind-address.ts'
import { formatIpv4, requireSubnet } from './ipv4.ts'
import {
  dataPlaneAddress,
  dataPlaneAddress6,
  doorSubnet,
  type Endpoint,
  type PublishedPort,
} from './network-state.ts'
import { familyOf, type OverlayState } from './overlay-state.ts'
import { claimKey, type PortClaim } from './port-claims.ts'

/** Doors over IPv6 are numbered like those over IPv4. */
const doorPrefix6 = 'fd77::1:'

/**
 * The door that stands for each bind address. Doors of ports in host mode are shared; the others stay as they were.
 * An address for which no door is left is not in it.
 */
export function chooseDoors(
  overlay: OverlayState,
  hostPorts: readonly PublishedPort[],
  previous: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const bound = meshPorts(overlay).map(({ bindAddress }) => bindAddress)
  const wanted = new Set(bound.filter((address) => !isWildcardBind(address)))
  const doors = new Map<string, string>()
  for (const address of wanted) {
    const held = hostPorts.find((port) => port.bindAddress === address)?.door
    const door = held ?? previous.get(address)
    if (door !== undefined) doors.set(address, door)
  }
  const taken = new Set([...doors.values(), ...hostPorts.map(({ door }) => door)])
  for (const address of wanted) {
    if (doors.has(address)) continue
    const door = freeDoor(address, taken)
    if (door === undefined) break
    doors.set(address, door)
    taken.add(door)
  }
  const isSame = doors.size === previous.size && [...doors].every(([a, d]) => previous.get(a) === d)
  return isSame ? previous : doors
}

function freeDoor(bindAddress: string, taken: ReadonlySet<string>): string | undefined {
  const { base } = requireSubnet(doorSubnet, 'doors')
  for (let offset = 4; offset < 255; offset++) {
    const door = familyOf(bindAddress) === 4 ? formatIpv4(base + offset) : `${doorPrefix6}${offset}`
    if (!taken.has(door)) return door
  }
  return undefined
}

function meshPorts(
  overlay: OverlayState | undefined,
): readonly OverlayState['views'][number]['services'][number]['ports'][number][] {
  const ingress = overlay?.views.find(({ network }) => network.isIngress)
  return ingress?.services.flatMap(({ ports }) => ports) ?? []
}

/** Published ports of the mesh in the form of ports in host mode, so that neither takes the other's. */
export function ingressPorts(
  overlay: OverlayState | undefined,
  doors: ReadonlyMap<string, string>,
): readonly PublishedPort[] {
  return meshPorts(overlay).map(({ protocol, targetPort, publishedPort, bindAddress }) => ({
    ...{ protocol, targetPort, publishedPort },
    // Host mode knows IPv4 only: all of IPv6 stands in the way of none of its ports.
    bindAddress: bindAddress === '' || bindAddress === '0.0.0.0' ? undefined : bindAddress,
    door: doorOf(bindAddress, doors),
  }))
}

/** Ports of the mesh that answer on ::1 as on 127.0.0.1. */
export function loopbackPorts(
  overlay: OverlayState | undefined,
  blocked: ReadonlySet<string>,
): readonly Pick<PublishedPort, 'protocol' | 'publishedPort'>[] {
  return meshPorts(overlay).filter(
    ({ publishedPort: port, bindAddress, protocol }) =>
      bindAddress === '' && !blocked.has(claimKey({ protocol, port, bindAddress })),
  )
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
    ports.map(({ protocol, publishedPort: port, bindAddress }) => ({
      ...{ protocol, port, hasIpv6: false },
      bindAddress: bindAddress ?? '',
      owner: `container ${containerId}`,
      isOpen: true,
    })),
  )
  return [...mesh, ...own]
}

function doorOf(bindAddress: string, doors: ReadonlyMap<string, string>): string {
  const everywhere = familyOf(bindAddress) === 6 ? dataPlaneAddress6 : dataPlaneAddress
  return doors.get(bindAddress) ?? everywhere
}
