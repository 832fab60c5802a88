// IPv4 addresses, subnets and MAC addresses as text and numbers. Pure.
import { SwarmError } from '../../proto/errors.ts'
import type { Random } from '../../proto/lib/random.ts'

export interface Subnet {
  /** Lowest address, as an unsigned number. */
  readonly base: number
  readonly prefix: number
}

/** The address as an unsigned number, or undefined when the text is not a dotted quad. */
export function parseIpv4(text: string): number | undefined {
  if (!/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text)) return undefined
  let value = 0
  for (const part of text.split('.')) {
    const octet = Number(part)
    if (octet > 255) return undefined
    value = value * 256 + octet
  }
  return value
}

export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}

/** `a.b.c.d/prefix` with all host bits zero, or undefined. */
export function parseSubnet(text: string): Subnet | undefined {
  const [address = '', length = '', ...rest] = text.split('/')
  const base = parseIpv4(address)
  if (base === undefined || rest.length > 0 || !/^\d{1,2}$/.test(length)) return undefined
  const prefix = Number(length)
  if (prefix > 32 || base % sizeOf(prefix) !== 0) return undefined
  return { base, prefix }
}

/** As parseSubnet. Errors: INVALID_ARGUMENT, naming `what`. */
export function requireSubnet(text: string, what: string): Subnet {
  const subnet = parseSubnet(text)
  if (subnet !== undefined) return subnet
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${what} "${text}" is not an IPv4 subnet: write it as ADDRESS/PREFIX with zero host bits, such as 172.30.0.0/16`,
  )
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatIpv4(subnet.base)}/${subnet.prefix}`
}

/** How many addresses a subnet of this prefix length has. */
export function sizeOf(prefix: number): number {
  return 2 ** (32 - prefix)
}

export function contains(subnet: Subnet, address: number): boolean {
  return address >= subnet.base && address < subnet.base + sizeOf(subnet.prefix)
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return contains(a, b.base) || contains(b, a.base)
}

/** A random locally administered unicast MAC address; never derived from an IP address. */
export function randomMac(random: Random): string {
  const bytes = [...random.bytes(6)]
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}
