// Addresses as bytes and back, and which subnet they lie in. Pure.
import { isIPv4, isIPv6 } from 'node:net'

/** 4 or 16 bytes, or undefined when the text is no address. */
export function addressBytes(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number))
  if (!isIPv6(text) || text.includes('%')) return undefined
  const lastColon = text.lastIndexOf(':')
  const tail = text.slice(lastColon + 1)
  const quad = isIPv4(tail) ? tail.split('.').map(Number) : undefined
  const plain = quad === undefined ? text : text.slice(0, lastColon + 1) + inGroups(quad)
  const [head = '', rest] = plain.split('::')
  const before = groupsOf(head)
  const after = rest === undefined ? [] : groupsOf(rest)
  const zeros = new Array<number>(8 - before.length - after.length).fill(0)
  const bytes = Buffer.alloc(16)
  for (const [i, group] of [...before, ...zeros, ...after].entries()) {
    bytes.writeUInt16BE(group, 2 * i)
  }
  return bytes
}

function groupsOf(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

function inGroups([a = 0, b = 0, c = 0, d = 0]: readonly number[]): string {
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

/** The same for every way to write an address. */
export function addressKey(bytes: Buffer): string {
  return bytes.toString('latin1')
}

export interface AddressRange {
  readonly bytes: Buffer
  readonly prefix: number
}

/** `ADDRESS/PREFIX`, or undefined. */
export function addressRange(text: string): AddressRange | undefined {
  const [address = '', length = ''] = text.split('/')
  const bytes = addressBytes(address)
  const prefix = Number(length)
  if (bytes === undefined || !/^\d{1,3}$/.test(length) || prefix > bytes.length * 8)
    return undefined
  return { bytes, prefix }
}

export function isInRange(range: AddressRange, address: Buffer): boolean {
  if (range.bytes.length !== address.length) return false
  const whole = range.prefix >> 3
  if (range.bytes.compare(address, 0, whole, 0, whole) !== 0) return false
  const rest = range.prefix & 7
  if (rest === 0) return true
  const difference = (range.bytes[whole] ?? 0) ^ (address[whole] ?? 0)
  return difference >> (8 - rest) === 0
}

/** The address a name below in-addr.arpa or ip6.arpa stands for, or undefined. `name`: in lower case. */
export function reversedAddress(name: string): Buffer | undefined {
  if (name.endsWith('.in-addr.arpa')) {
    const octets = name.slice(0, -'.in-addr.arpa'.length).split('.')
    return octets.length === 4 ? addressBytes(octets.reverse().join('.')) : undefined
  }
  if (!name.endsWith('.ip6.arpa')) return undefined
  const digits = name.slice(0, -'.ip6.arpa'.length).split('.').reverse().join('')
  return /^[0-9a-f]{32}$/.test(digits) && name.length === 72
    ? Buffer.from(digits, 'hex')
    : undefined
}
