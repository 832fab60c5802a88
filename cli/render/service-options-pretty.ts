// Rights and control-group settings in `service inspect --pretty`.
import type { ContainerSpec } from '../../proto/spec/service-spec.ts'
import type { TuningSpec } from '../../proto/spec/tuning-spec.ts'
import { binarySize } from './human.ts'

export function rightsLines({
  security,
  noNewPrivileges,
  runtime,
}: ContainerSpec): readonly string[] {
  const seccomp = security?.seccomp === undefined ? '' : seccompWord(security.seccomp)
  const fields: readonly (readonly [string, string])[] = [
    ['Runtime:\t', runtime ?? ''],
    ['Privileged:\t', security?.privileged === true ? 'true' : ''],
    ['Userns:\t', security?.hostUsers === true ? 'host' : ''],
    ['NoNewPrivileges:\t', noNewPrivileges === true ? 'true' : ''],
    ['Seccomp:\t', seccomp],
    ['AppArmor:\t', security?.appArmor ?? ''],
    ['SystemPaths:\t', security?.systemPathsUnconfined === true ? 'unconfined' : ''],
    ...(security?.devices ?? []).map(
      ({ source, target, access }) => ['Device:\t', `${source}:${target}:${access}`] as const,
    ),
  ]
  return shown(fields, ' ')
}

function seccompWord(seccomp: string): string {
  return seccomp === 'unconfined' ? seccomp : `a profile of its own (${seccomp.length} characters)`
}

export function tuningLines(tuning: TuningSpec | undefined): readonly string[] {
  if (tuning === undefined) return []
  const { swapBytes, swappiness, cpus, memoryNodes, cpuShares, blkioWeight } = tuning
  const swap = swapBytes === -1 ? 'unlimited' : binarySize(swapBytes ?? 0)
  const fields: readonly (readonly [string, string])[] = [
    ['Swap:\t\t', swapBytes === undefined ? '' : swap],
    ['Swappiness:\t', `${swappiness ?? ''}`],
    ['CPUs:\t\t', cpus ?? ''],
    ['Memory Nodes:\t', memoryNodes ?? ''],
    ['CPU Shares:\t', `${cpuShares ?? ''}`],
    ['Blkio Weight:\t', `${blkioWeight ?? ''}`],
    ...tuning.ioLimits.map(
      ({ kind, device, rate }) => [`${kind}:\t`, `${device} ${rate} a second`] as const,
    ),
  ]
  return ['Control Group:', ...shown(fields, ' ')]
}

function shown(fields: readonly (readonly [string, string])[], indent: string): readonly string[] {
  return fields
    .filter(([, value]) => value !== '')
    .map(([head, value]) => `${indent}${head}${value}`)
}
