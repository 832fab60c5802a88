// What was read of the two namespaces, put together. Pure.
import type { ObservedItem, ObservedKernel, ObservedNamespace } from './kernel-state.ts'
import { dataPlaneLink, hostLink } from './network-state.ts'
import type { ObservedLink } from './parse-observed.ts'

export interface NamespaceReading {
  readonly links: readonly ObservedLink[]
  readonly items: readonly ObservedItem[]
  readonly table: ObservedNamespace['table']
  readonly sysctls: ReadonlyMap<string, string>
}

/** The two ends of the link between host and data plane count only when they are each other's ends. */
export function pairedReadings(
  host: NamespaceReading,
  dataPlane: NamespaceReading,
): ObservedKernel {
  const outer = host.links.find((link) => link.name === hostLink)
  const inner = dataPlane.links.find((link) => link.name === dataPlaneLink)
  const isPair =
    outer !== undefined &&
    inner !== undefined &&
    outer.peerIndex === inner.index &&
    inner.peerIndex === outer.index
  const broken = isPair ? [] : [outer, inner]
  return { host: withPairs(host, broken), dataPlane: withPairs(dataPlane, broken) }
}

function withPairs(
  reading: NamespaceReading,
  broken: readonly (ObservedLink | undefined)[],
): ObservedNamespace {
  const links = reading.links.map((link): ObservedItem => {
    if (!broken.includes(link)) return link.item
    return { ...link.item, identity: `${link.item.identity} without its other end` }
  })
  const addresses = reading.links.flatMap((link) => link.addresses)
  const { table, sysctls } = reading
  return { items: [...links, ...addresses, ...reading.items], table, sysctls }
}
