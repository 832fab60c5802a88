// The control group of a container in OCI form. Pure: what of it depends on the host is an argument.
import type { ResourceLimits } from '../executor.ts'
import type { OciDevice } from './devices.ts'

/** Of a TuningSpec, as this host can do it. */
export interface ResolvedTuning {
  /** Memory and swap together; -1: no limit. Absent: as the host's other containers. */
  readonly memorySwapBytes?: number
  readonly swappiness?: number
  readonly cpus?: string
  readonly memoryNodes?: string
  readonly cpuShares?: number
  readonly blkioWeight?: number
  readonly ioLimits: readonly ResolvedIoLimit[]
}

export interface ResolvedIoLimit {
  readonly kind: 'read-bps' | 'write-bps' | 'read-iops' | 'write-iops'
  readonly major: number
  readonly minor: number
  /** A second. */
  readonly rate: number
}

export interface ResourcesInput {
  readonly limits: ResourceLimits
  readonly tuning?: ResolvedTuning
  /** Given to it. `all`: every device there is. */
  readonly devices: readonly OciDevice[] | 'all'
  /** Whether the host swaps, so that a limit of swap means something. */
  readonly hostSwaps: boolean
}

export function ociResources(input: ResourcesInput): object {
  const { limits, tuning = { ioLimits: [] } } = input
  const { pids = 0 } = limits
  const memory = memorySection(input)
  const cpu = cpuSection(limits, tuning)
  const blockIO = blockIoSection(tuning)
  return {
    devices: deviceRules(input.devices),
    ...(Object.keys(memory).length > 0 ? { memory } : {}),
    ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
    ...(pids > 0 ? { pids: { limit: pids } } : {}),
    ...(Object.keys(blockIO).length > 0 ? { blockIO } : {}),
  }
}

function deviceRules(devices: ResourcesInput['devices']): readonly object[] {
  if (devices === 'all') return [{ allow: true, access: 'rwm' }]
  return [
    { allow: false, access: 'rwm' },
    ...devices.map(({ type, major, minor, access }) => ({
      allow: true,
      type,
      major,
      minor,
      access,
    })),
  ]
}

function memorySection({ limits, tuning, hostSwaps }: ResourcesInput): object {
  const { memoryBytes = 0 } = limits
  // As Docker: as much swap again as memory.
  const usual = hostSwaps ? 2 * memoryBytes : undefined
  const swap = tuning?.memorySwapBytes ?? usual
  return {
    ...(memoryBytes > 0 ? { limit: memoryBytes, ...(swap === undefined ? {} : { swap }) } : {}),
    ...(tuning?.swappiness === undefined ? {} : { swappiness: tuning.swappiness }),
  }
}

function cpuSection({ nanoCpus = 0 }: ResourceLimits, tuning: ResolvedTuning): object {
  const { cpuShares, cpus, memoryNodes } = tuning
  return {
    ...(nanoCpus > 0 ? cpuQuota(nanoCpus) : {}),
    ...(cpuShares === undefined ? {} : { shares: cpuShares }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(memoryNodes === undefined ? {} : { mems: memoryNodes }),
  }
}

const throttles = [
  ['read-bps', 'throttleReadBpsDevice'],
  ['write-bps', 'throttleWriteBpsDevice'],
  ['read-iops', 'throttleReadIOPSDevice'],
  ['write-iops', 'throttleWriteIOPSDevice'],
] as const

function blockIoSection({ blkioWeight, ioLimits }: ResolvedTuning): object {
  const limits = throttles.map(([kind, field]) => {
    const own = ioLimits.filter((limit) => limit.kind === kind)
    const rates = own.map(({ major, minor, rate }) => ({ major, minor, rate }))
    return rates.length > 0 ? { [field]: rates } : {}
  })
  return Object.assign({}, blkioWeight === undefined ? {} : { weight: blkioWeight }, ...limits)
}

/** The kernel takes no quota under 1 ms: small shares get a longer period. */
export function cpuQuota(nanoCpus: number): { readonly quota: number; readonly period: number } {
  const period = nanoCpus < 10_000_000 ? 1_000_000 : 100_000
  return { quota: Math.max(1_000, Math.round((nanoCpus * period) / 1e9)), period }
}
