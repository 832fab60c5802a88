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
    /** The cluster makes overlay networks; others are each node's own (predefined-networks.ts). */
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

/** The one driver option that is known. */
export const mtuOption = 'com.docker.network.driver.mtu'
const mtuDefault = 1450

/** What the network's devices carry at most. Source: Docker's overlay driver has 1450 too. */
export function mtuOf(spec: NetworkSpec): number {
  const given = spec.options[mtuOption]
  return given === undefined ? mtuDefault : Number(given)
}
