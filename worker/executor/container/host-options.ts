// Options of a container that not every host can do: looked up when a container asks for one, so that it is refused with the
// reason instead of running without.
import { existsSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { SecuritySpec } from '../../../proto/spec/security-spec.ts'
import { type IoLimit, numberRanges, type TuningSpec } from '../../../proto/spec/tuning-spec.ts'
import type { ContainerConfig } from '../executor.ts'
import type { CgroupVersion } from './cgroups.ts'
import { deviceNumbers } from './devices.ts'
import type { ResolvedIoLimit, ResolvedTuning } from './oci-resources.ts'

/** What is asked of the host that runs the container. */
export interface HostAbilities {
  readonly version: CgroupVersion
  /** A control group of ours that is not the root, in each tree. */
  readonly sample: string
  readonly hostSwaps: boolean
  /** Of this daemon, one bit each as the kernel numbers them. */
  readonly capabilities: bigint
}

/** Looks once at what does not change. `sample`: as in HostAbilities. */
export async function hostAbilities(
  version: CgroupVersion,
  sample: string,
): Promise<HostAbilities> {
  const [swaps, status] = await Promise.all([
    readFile('/proc/swaps', 'utf8').catch(() => ''),
    readFile('/proc/self/status', 'utf8').catch(() => ''),
  ])
  const bits = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'
  // /proc/swaps has one heading line.
  const hostSwaps = swaps.trim().split('\n').length > 1
  return { version, sample, hostSwaps, capabilities: BigInt(`0x${bits}`) }
}

export interface TuningOutcome {
  readonly tuning?: ResolvedTuning
  /** What the runtime does not write by itself: absolute path and value, once the container is made. */
  readonly files: readonly { readonly path: string; readonly value: string }[]
}

const cgroupRoot = '/sys/fs/cgroup'

/** Errors: UNSUPPORTED, INVALID_ARGUMENT, naming container, option and what the host has. */
export async function resolveTuning(
  config: ContainerConfig,
  cgroupPath: string,
  host: HostAbilities,
): Promise<TuningOutcome> {
  const { tuning, name } = config
  if (tuning === undefined) return { files: [] }
  const { cpus, memoryNodes, cpuShares } = tuning
  await checkNumbers(name, 'CPUs', cpus, '/sys/devices/system/cpu/online')
  await checkNumbers(name, 'memory nodes', memoryNodes, '/sys/devices/system/node/online')
  const weight = weightOf(name, tuning, cgroupPath, host)
  return {
    tuning: {
      ...swapOf(config, tuning, host),
      ...swappinessOf(name, tuning, host),
      ...(cpus === undefined ? {} : { cpus }),
      ...(memoryNodes === undefined ? {} : { memoryNodes }),
      ...(cpuShares === undefined ? {} : { cpuShares }),
      ...weight.tuning,
      ioLimits: await Promise.all(tuning.ioLimits.map((limit) => resolveLimit(name, limit))),
    },
    files: weight.files,
  }
}

/** Writes what the runtime left out. */
export async function writeGroupFiles(files: TuningOutcome['files']): Promise<void> {
  for (const { path, value } of files) await writeFile(path, value)
}

function swapOf(
  { resources = {}, name }: ContainerConfig,
  { swapBytes }: TuningSpec,
  { version, hostSwaps }: HostAbilities,
): Pick<ResolvedTuning, 'memorySwapBytes'> {
  const { memoryBytes = 0 } = resources
  if (swapBytes === undefined || memoryBytes === 0) return {}
  // Version 2 always counts it.
  const isCounted = version === 2 || existsSync(`${cgroupRoot}/memory/memory.memsw.limit_in_bytes`)
  if (isCounted) return { memorySwapBytes: swapBytes === -1 ? -1 : memoryBytes + swapBytes }
  if (!hostSwaps) return {}
  throw unsupported(
    `${name} limits swap, and the kernel of this host does not count it: boot it with swapaccount=1`,
  )
}

function swappinessOf(
  name: string,
  { swappiness }: TuningSpec,
  { version }: HostAbilities,
): Pick<ResolvedTuning, 'swappiness'> {
  if (swappiness === undefined) return {}
  if (version === 1) return { swappiness }
  throw unsupported(
    `${name} asks for a swappiness, which control groups of version 2 do not have: leave it out, or limit swap`,
  )
}

/** The kernel has one of two; of the older kind the runtime writes that of CFQ alone, which is gone since 5.0. */
function weightOf(
  name: string,
  { blkioWeight: weight }: TuningSpec,
  cgroupPath: string,
  { version, sample }: HostAbilities,
): {
  readonly tuning: Pick<ResolvedTuning, 'blkioWeight'>
  readonly files: TuningOutcome['files']
} {
  if (weight === undefined) return { tuning: {}, files: [] }
  const tree = version === 2 ? cgroupRoot : `${cgroupRoot}/blkio`
  const has = (file: string): boolean => existsSync(`${tree}${sample}/${file}`)
  if (version === 2 || has('blkio.weight')) return { tuning: { blkioWeight: weight }, files: [] }
  const file = 'blkio.bfq.weight'
  if (has(file)) {
    const path = `${tree}${cgroupPath}/${file}`
    return { tuning: {}, files: [{ path, value: `${weight}` }] }
  }
  throw unsupported(
    `${name} asks for a share of disks, and the kernel of this host has none (it lacks BFQ): leave it out`,
  )
}

async function checkNumbers(
  name: string,
  what: string,
  list: string | undefined,
  onlinePath: string,
): Promise<void> {
  if (list === undefined) return
  const text = (await readFile(onlinePath, 'utf8').catch(() => '0')).trim()
  const online = numberRanges(text) ?? []
  const missing = (numberRanges(list) ?? []).some(
    ({ from, to }) => !online.some((range) => range.from <= from && to <= range.to),
  )
  if (!missing) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${name} asks for the ${what} ${list}, and this host has ${text}: name some of those`,
  )
}

async function resolveLimit(name: string, limit: IoLimit): Promise<ResolvedIoLimit> {
  const found = await stat(limit.device).catch(() => undefined)
  if (found?.isBlockDevice()) {
    return { kind: limit.kind, rate: limit.rate, ...deviceNumbers(found.rdev) }
  }
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${name} limits ${limit.device}, which is no disk of this host: name a block device (lsblk shows them)`,
  )
}

/** Where the kernel tells of AppArmor. */
const appArmorOfKernel = {
  enabled: '/sys/module/apparmor/parameters/enabled',
  profiles: '/sys/kernel/security/apparmor/profiles',
}

/** Errors: UNSUPPORTED where the kernel has no AppArmor, INVALID_ARGUMENT where the profile is not loaded. */
export async function appArmorProfile(
  name: string,
  security: SecuritySpec | undefined,
  kernel = appArmorOfKernel,
): Promise<string | undefined> {
  const wanted = security?.appArmor
  // Without a profile of its own a container has none.
  if (wanted === undefined || wanted === 'unconfined') return undefined
  const enabled = await readFile(kernel.enabled, 'utf8').catch(() => '')
  if (!enabled.startsWith('Y')) {
    throw unsupported(
      `${name} asks for the AppArmor profile ${wanted}, and the kernel of this host has no AppArmor: leave it out, or ` +
        'place its tasks where there is, with --constraint',
    )
  }
  const loaded = await readFile(kernel.profiles, 'utf8').catch(() => '')
  if (loaded.split('\n').some((line) => line.replace(/ \([^)]*\)$/, '') === wanted)) return wanted
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${name} asks for the AppArmor profile ${wanted}, which is not loaded on this host: apparmor_parser -r FILE loads it`,
  )
}

function unsupported(text: string): SwarmError {
  return new SwarmError('UNSUPPORTED', text)
}
