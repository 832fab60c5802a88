// IP addresses and CIDR ranges as numbers: reading, writing, comparing. Knows nothing of what they are used for.

export interface IpAddress {
  readonly bits: 32 | 128
  readonly value: bigint
}

/** All addresses whose first `prefix` bits are those of `value`. A single address has the full prefix. */
export interface IpRange extends IpAddress {
  readonly prefix: number
}

const mappedPrefix = 0xffffn

/** Reads "10.0.0.1", "10.0.0.0/8", "2001:db8::1" or "2001:db8::/32". Undefined when it is none of them. */
export function parseIpRange(text: string): IpRange | undefined {
  const slash = text.indexOf('/')
  const address = parseIp(slash < 0 ? text : text.slice(0, slash))
  if (address === undefined) return undefined
  if (slash < 0) return { ...address, prefix: address.bits }
  const digits = text.slice(slash + 1)
  if (!/^\d{1,3}$/.test(digits)) return undefined
  const prefix = Number(digits)
  return prefix > address.bits ? undefined : { ...address, prefix }
}

/** Whether the address (without prefix) lies in the range. False when it is not an address. */
export function ipInRange(range: IpRange, text: string): boolean {
  const address = parseIp(text)
  if (address === undefined || address.bits !== range.bits) return false
  const shift = BigInt(range.bits - range.prefix)
  return address.value >> shift === range.value >> shift
}

/** Reads "10.0.0.1" or "2001:db8::1". Undefined when it is neither. An IPv4 address written as IPv6 is the same address. */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(':')) {
    const value = parseV4(text)
    return value === undefined ? undefined : { bits: 32, value }
  }
  const value = parseV6(text)
  if (value === undefined) return undefined
  if (value >> 32n === mappedPrefix) return { bits: 32, value: value & 0xffff_ffffn }
  return { bits: 128, value }
}

/** Its first address. */
export function firstOf({ bits, value, prefix }: IpRange): bigint {
  const shift = BigInt(bits - prefix)
  return (value >> shift) << shift
}

/** How many addresses it holds. */
export function sizeOf({ bits, prefix }: IpRange): bigint {
  return 1n << BigInt(bits - prefix)
}

/** Whether they have an address in common. */
export function rangesOverlap(a: IpRange, b: IpRange): boolean {
  if (a.bits !== b.bits) return false
  const shift = BigInt(a.bits - Math.min(a.prefix, b.prefix))
  return a.value >> shift === b.value >> shift
}

/** Whether every address of `inner` lies in `outer`. */
export function rangeHolds(outer: IpRange, inner: IpRange): boolean {
  return inner.prefix >= outer.prefix && rangesOverlap(outer, inner)
}

/** As it is written: dotted, or the shortest form of RFC 5952. */
export function formatIp({ bits, value }: IpAddress): string {
  return bits === 32 ? formatV4(value) : formatV6(value)
}

/** "10.0.0.0/8": its first address and the prefix length. */
export function formatRange(range: IpRange): string {
  return `${formatIp({ bits: range.bits, value: firstOf(range) })}/${range.prefix}`
}

function formatV4(value: bigint): string {
  const number = Number(value)
  return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`
}

function formatV6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) =>
    Number((value >> BigInt(112 - 16 * i)) & 0xffffn),
  )
  let from = 0
  let length = 0
  for (let at = 0; at < 8; at++) {
    let end = at
    while (groups[end] === 0) end += 1
    if (end - at > length) {
      from = at
      length = end - at
    }
  }
  const text = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(':')
  if (length < 2) return text(groups)
  return `${text(groups.slice(0, from))}::${text(groups.slice(from + length))}`
}

function parseV4(text: string): bigint | undefined {
  const number = ipv4Number(text)
  return number === undefined ? undefined : BigInt(number)
}

/** A dotted address as a number; without objects on the way, for whoever reads very many. */
export function ipv4Number(text: string): number | undefined {
  let number = 0
  let part = -1
  let dots = 0
  for (let i = 0; i <= text.length; i++) {
    const digit = i < text.length ? text.charCodeAt(i) - 48 : -2
    if (digit >= 0 && digit <= 9) {
      // A leading zero would be octal elsewhere.
      if (part === 0) return undefined
      part = part < 0 ? digit : part * 10 + digit
      if (part > 255) return undefined
    } else {
      if (digit !== -2 || part < 0 || dots > 3) return undefined
      number = number * 256 + part
      part = -1
      dots += 1
    }
  }
  return dots === 4 ? number : undefined
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map(groupsOf)
  if (head === undefined) return undefined
  if (halves.length === 1) return head.length === 8 ? joinGroups(head) : undefined
  if (tail === undefined || head.length + tail.length > 7) return undefined
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0)
  return joinGroups([...head, ...zeros, ...tail])
}

/** The 16-bit groups of one side of "::"; a dotted IPv4 tail counts for two. */
function groupsOf(text: string): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [at, part] of parts.entries()) {
    if (part.includes('.') && at === parts.length - 1) {
      const value = parseV4(part)
      if (value === undefined) return undefined
      groups.push(Number(value >> 16n), Number(value & 0xffffn))
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined
      groups.push(Number.parseInt(part, 16))
    }
  }
  return groups
}

function joinGroups(groups: readonly number[]): bigint {
  let value = 0n
  for (const group of groups) value = (value << 16n) | BigInt(group)
  return value
}
