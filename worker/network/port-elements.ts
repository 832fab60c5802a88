// What a port in host mode is in our nft tables: elements of sets and maps, never rules. Pure.
import { isWildcardBind } from '../../proto/objects/bind-address.ts'
import { isFirewallDoor, loopback6 } from './doors.ts'
import type { AddressFamily } from './items.ts'
import type { Endpoint, PublishedPort } from './network-state.ts'
import { familyOf } from './overlay-state.ts'
import { suffixed, type TableElement } from './pieces.ts'
import { openTo } from './port-sources.ts'

type SetElement = Pick<TableElement, 'set' | 'element'>

/** What opens a port in the host's table, one a family; nothing for ::1, which the kernel leads nowhere. */
export function hostPlaces({
  protocol,
  publishedPort,
  bindAddress,
  ...port
}: PublishedPort): readonly SetElement[] {
  if (bindAddress === loopback6) return []
  const key = `${protocol} . ${publishedPort}`
  return doorsOf(port).map((door) => {
    if (bindAddress !== undefined && !isWildcardBind(bindAddress)) {
      const set = suffixed('published_at', familyOf(door))
      return { set, element: `${bindAddress} . ${key} : ${door}` }
    }
    const set = suffixed(isFirewallDoor(door) ? 'firewalled' : 'published', familyOf(door))
    return { set, element: key }
  })
}

/** What leads a port to its container in the data plane, and who may come by it. */
export function dataPlaneElements(port: PublishedPort, endpoint: Endpoint): readonly SetElement[] {
  return doorsOf(port).flatMap((door) => {
    const family = familyOf(door)
    const address = addressAt(endpoint, family)
    if (address === undefined) return []
    const key = `${door} . ${port.protocol} . ${port.publishedPort}`
    const element = `${key} : ${address} . ${port.targetPort}`
    return [...guards(port, key, family), { set: suffixed('host_ports', family), element }]
  })
}

/** A port that is limited in one family is so in the other: then nobody comes in by it who is not named. */
function guards({ sources = [] }: PublishedPort, key: string, family: AddressFamily): SetElement[] {
  const open = openTo(sources, family)
  if (open === undefined) return []
  return [
    { set: suffixed('guarded', family), element: key },
    ...open.map((source) => ({
      set: suffixed('host_sources', family),
      element: `${key} . ${source}`,
    })),
  ]
}

/** One of each family that the port is open over. */
export function doorsOf({ door, door6 }: Pick<PublishedPort, 'door' | 'door6'>): readonly string[] {
  return door6 === undefined ? [door] : [door, door6]
}

/** Where ports lead in a container; undefined: it has no address of the family. */
export function addressAt(endpoint: Endpoint, family: AddressFamily): string | undefined {
  if (family === 4) return endpoint.address
  return endpoint.overlay?.address6?.split('/')[0] ?? endpoint.nodeAddress6
}
