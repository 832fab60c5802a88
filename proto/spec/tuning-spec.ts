// What a user writes of the control group of a service's containers besides Swarm's limits. Source: Docker's flags of `run`
// (--cpuset-cpus, --blkio-weight, --device-read-bps …), and --memory-swap and --memory-swappiness of its services.
import { z } from 'zod'
import { text } from './text.ts'

export const ioLimitKinds = ['read-bps', 'write-bps', 'read-iops', 'write-iops'] as const

export const ioLimit = z
  .object({
    kind: z.enum(ioLimitKinds),
    /** Path of the block device on the node. */
    device: text.regex(/^\/dev\/.+/, 'must be a device such as /dev/sda'),
    /** Bytes or operations a second. */
    rate: z
      .number()
      .int()
      .min(1)
      .max(2 ** 50),
  })
  .readonly()

const numberMax = 65_535

/** `0-2,5`. */
const numbers = text.refine(
  (list) => numberRanges(list) !== undefined,
  `must be numbers and ranges such as 0-2,5, none above ${numberMax}`,
)

export const tuningSpec = z
  .object({
    /** Besides the limit of memory; -1: no limit. Absent: as much as memory. */
    swapBytes: z
      .number()
      .int()
      .min(-1)
      .max(2 ** 50)
      .optional(),
    /** Absent: the node's. */
    swappiness: z.number().int().min(0).max(100).optional(),
    /** Processors that may be used. */
    cpus: numbers.optional(),
    /** Memory nodes that may be used. */
    memoryNodes: numbers.optional(),
    /** When processors are short; 1024 is usual. */
    cpuShares: z.number().int().min(2).max(262_144).optional(),
    /** When disks are short. */
    blkioWeight: z.number().int().min(10).max(1_000).optional(),
    ioLimits: z.array(ioLimit).max(64).readonly().default([]),
  })
  .readonly()

export type IoLimit = z.infer<typeof ioLimit>
export type TuningSpec = z.infer<typeof tuningSpec>

export const noTuning: TuningSpec = { ioLimits: [] }

/** Undefined for one that says nothing, so that equal specs are equal. */
export function saidTuning(spec: TuningSpec): TuningSpec | undefined {
  const { ioLimits, ...values } = spec
  const saysAny = Object.values(values).some((value) => value !== undefined)
  return saysAny || ioLimits.length > 0 ? spec : undefined
}

export interface NumberRange {
  readonly from: number
  readonly to: number
}

/** Of `0-2,5`; undefined when it is no such list. */
export function numberRanges(list: string): readonly NumberRange[] | undefined {
  const ranges = list.split(',').map((part): NumberRange | undefined => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part)
    if (match === null) return undefined
    const from = Number(match[1])
    const to = Number(match[2] ?? match[1])
    return from <= to && to <= numberMax ? { from, to } : undefined
  })
  const read = ranges.filter((range) => range !== undefined)
  return read.length === ranges.length ? read : undefined
}
