// Addresses that published ports are bound to: when two of them are the same port. Text: empty is every address of the node,
// 0.0.0.0 and :: are every one of their family.
import { formatIp, parseIp } from '../spec/ip.ts'

/** In the one form that addresses are compared in; text that is no address stays. */
export function canonicalBind(text: string): string {
  const address = parseIp(text)
  return address === undefined ? text : formatIp(address)
}

/** Whether it stands for every address, of one family or both. */
export function isWildcardBind(text: string): boolean {
  return text === '' || text === '0.0.0.0' || canonicalBind(text) === '::'
}

/** Whether the same port at both would get packets sent to the same address. */
export function bindsMeet(one: string, other: string): boolean {
  if (one === '' || other === '') return true
  const [a, b] = [canonicalBind(one), canonicalBind(other)]
  if (a === b) return true
  return a.includes(':') === b.includes(':') && (isWildcardBind(a) || isWildcardBind(b))
}

/** Of an address; of none it is IPv4, as every network has that. */
export function familyOfBind(text: string): 4 | 6 {
  return canonicalBind(text).includes(':') ? 6 : 4
}
