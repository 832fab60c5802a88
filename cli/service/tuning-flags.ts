// Flags of a container's control group besides Swarm's limits: swap, cpuset, shares, disks.
import {
  type IoLimit,
  noTuning,
  saidTuning,
  type TuningSpec,
} from '../../proto/spec/tuning-spec.ts'
import { type FlagValues, integer, list, text } from '../flags.ts'
import { read } from '../read-flag.ts'
import { parseBytes } from '../units.ts'
import { changeKeyed } from './assignments.ts'

export const tuningFlags = {
  'blkio-weight': integer('Share of disks when they are short (10 to 1000; 0 = as the others)', {
    min: 0,
    max: 1_000,
  }),
  'cpu-shares': integer('Share of CPUs when they are short (2 to 262144; 0 = 1024)', {
    min: 0,
    max: 262_144,
  }),
  'cpuset-cpus': text('CPUs that may be used (0-2,5; empty = all)', { takes: 'list' }),
  'cpuset-mems': text('Memory nodes that may be used (0-2,5; empty = all)', { takes: 'list' }),
  'device-read-bps': list('Limit bytes read from a disk in a second (PATH:BYTES)'),
  'device-read-iops': list('Limit reads from a disk in a second (PATH:NUMBER)'),
  'device-write-bps': list('Limit bytes written to a disk in a second (PATH:BYTES)'),
  'device-write-iops': list('Limit writes to a disk in a second (PATH:NUMBER)'),
  'memory-swap': text('Limit swap besides memory (-1 = unlimited; "" = as much as memory)', {
    takes: 'bytes',
  }),
  'memory-swappiness': integer("Tune swapping (0 to 100; -1 = the node's)", { min: -1, max: 100 }),
}

type TuningFlags = FlagValues<typeof tuningFlags>

/** The present settings with what flags say; a limit of 0 takes it away. Errors: USAGE. */
export function changeTuning(
  present: TuningSpec | undefined,
  flags: TuningFlags,
): { readonly tuning?: TuningSpec } {
  const before = present ?? noTuning
  const given = flags['memory-swap']
  const swap =
    given === undefined ? before.swapBytes : read('memory-swap', () => parseSwap(given), given)
  const tuning = saidTuning({
    ...number('swapBytes', swap, undefined),
    ...number('swappiness', flags['memory-swappiness'] ?? before.swappiness, -1),
    ...set('cpus', flags['cpuset-cpus'] ?? before.cpus),
    ...set('memoryNodes', flags['cpuset-mems'] ?? before.memoryNodes),
    ...number('cpuShares', flags['cpu-shares'] ?? before.cpuShares, 0),
    ...number('blkioWeight', flags['blkio-weight'] ?? before.blkioWeight, 0),
    ioLimits: changedLimits(before.ioLimits, flags),
  })
  return tuning === undefined ? {} : { tuning }
}

type NumberField = 'swapBytes' | 'swappiness' | 'cpuShares' | 'blkioWeight'

function number(
  field: NumberField,
  value: number | undefined,
  none: number | undefined,
): Partial<TuningSpec> {
  return value === undefined || value === none ? {} : { [field]: value }
}

function set(field: 'cpus' | 'memoryNodes', value: string | undefined): Partial<TuningSpec> {
  return value === undefined || value === '' ? {} : { [field]: value }
}

/** Undefined: as much as memory. Errors: Error. */
export function parseSwap(text: string): number | undefined {
  if (text === '') return undefined
  return text === '-1' ? -1 : parseBytes(text)
}

function changedLimits(before: readonly IoLimit[], flags: TuningFlags): readonly IoLimit[] {
  const kinds = ['read-bps', 'read-iops', 'write-bps', 'write-iops'] as const
  const added = kinds.flatMap((kind) => {
    const flag = `device-${kind}` as const
    return flags[flag].map((text) => read(flag, () => parseIoLimit(kind, text), text))
  })
  const key = ({ kind, device }: IoLimit): string => `${kind} ${device}`
  return changeKeyed(before, { removed: [], added }, key).filter(({ rate }) => rate > 0)
}

/** `/dev/sda:10mb`, `/dev/sda:100`. Errors: Error. */
export function parseIoLimit(kind: IoLimit['kind'], text: string): IoLimit {
  const [, device = '', value = ''] = /^(\/[^:]+):([^:]+)$/.exec(text) ?? []
  if (device === '') throw new Error('must be PATH:RATE, such as /dev/sda:10m')
  if (kind === 'read-bps' || kind === 'write-bps') return { kind, device, rate: parseBytes(value) }
  if (!/^\d{1,12}$/.test(value)) throw new Error('must be PATH:NUMBER, such as /dev/sda:100')
  return { kind, device, rate: Number(value) }
}
