// Whether addresses that a user asks for can be had on a network at all. Pure. Who has them by now is the caller's to know.
import type { Network, NetworkSubnet } from '../../proto/objects/index.ts'
import {
  firstOf,
  formatIp,
  type IpAddress,
  parseIp,
  parseIpRange,
  sizeOf,
} from '../../proto/spec/ip.ts'

export type WishedAddresses =
  | {
      readonly kind: 'ok'
      /** As the cluster writes them. */
      readonly addresses: readonly string[]
    }
  | { readonly kind: 'refused'; readonly reason: string }

/** `holder`: who has the address, in words. */
export function checkWished(
  { spec, subnets }: Pick<Network, 'spec' | 'subnets'>,
  wished: readonly string[],
  holder: (address: string) => string | undefined,
): WishedAddresses {
  const addresses: string[] = []
  for (const text of wished) {
    const address = parseIp(text)
    if (address === undefined) return refused(text, 'is no IP address: write for example 10.0.1.7')
    const written = formatIp(address)
    const isSecond = addresses.some((other) => other.includes(':') === written.includes(':'))
    if (isSecond) return refused(text, `is a second one of ${familyOf(address)}: ask for one`)
    const subnet = subnets.find(({ subnet }) => parseIpRange(subnet)?.bits === address.bits)
    const why =
      subnet === undefined
        ? `cannot be: the network has no ${familyOf(address)} subnet`
        : (whyNot(subnet, address) ?? takenBy(holder(written), spec.name))
    if (why !== undefined) return refused(text, why)
    addresses.push(written)
  }
  return { kind: 'ok', addresses }
}

function whyNot({ subnet, gateway }: NetworkSubnet, address: IpAddress): string | undefined {
  const range = parseIpRange(subnet)
  if (range === undefined) return undefined
  const first = firstOf(range)
  const last = first + sizeOf(range) - 1n
  const instead = `ask for another of ${subnet}`
  if (address.value < first || address.value > last) {
    return `lies outside of ${subnet}: ask for one of that subnet`
  }
  if (address.value === first) return `is the address of ${subnet} itself: ${instead}`
  if (address.value === last) return `is the last of ${subnet}, which is nobody's: ${instead}`
  if (parseIp(gateway)?.value === address.value) return `is the gateway's: ${instead}`
  return undefined
}

function takenBy(holder: string | undefined, network: string): string | undefined {
  if (holder === undefined) return undefined
  return `is in use by ${holder}: ask for another ("tsswarm network inspect -v ${network}" lists them)`
}

function familyOf({ bits }: IpAddress): string {
  return bits === 32 ? 'IPv4' : 'IPv6'
}

function refused(text: string, why: string): WishedAddresses {
  return { kind: 'refused', reason: `("${text}") ${why}` }
}
