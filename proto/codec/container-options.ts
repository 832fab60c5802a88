// SecuritySpec and TuningSpec <-> protobuf.
import type {
  SecurityOptions as SecurityProto,
  TuningSpec as TuningProto,
} from '../gen/tsswarm/v1/objects.ts'
import { type SecuritySpec, saidSecurity } from '../spec/security-spec.ts'
import { type IoLimit, saidTuning, type TuningSpec } from '../spec/tuning-spec.ts'

export function securityToProto(spec: SecuritySpec | undefined): SecurityProto | undefined {
  return (
    spec && {
      seccomp: spec.seccomp ?? '',
      appArmor: spec.appArmor ?? '',
      systemPathsUnconfined: spec.systemPathsUnconfined ?? false,
      privileged: spec.privileged ?? false,
      hostUsers: spec.hostUsers ?? false,
      devices: spec.devices,
    }
  )
}

/** The field of a container's spec; none where nothing is said. */
export function securityFromProto(proto: SecurityProto | undefined): {
  readonly security?: SecuritySpec
} {
  if (proto === undefined) return {}
  const { seccomp, appArmor, systemPathsUnconfined, privileged, hostUsers, devices } = proto
  const security = saidSecurity({
    ...(seccomp === '' ? {} : { seccomp }),
    ...(appArmor === '' ? {} : { appArmor }),
    ...(systemPathsUnconfined ? { systemPathsUnconfined } : {}),
    ...(privileged ? { privileged } : {}),
    ...(hostUsers ? { hostUsers } : {}),
    devices,
  })
  return security === undefined ? {} : { security }
}

export function tuningToProto(spec: TuningSpec | undefined): TuningProto | undefined {
  return (
    spec && {
      swapBytes: spec.swapBytes,
      swappiness: spec.swappiness,
      cpus: spec.cpus ?? '',
      memoryNodes: spec.memoryNodes ?? '',
      cpuShares: spec.cpuShares ?? 0,
      blkioWeight: spec.blkioWeight ?? 0,
      ioLimits: spec.ioLimits,
    }
  )
}

/** The field of a task's spec; none where nothing is said. */
export function tuningFromProto(proto: TuningProto | undefined): { readonly tuning?: TuningSpec } {
  if (proto === undefined) return {}
  const { swapBytes, swappiness, cpus, memoryNodes, cpuShares, blkioWeight } = proto
  const tuning = saidTuning({
    ...(swapBytes === undefined ? {} : { swapBytes }),
    ...(swappiness === undefined ? {} : { swappiness }),
    ...(cpus === '' ? {} : { cpus }),
    ...(memoryNodes === '' ? {} : { memoryNodes }),
    ...(cpuShares === 0 ? {} : { cpuShares }),
    ...(blkioWeight === 0 ? {} : { blkioWeight }),
    ioLimits: proto.ioLimits.map((one) => ({ ...one, kind: one.kind as IoLimit['kind'] })),
  })
  return tuning === undefined ? {} : { tuning }
}
