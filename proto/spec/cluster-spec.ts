// What a user sets on the cluster.
import { z } from 'zod'
import { durationMs, labels } from './text.ts'

const hourMs = 3_600_000

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
  })
  .readonly()

export type ClusterSpec = z.infer<typeof clusterSpec>
