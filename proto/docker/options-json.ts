// Rights and control-group settings of a service's containers as JSON. Docker's names where it has some; what its API does not
// have stands beside them.
import type { SecuritySpec } from '../spec/security-spec.ts'
import type { ContainerSpec } from '../spec/service-spec.ts'
import type { TuningSpec } from '../spec/tuning-spec.ts'
import { type Json, omitEmpty } from './json.ts'

/** Docker's Privileges; ours are SystemPaths, Privileged, UsernsMode (a container's name for it) and Devices. */
export function privilegesJson({ security, noNewPrivileges }: ContainerSpec): Json {
  return omitEmpty({
    NoNewPrivileges: noNewPrivileges,
    Seccomp: seccompJson(security?.seccomp),
    AppArmor: appArmorJson(security?.appArmor),
    SystemPaths: security?.systemPathsUnconfined ? 'unconfined' : '',
    Privileged: security?.privileged,
    UsernsMode: security?.hostUsers ? 'host' : '',
    Devices: devicesJson(security),
  })
}

/** A profile is bytes there, in base64. */
function seccompJson(seccomp: string | undefined): Json {
  if (seccomp === undefined) return {}
  if (seccomp === 'unconfined') return { Mode: 'unconfined' }
  return { Mode: 'custom', Profile: Buffer.from(seccomp).toString('base64') }
}

function appArmorJson(profile: string | undefined): Json {
  if (profile === undefined) return {}
  return profile === 'unconfined' ? { Mode: 'disabled' } : { Mode: 'custom', Profile: profile }
}

function devicesJson(security: SecuritySpec | undefined): Json {
  return (security?.devices ?? []).map(({ source, target, access }) => ({
    PathOnHost: source,
    PathInContainer: target,
    CgroupPermissions: access,
  }))
}

/** Beside Limits and Reservations: SwapBytes and MemorySwappiness are Docker's, the others have the names of its containers. */
export function tuningJson(tuning: TuningSpec | undefined): Readonly<Record<string, Json>> {
  if (tuning === undefined) return {}
  const { swapBytes, swappiness, cpus = '', memoryNodes = '', ioLimits } = tuning
  const rates = (kind: string): Json =>
    ioLimits
      .filter((limit) => limit.kind === kind)
      .map(({ device, rate }) => ({ Path: device, Rate: rate }))
  return {
    // 0 says something.
    ...(swapBytes === undefined ? {} : { SwapBytes: swapBytes }),
    ...(swappiness === undefined ? {} : { MemorySwappiness: swappiness }),
    ...omitEmpty({
      CpusetCpus: cpus,
      CpusetMems: memoryNodes,
      CpuShares: tuning.cpuShares,
      BlkioWeight: tuning.blkioWeight,
      BlkioDeviceReadBps: rates('read-bps'),
      BlkioDeviceWriteBps: rates('write-bps'),
      BlkioDeviceReadIOps: rates('read-iops'),
      BlkioDeviceWriteIOps: rates('write-iops'),
    }),
  }
}
