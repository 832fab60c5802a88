// What a user sets on a node.
import { z } from 'zod'
import type { platform } from './service-spec.ts'
import { labels, text } from './text.ts'

export const nodeSpec = z
  .object({
    name: text.max(63).default(''),
    labels,
    role: z.enum(['worker', 'manager']),
    availability: z.enum(['active', 'pause', 'drain']).default('active'),
  })
  .readonly()

export type NodeSpec = z.infer<typeof nodeSpec>
export type Platform = z.infer<typeof platform>
