// What a user sets on the cluster.
import { z } from 'zod'
import { firstOf, parseIpRange, rangesOverlap } from './ip.ts'
import { whyReserved } from './reserved-ranges.ts'
import { durationMs, labels, text } from './text.ts'

const hourMs = 3_600_000

export const defaultAddressPools: readonly string[] = ['10.0.0.0/8']
export const defaultSubnetSize = 24
export const defaultDataPathPort = 4789
export const defaultPayloadHistoryLimit = 5
export const defaultStackHistoryLimit = 10

const pool = text.refine((value) => {
  const range = value.includes('/') ? parseIpRange(value) : undefined
  return range?.bits === 32 && range.value === firstOf(range) && whyReserved(range) === undefined
}, 'must be an IPv4 subnet of hosts such as 10.20.0.0/16')

/** Two pools with an address in common would give one subnet twice. */
function areDisjoint(pools: readonly string[]): boolean {
  const ranges = pools.flatMap((one) => parseIpRange(one) ?? [])
  return ranges.every(
    (range, at) => !ranges.slice(0, at).some((other) => rangesOverlap(range, other)),
  )
}

/** Whether tasks move by themselves onto nodes that have few of their service. */
export const rebalancePolicy = z
  .object({
    mode: z.enum(['off', 'gradual']).default('off'),
    /** Tasks on the move at the same time, over the whole cluster. */
    movesMax: z.number().int().min(1).max(100).default(1),
  })
  .readonly()

export const defaultRebalance = { mode: 'off', movesMax: 1 } as const

export const clusterSpec = z
  .object({
    name: z.literal('default').default('default'),
    labels,
    /** Tasks kept a slot, the live one included; below 0: all. */
    taskHistoryLimit: z.number().int().min(-1).max(10_000).default(5),
    /** Wish for the time between an agent's heartbeats; stretched in large clusters. */
    heartbeatMs: durationMs.min(100, 'must be at least 100 ms').max(60_000).default(500),
    nodeCertExpiryMs: durationMs.min(hourMs, 'must be at least 1h').default(2160 * hourMs),
    scheduling: z.enum(['spread', 'binpack', 'random']).default('spread'),
    /** Networks that name no subnet get one of these. Set when the cluster is made. */
    defaultAddressPools: z
      .array(pool)
      .min(1)
      .max(64)
      .refine(areDisjoint, 'must not overlap')
      .readonly()
      .default(defaultAddressPools),
    /** Prefix length of such a subnet. Set when the cluster is made. */
    subnetSize: z.number().int().min(8).max(29).default(defaultSubnetSize),
    /** UDP port of VXLAN. Set when the cluster is made. */
    dataPathPort: z.number().int().min(1024).max(49_151).default(defaultDataPathPort),
    rebalance: rebalancePolicy.default(defaultRebalance),
    /** Versions of a secret or config that are kept besides the present one. */
    payloadHistoryLimit: z.number().int().min(0).max(1_000).default(defaultPayloadHistoryLimit),
    /** Revisions of a stack that are kept besides the newest. */
    stackHistoryLimit: z.number().int().min(0).max(50).default(defaultStackHistoryLimit),
    /** Whether services may have devices of nodes, or be privileged. */
    allowPrivileged: z.boolean().default(false),
  })
  .refine(
    ({ defaultAddressPools: pools, subnetSize }) =>
      pools.every((one) => (parseIpRange(one)?.prefix ?? 0) <= subnetSize),
    {
      path: ['defaultAddressPools'],
      message: 'must each hold a subnet: their prefix is above subnetSize',
    },
  )
  .readonly()

export type RebalancePolicy = z.infer<typeof rebalancePolicy>
export type ClusterSpec = z.infer<typeof clusterSpec>
