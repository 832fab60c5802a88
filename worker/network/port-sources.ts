// Which clients a published port is open to, in one family. Pure.
import { parseIpRange, rangeHolds } from '../../proto/spec/ip.ts'
import { canonicalSource, isLoopbackSource } from './address-text.ts'
import type { AddressFamily } from './items.ts'
import { hostAddress, hostAddress6 } from './network-state.ts'
import { ofFamily } from './overlay-state.ts'

/**
 * Subnets and addresses in the words of nft, none within another; undefined: it is open to all. What this host sends to itself
 * counts as loopback, whichever of the two it was said of: it comes from the host's end of the link.
 */
export function openTo(
  sources: readonly string[],
  family: AddressFamily,
): readonly string[] | undefined {
  const own = ofFamily(sources, family)
  if (sources.length === 0 || own.some((source) => source.endsWith('/0'))) return undefined
  const loopback = family === 4 ? hostAddress : hostAddress6
  const all = own.map(canonicalSource)
  return withoutNarrower(sources.some(isLoopbackSource) ? [...all, loopback] : all)
}

function withoutNarrower(subnets: readonly string[]): readonly string[] {
  const ranges = [...new Set(subnets)].map((text) => ({ text, range: parseIpRange(text) }))
  const isHeld = ({ text, range }: (typeof ranges)[number]): boolean =>
    range !== undefined &&
    ranges.some(
      (other) => other.text !== text && other.range !== undefined && rangeHolds(other.range, range),
    )
  return ranges.filter((one) => !isHeld(one)).map(({ text }) => text)
}
