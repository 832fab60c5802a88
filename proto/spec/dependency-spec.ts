// What a service waits for before its tasks start. Source: Compose's depends_on.
import { z } from 'zod'
import { serviceName } from './text.ts'

export const dependencyConditions = ['started', 'healthy', 'completed_successfully'] as const

export const dependencySpec = z
  .object({
    /** Its name: it may be made later, and be made anew. */
    service: serviceName,
    condition: z.enum(dependencyConditions).default('started'),
  })
  .readonly()

export type DependencySpec = z.infer<typeof dependencySpec>
export type DependencyCondition = DependencySpec['condition']
