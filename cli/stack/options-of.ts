// Rights and control-group settings of a service of a compose file. `security_opt` is of the format; devices, `privileged` and what
// control groups have besides limits stand under `x-` keys: files made for Swarm, which ignores the former, stay as they are.

import { type RuntimeName, runtimeNames } from '../../proto/spec/runtime-names.ts'
import { type SecuritySpec, saidSecurity, usualSecurity } from '../../proto/spec/security-spec.ts'
import type { ContainerSpec } from '../../proto/spec/service-spec.ts'
import { noTuning, saidTuning, type TuningSpec } from '../../proto/spec/tuning-spec.ts'
import { defined } from '../service/defined.ts'
import {
  parseDevice,
  readProfile,
  readSecurityOptions,
  withOptions,
} from '../service/security-flags.ts'
import { parseIoLimit, parseSwap } from '../service/tuning-flags.ts'
import { countOf, refuseOthers, textOf, textsOf } from './extras.ts'
import type { Section } from './section.ts'

/** The fields of a container's spec. */
export function rightsOf(service: Section): Pick<ContainerSpec, 'security' | 'noNewPrivileges'> {
  const options = service.texts('security_opt')
  const known = options.filter((option) => !option.startsWith('label'))
  if (known.length < options.length) {
    service.notice('security_opt', 'label has no effect: tsswarm does not set labels of SELinux')
  }
  const given = attempt(service, 'security_opt', () => readSecurityOptions(known, readProfile))
  const security = saidSecurity({
    ...withOptions(usualSecurity, given ?? {}),
    ...(isPrivileged(service) ? { privileged: true } : {}),
    ...(hasHostUsers(service) ? { hostUsers: true } : {}),
    devices: devicesOf(service),
  })
  return {
    ...(security === undefined ? {} : { security }),
    ...(given?.noNewPrivileges === true ? { noNewPrivileges: true } : {}),
  }
}

/** `runtime: runc`. */
export function runtimeOf(service: Section): RuntimeName | undefined {
  const said = service.text('runtime')
  const name = runtimeNames.find((one) => one === said)
  if (name === undefined && said !== undefined) {
    service.fault('runtime', `must be one of ${runtimeNames.join(', ')}`)
  }
  return name
}

/** `userns_mode: host`, which Swarm ignores. */
function hasHostUsers(service: Section): boolean {
  const said = service.text('userns_mode') ?? ''
  if (!['', 'host'].includes(said)) {
    service.notice(
      'userns_mode',
      'has no effect but with "host": else the node says it (usernsRemap)',
    )
  }
  return said === 'host'
}

function isPrivileged(service: Section): boolean {
  const said = service.bool('x-privileged')
  if (service.has('x-privileged') && said === undefined) {
    service.fault('x-privileged', 'must be true or false')
  }
  return said === true
}

function devicesOf(service: Section): SecuritySpec['devices'] {
  return textsOf(service, 'x-devices').flatMap(
    (device) => attempt(service, 'x-devices', () => parseDevice(device)) ?? [],
  )
}

const known = [
  ...['memory_swap', 'memory_swappiness', 'cpuset_cpus', 'cpuset_mems', 'cpu_shares'],
  ...['blkio_weight', 'device_read_bps', 'device_write_bps'],
  ...['device_read_iops', 'device_write_iops'],
]

const ioKeys = [
  ['device_read_bps', 'read-bps'],
  ['device_write_bps', 'write-bps'],
  ['device_read_iops', 'read-iops'],
  ['device_write_iops', 'write-iops'],
] as const

/** `x-tuning: {memory_swap: 64m, cpuset_cpus: 0-1, …}`. */
export function tuningOf(service: Section): TuningSpec | undefined {
  const section = service.section('x-tuning')
  if (section === undefined) return undefined
  refuseOthers(section, known)
  const swap = textOf(section, 'memory_swap')
  const values = {
    swapBytes: attempt(section, 'memory_swap', () => parseSwap(swap ?? '')),
    swappiness: countOf(section, 'memory_swappiness'),
    cpus: textOf(section, 'cpuset_cpus'),
    memoryNodes: textOf(section, 'cpuset_mems'),
    cpuShares: countOf(section, 'cpu_shares'),
    blkioWeight: countOf(section, 'blkio_weight'),
  }
  const ioLimits = ioKeys.flatMap(([key, kind]) =>
    textsOf(section, key).flatMap(
      (text) => attempt(section, key, () => parseIoLimit(kind, text)) ?? [],
    ),
  )
  return saidTuning({ ...noTuning, ...defined(values), ioLimits })
}

/** Undefined: it is a fault, which is told. */
function attempt<T>(section: Section, key: string, run: () => T): T | undefined {
  try {
    return run()
  } catch (err) {
    return section.fault(key, err instanceof Error ? err.message : String(err))
  }
}
