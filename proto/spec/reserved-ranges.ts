// Address ranges that no network may have.
import { type IpRange, parseIpRange, rangesOverlap } from './ip.ts'

/** Nobody's to use: nodes need them in the data plane, or they are no addresses of hosts. */
const reserved: readonly (readonly [string, string])[] = [
  ['0.0.0.0/8', 'it names no host'],
  ['127.0.0.0/8', 'it is the loopback'],
  ['169.254.0.0/16', 'it is link-local'],
  ['224.0.0.0/3', 'it holds multicast and reserved addresses'],
  ['100.127.0.0/16', 'nodes have their transit addresses there'],
  ['::/16', 'it holds the loopback and other special addresses'],
  ['fe80::/10', 'it is link-local'],
  ['ff00::/8', 'it is multicast'],
  ['fd77::/16', 'nodes have their transit addresses there'],
]

export const reservedRanges: readonly IpRange[] = reserved.flatMap(
  ([text]) => parseIpRange(text) ?? [],
)

/** Why no network may have the range; undefined: it may. */
export function whyReserved(range: IpRange): string | undefined {
  for (const [text, why] of reserved) {
    const special = parseIpRange(text)
    if (special !== undefined && rangesOverlap(special, range)) return `${why} (${text})`
  }
  return undefined
}
