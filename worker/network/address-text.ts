// Subnets as users write them, in the words of nft. Pure.
import { SocketAddress } from 'node:net'
import { contains, formatIpv4, parseIpv4, sizeOf } from './ipv4.ts'

/** A subnet or address as nft lists it: no host bits, no length that covers one address, IPv6 in short form. */
export function canonicalSource(text: string): string {
  const [address = '', length] = text.split('/')
  if (address.includes(':')) {
    const short = new SocketAddress({ address, family: 'ipv6' }).address
    return length === undefined || length === '128' ? short : `${short}/${length}`
  }
  const prefix = length === undefined ? 32 : Number(length)
  const value = parseIpv4(address) ?? 0
  const base = formatIpv4(value - (value % sizeOf(prefix)))
  return prefix === 32 ? base : `${base}/${prefix}`
}

/** Whether the loopback address is in the subnet. */
export function isLoopbackSource(text: string): boolean {
  const [address = '', length] = canonicalSource(text).split('/')
  if (address.includes(':')) return address === '::1' || length === '0'
  const prefix = length === undefined ? 32 : Number(length)
  return contains({ base: parseIpv4(address) ?? 0, prefix }, 0x7f000001)
}
