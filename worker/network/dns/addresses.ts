// Addresses as bytes and back, and which subnet they lie in. Pure.
import { ipv4Number, parseIp } from '../../../proto/spec/ip.ts'

/** 4 or 16 bytes, or undefined when the text is no address. */
export function addressBytes(text: string): Buffer | undefined {
  const number = ipv4Number(text)
  if (number !== undefined) {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeUInt32BE(number)
    return bytes
  }
  const address = parseIp(text)
  if (address === undefined) return undefined
  return Buffer.from(address.value.toString(16).padStart(address.bits / 4, '0'), 'hex')
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
