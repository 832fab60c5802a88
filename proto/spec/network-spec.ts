// What a user writes of a network. Rules that need other networks or the pools are the managers'.
import { z } from 'zod'
import { parseIp, parseIpRange } from './ip.ts'
import { labels, text } from './text.ts'

/** As of Docker; names differ by more than case. */
export const networkName = z
  .string()
  .regex(
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/,
    'must be 1 to 63 letters, digits, "_", "." or "-", and begin with a letter or digit',
  )

const cidr = text.refine(
  (value) => value.includes('/') && parseIpRange(value) !== undefined,
  'must be a subnet such as 10.1.0.0/16 or fd00:1::/64',
)

const address = text.refine((value) => parseIp(value) !== undefined, 'must be an IP address')

export const subnetSpec = z
  .object({
    /** Empty: taken from the cluster's pools. */
    subnet: z.union([z.literal(''), cidr]).default(''),
    /** Empty: all of the subnet. */
    ipRange: z.union([z.literal(''), cidr]).default(''),
    /** Empty: the first address. */
    gateway: z.union([z.literal(''), address]).default(''),
  })
  .readonly()

export const networkSpec = z
  .object({
    name: networkName,
    labels,
    /** overlay, or bridge: each node has it for itself. Others are predefined (predefined-networks.ts). */
    driver: text.default('overlay'),
    subnets: z
      .array(subnetSpec)
      .max(2, 'at most one of IPv4 and one of IPv6')
      .readonly()
      .default([]),
    ipv6: z.boolean().default(false),
    isInternal: z.boolean().default(false),
    isAttachable: z.boolean().default(false),
    isIngress: z.boolean().default(false),
    options: z.record(z.string().min(1).max(256), text).readonly().default({}),
  })
  .readonly()

export type SubnetSpec = z.infer<typeof subnetSpec>
export type NetworkSpec = z.infer<typeof networkSpec>

/** Networks of these drivers can be made. */
export const networkDrivers = ['overlay', 'bridge'] as const

/** Whether tasks of different nodes are on it together. Predefined networks are of each node too. */
export function isLocalNetwork({ driver }: Pick<NetworkSpec, 'driver'>): boolean {
  return driver !== 'overlay'
}

/** As listings show it. Source: Docker's scopes. */
export function scopeOf(spec: Pick<NetworkSpec, 'driver'>): 'swarm' | 'local' {
  return isLocalNetwork(spec) ? 'local' : 'swarm'
}

/** The one driver option that is known. */
export const mtuOption = 'com.docker.network.driver.mtu'
const overlayMtu = 1450
/** Nothing is put around packets that stay on their node. */
const localMtu = 1500

/** What the network's devices carry at most. Source: Docker's drivers have the same. */
export function mtuOf(spec: NetworkSpec): number {
  const given = spec.options[mtuOption]
  if (given !== undefined) return Number(given)
  return isLocalNetwork(spec) ? localMtu : overlayMtu
}
