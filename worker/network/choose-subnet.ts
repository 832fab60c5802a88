// Which subnet the local network of a node gets when the configuration names none. Pure.
import { SwarmError } from '../../proto/errors.ts'
import {
  formatSubnet,
  overlaps,
  parseIpv4,
  parseSubnet,
  requireSubnet,
  type Subnet,
} from './ipv4.ts'

/**
 * In order of preference. Not 10.0.0.0/8 (the cluster's own pool), not 172.17.0.0/16 and up (Docker takes those from below),
 * not 172.31.0.0/16 (the usual network of a cloud).
 */
const candidates = [
  '172.30.0.0/16',
  '172.29.0.0/16',
  '172.28.0.0/16',
  '172.27.0.0/16',
  '172.26.0.0/16',
  '172.25.0.0/16',
  '192.168.224.0/20',
  '192.168.208.0/20',
]

/**
 * The first candidate that meets none of the host's addresses and routes (`default` or texts as `ip` prints them).
 * Errors: RESOURCE_EXHAUSTED.
 */
export function chooseSubnet(occupied: readonly string[]): string {
  const taken = occupied.flatMap((text) => subnetOf(text) ?? [])
  const free = candidates.find((candidate) => {
    const subnet = requireSubnet(candidate, 'local subnet')
    return !taken.some((other) => overlaps(subnet, other))
  })
  if (free !== undefined) return free
  throw new SwarmError(
    'RESOURCE_EXHAUSTED',
    `no subnet for the local network: all of ${candidates.join(', ')} meet routes of this host. ` +
      'Set the local subnet in the configuration to one that is free',
  )
}

/** `default` routes everywhere and so is in nobody's way. */
function subnetOf(text: string): Subnet | undefined {
  const address = parseIpv4(text)
  if (address !== undefined) return { base: address, prefix: 32 }
  const [local = '', length] = text.split('/')
  const base = parseIpv4(local)
  if (base === undefined || length === undefined || length === '0') return undefined
  const size = 2 ** (32 - Number(length))
  return parseSubnet(formatSubnet({ base: base - (base % size), prefix: Number(length) }))
}

/** Errors: INVALID_ARGUMENT. */
export function requireUsableSubnet(text: string): void {
  const { prefix } = requireSubnet(text, 'local subnet')
  if (prefix >= 8 && prefix <= 29) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `local subnet "${text}" is too ${prefix < 8 ? 'large' : 'small'}: use a prefix length from 8 to 29`,
  )
}
