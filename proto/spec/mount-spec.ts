// What is mounted into a container: a folder of its host, a volume, memory. Source: Swarm's MountPoint (ContainerSpec.Mounts).
import { z } from 'zod'
import { labels, text } from './text.ts'

export const mountSpec = z
  .object({
    kind: z.enum(['bind', 'volume', 'tmpfs']).default('volume'),
    source: text.default(''),
    target: text.regex(/^\//, 'must be an absolute path in the container'),
    readOnly: z.boolean().default(false),
    /** Of Docker on other systems, where a mount may lag behind its source; on Linux it never does. */
    consistency: z.enum(['', 'default', 'consistent', 'cached', 'delegated']).default(''),
    bindPropagation: z
      .enum(['', 'rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'])
      .default(''),
    bindCreate: z.boolean().default(false),
    /** Without what is mounted below the source. */
    bindNonRecursive: z.boolean().default(false),
    /** What is mounted below stays writable. */
    readOnlyNonRecursive: z.boolean().default(false),
    /** Refused where what is mounted below cannot be made read-only too. */
    readOnlyForceRecursive: z.boolean().default(false),
    volumeNoCopy: z.boolean().default(false),
    volumeLabels: labels,
    /** Empty: local. */
    volumeDriver: text.default(''),
    volumeOptions: z.record(z.string(), text).readonly().default({}),
    /** A folder inside the volume. */
    volumeSubpath: text.default(''),
    /** slot: tasks of a slot go where its volume is. Empty: so where the name has the slot in it. */
    volumeAffinity: z.enum(['', 'slot', 'none']).default(''),
    tmpfsSizeBytes: z
      .number()
      .int()
      .min(0)
      .max(2 ** 50)
      .default(0),
    tmpfsMode: z.number().int().min(0).max(0o7777).default(0),
  })
  .readonly()

export type MountSpec = z.infer<typeof mountSpec>

/** Whether the volume belongs to one slot of its service, whose tasks then go where it is. */
export function isSlotVolume({ kind, source, volumeAffinity }: MountSpec): boolean {
  if (kind !== 'volume' || source === '') return false
  if (volumeAffinity !== '') return volumeAffinity === 'slot'
  const isOfNodeOrTask = /\{\{[^}]*\.(Node\.|Task\.(ID|Name)\b)[^}]*\}\}/.test(source)
  return !isOfNodeOrTask && /\{\{[^}]*\.Task\.Slot\b[^}]*\}\}/.test(source)
}
