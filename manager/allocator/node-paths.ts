// What nodes are given to take part in overlay networks: a number of their own, from which their transit addresses and their
// mark follow, and a random MAC.
import type { PathAllocation } from '../../proto/objects/index.ts'
import { firstOf, formatIp, parseIpRange } from '../../proto/spec/ip.ts'

/** Transit addresses: 100.127.0.0/16 is of the shared address space (RFC 6598), fd77:1::/112 of RFC 4193's. */
const transitRanges: readonly string[] = ['100.127.0.0/16', 'fd77:1::/112']
const markMax = 65_534

export class NodePaths {
  readonly #marks = new Set<number>()
  readonly #macs = new Set<string>()
  /** The one that was given last: the next is looked for behind it, so that none is given again soon. */
  #last = 0

  /** Marks what a node has. */
  claim(path: PathAllocation): void {
    this.keep(path.mark)
    this.#macs.add(path.mac)
  }

  /** The mark of a removed node is nobody's for a while. */
  keep(mark: number): void {
    if (mark === 0) return
    this.#marks.add(mark)
    this.#last = Math.max(this.#last, mark)
  }

  release({ mark, mac }: PathAllocation): void {
    this.#marks.delete(mark)
    this.#macs.delete(mac)
  }

  free(mark: number): void {
    this.#marks.delete(mark)
  }

  /** Undefined when all marks are given. */
  give(random: () => number): PathAllocation | undefined {
    if (this.#marks.size >= markMax) return undefined
    let mark = this.#last
    do mark = (mark % markMax) + 1
    while (this.#marks.has(mark))
    let mac = randomMac(random)
    while (this.#macs.has(mac)) mac = randomMac(random)
    this.#last = mark
    const path = { transit: transitRanges.flatMap((range) => addressIn(range, mark)), mac, mark }
    this.#marks.add(mark)
    this.#macs.add(mac)
    return path
  }
}

function addressIn(text: string, offset: number): readonly string[] {
  const range = parseIpRange(text)
  if (range === undefined) return []
  return [formatIp({ bits: range.bits, value: firstOf(range) + BigInt(offset) })]
}

/** Locally administered, of one host. Source: IEEE 802, the two lowest bits of the first byte. */
function randomMac(random: () => number): string {
  const bytes = Array.from({ length: 6 }, () => Math.floor(random() * 256))
  const [first = 0, ...others] = bytes
  return [(first & 0xfc) | 2, ...others].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}
