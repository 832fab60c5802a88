// The addresses of one subnet: which are somebody's, which were freed when, which comes next. The one that was free for the
// longest is next, and none before every node that holds the network has let go of it.
import { invariant } from '../../proto/lib/assert.ts'
import type { NetworkSubnet } from '../../proto/objects/index.ts'
import {
  firstOf,
  formatIp,
  type IpRange,
  ipv4Number,
  parseIp,
  parseIpRange,
  rangeHolds,
  sizeOf,
} from '../../proto/spec/ip.ts'

export type Taken =
  | { readonly kind: 'taken'; readonly address: string }
  /** Some were freed, and not every node has let go of them. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'full' }

/** `used`: it is somebody's. `unusable`: no address of a host in this subnet, or the gateway. */
export type TakenThis = 'taken' | 'waiting' | 'used' | 'unusable'

interface Freed {
  readonly offset: number
  /** Raft index of the commit that freed it. */
  readonly atIndex: number
}

/** Of a larger subnet only so many addresses are used. */
const spanMax = 2 ** 32

export class AddressPool {
  readonly subnet: NetworkSubnet
  /** How many addresses it can give at the same time. */
  readonly size: number
  readonly #bits: IpRange['bits']
  /** The first address of the range that is given from, and how many there are; addresses are known by their offset. */
  readonly #first: bigint
  readonly #span: number
  readonly #range: IpRange
  readonly #reservedValues: ReadonlySet<bigint>
  readonly #reserved: ReadonlySet<number>
  readonly #taken = new Set<number>()
  /** Those that are in a queue below. */
  readonly #known = new Set<number>()
  /** Freed ones, oldest first from the head on. */
  #freed: Freed[] = []
  #head = 0
  /** Taken and given back before anyone knew. */
  readonly #spare: number[] = []
  /**
   * Addresses of the subnet that lie outside of the range that is given from: only who asks for one gets it. Undefined: it
   * is somebody's; else the Raft index at which it was freed.
   */
  readonly #outside = new Map<string, number | undefined>()
  /** Steps from the start to the first one that was never looked at. */
  #steps = 0
  #start = 0
  readonly #freshFromIndex: number

  /**
   * `freshFromIndex`: what this pool never saw in use may have been freed up to that Raft index; 0: the network is new,
   * and so are all its addresses.
   */
  constructor(subnet: NetworkSubnet, freshFromIndex: number) {
    const range = parseIpRange(subnet.subnet)
    invariant(range !== undefined, 'a network has a subnet that is none', { ...subnet })
    this.subnet = subnet
    const inner = subnet.ipRange === '' ? range : (parseIpRange(subnet.ipRange) ?? range)
    this.#bits = range.bits
    this.#first = firstOf(inner)
    this.#span = sizeOf(inner) < BigInt(spanMax) ? Number(sizeOf(inner)) : spanMax
    this.#range = range
    this.#reservedValues = new Set(reservedOf(range, subnet.gateway))
    const reserved = [...this.#reservedValues].flatMap((one) => this.#offset(one) ?? [])
    this.#reserved = new Set(reserved)
    this.size = this.#span - this.#reserved.size
    this.#freshFromIndex = freshFromIndex
  }

  /** How many that it gives are somebody's now. */
  get used(): number {
    return this.#taken.size
  }

  /** How many beside them are somebody's who asked for them. */
  get usedOutside(): number {
    return [...this.#outside.values()].filter((freedAt) => freedAt === undefined).length
  }

  /** Marks what is in the store already. Returns whether it was free. */
  claim(address: string): boolean {
    const offset = this.#offsetOf(address)
    if (offset === undefined) return this.#claimOutside(address)
    if (this.#taken.has(offset)) return false
    this.#taken.add(offset)
    if (this.#known.delete(offset)) this.#forget(offset)
    return true
  }

  /** Fresh addresses are looked for behind this one: the ones behind it were freed the longest ago. */
  startAfter(address: string): void {
    const offset = this.#offsetOf(address)
    if (offset !== undefined) this.#start = (offset + 1) % this.#span
  }

  /** The next address. `ackedIndex`: up to which Raft index every node that holds the network has followed. */
  take(ackedIndex: number): Taken {
    const offset = this.#next(ackedIndex)
    if (offset !== undefined) {
      this.#taken.add(offset)
      const value = this.#first + BigInt(offset)
      return { kind: 'taken', address: formatIp({ bits: this.#bits, value }) }
    }
    const isWaiting = this.#steps < this.#span || this.#head < this.#freed.length
    return { kind: isWaiting ? 'waiting' : 'full' }
  }

  /** The one that was asked for. O(freed ones). */
  takeThis(address: string, ackedIndex: number): TakenThis {
    const offset = this.#offsetOf(address)
    if (offset === undefined) return this.#takeOutside(address, ackedIndex)
    if (this.#taken.has(offset)) return 'used'
    if (this.#freeSince(offset) > ackedIndex) return 'waiting'
    this.claim(address)
    return 'taken'
  }

  /** Whether it would give one now. */
  hasNext(ackedIndex: number): boolean {
    if (this.#spare.length > 0 || this.#hasFresh(ackedIndex)) return true
    const freed = this.#freed[this.#head]
    return freed !== undefined && freed.atIndex <= ackedIndex
  }

  /** It was somebody's until the commit of that Raft index. */
  release(address: string, atIndex: number): void {
    const offset = this.#offsetOf(address)
    if (offset === undefined) this.#dropOutside(address, atIndex)
    if (offset === undefined || !this.#taken.delete(offset)) return
    this.#known.add(offset)
    this.#freed.push({ offset, atIndex })
  }

  /** What was taken was not written: nobody ever heard of it. */
  giveBack(address: string): void {
    const offset = this.#offsetOf(address)
    if (offset === undefined) this.#dropOutside(address, 0)
    if (offset === undefined || !this.#taken.delete(offset)) return
    this.#known.add(offset)
    this.#spare.push(offset)
  }

  /** The Raft index of the commit that freed it; 0: nobody ever had it. */
  #freeSince(offset: number): number {
    if (this.#spare.includes(offset)) return 0
    const at = this.#freed.findIndex((freed, i) => i >= this.#head && freed.offset === offset)
    return this.#freed[at]?.atIndex ?? this.#freshFromIndex
  }

  #takeOutside(address: string, ackedIndex: number): TakenThis {
    const key = this.#keyOutside(address)
    if (key === undefined) return 'unusable'
    if (this.#outside.has(key) && this.#outside.get(key) === undefined) return 'used'
    if ((this.#outside.get(key) ?? this.#freshFromIndex) > ackedIndex) return 'waiting'
    this.#outside.set(key, undefined)
    return 'taken'
  }

  #claimOutside(address: string): boolean {
    const key = this.#keyOutside(address)
    if (key === undefined || (this.#outside.has(key) && this.#outside.get(key) === undefined)) {
      return false
    }
    this.#outside.set(key, undefined)
    return true
  }

  #dropOutside(address: string, freedAt: number): void {
    const key = this.#keyOutside(address)
    if (key !== undefined && this.#outside.has(key)) this.#outside.set(key, freedAt)
  }

  /** Undefined: no address of a host in the subnet, or one that is given anyway. */
  #keyOutside(text: string): string | undefined {
    const address = parseIp(text)
    if (address === undefined || address.bits !== this.#bits) return undefined
    const { value } = address
    const isOfHost =
      rangeHolds(this.#range, { ...address, prefix: this.#bits }) &&
      !this.#reservedValues.has(value)
    return isOfHost && this.#offset(value) === undefined ? formatIp(address) : undefined
  }

  #next(ackedIndex: number): number | undefined {
    const spare = this.#spare.pop()
    if (spare !== undefined) {
      this.#known.delete(spare)
      return spare
    }
    if (this.#hasFresh(ackedIndex)) {
      this.#steps += 1
      return (this.#start + this.#steps - 1) % this.#span
    }
    const freed = this.#freed[this.#head]
    if (freed === undefined || freed.atIndex > ackedIndex) return undefined
    this.#head += 1
    this.#trim()
    this.#known.delete(freed.offset)
    return freed.offset
  }

  /** Passes over those that are no longer. */
  #hasFresh(ackedIndex: number): boolean {
    if (ackedIndex < this.#freshFromIndex) return false
    while (this.#steps < this.#span) {
      if (this.#isFresh((this.#start + this.#steps) % this.#span)) return true
      this.#steps += 1
    }
    return false
  }

  #isFresh(offset: number): boolean {
    return !this.#reserved.has(offset) && !this.#taken.has(offset) && !this.#known.has(offset)
  }

  /** Somebody has a freed one after all: rare, so a search is no harm. */
  #forget(offset: number): void {
    const spare = this.#spare.indexOf(offset)
    if (spare >= 0) this.#spare.splice(spare, 1)
    const at = this.#freed.findIndex((freed, i) => i >= this.#head && freed.offset === offset)
    if (at >= 0) this.#freed.splice(at, 1)
  }

  #trim(): void {
    if (this.#head < 1_024 || this.#head * 2 < this.#freed.length) return
    this.#freed = this.#freed.slice(this.#head)
    this.#head = 0
  }

  #offsetOf(text: string): number | undefined {
    const offset = this.#bits === 32 ? this.#offsetOfV4(text) : this.#offsetOfV6(text)
    return offset === undefined || this.#reserved.has(offset) ? undefined : offset
  }

  #offsetOfV4(text: string): number | undefined {
    const offset = (ipv4Number(text) ?? -1) - Number(this.#first)
    return offset >= 0 && offset < this.#span ? offset : undefined
  }

  #offsetOfV6(text: string): number | undefined {
    const address = parseIp(text)
    return address?.bits === 128 ? this.#offset(address.value) : undefined
  }

  #offset(value: bigint): number | undefined {
    const offset = value - this.#first
    return offset >= 0n && offset < BigInt(this.#span) ? Number(offset) : undefined
  }
}

/** The subnet's own address, the broadcast address of IPv4 (and the last of IPv6, for symmetry), and the gateway. */
function reservedOf(range: IpRange, gateway: string): readonly bigint[] {
  const first = firstOf(range)
  const address = parseIp(gateway)
  return [first, first + sizeOf(range) - 1n, ...(address === undefined ? [] : [address.value])]
}
