// What of a service's container options cannot be: kernel settings, resource limits of processes, rights, control groups.
import { predefinedOf } from '../../proto/spec/predefined-networks.ts'
import type { ContainerSpec, TaskSpec } from '../../proto/spec/service-spec.ts'
import { whyNoSysctl } from '../../proto/spec/sysctl.ts'
import { ulimitNames } from '../../proto/spec/ulimit-names.ts'
import { duplicates, type Problem } from './check-problem.ts'

export function checkOptions(task: TaskSpec): readonly Problem[] {
  return [
    ...checkSysctls(task),
    ...checkUlimits(task.container),
    ...checkSecurity(task.container),
    ...checkTuning(task),
  ]
}

function checkSysctls({ container, networks }: TaskSpec): readonly Problem[] {
  const isHost = networks.some(({ target }) => predefinedOf(target)?.name === 'host')
  return Object.keys(container.sysctls).flatMap((name) => {
    const why = whyNoSysctl(name, isHost ? 'host' : 'own')
    return why === undefined
      ? []
      : [{ field: 'task.container.sysctls', reason: `("${name}") ${why}` }]
  })
}

function checkUlimits({ ulimits }: ContainerSpec): readonly Problem[] {
  const problems: Problem[] = []
  const refuse = (reason: string): void => {
    problems.push({ field: 'task.container.ulimits', reason })
  }
  for (const { name, soft, hard } of ulimits) {
    if (!ulimitNames.includes(name)) refuse(`("${name}") is none of ${ulimitNames.join(', ')}`)
    if (soft < -1 || hard < -1) refuse(`(${name}) must be -1 (no limit), 0 or more`)
    if (hard !== -1 && (soft === -1 || soft > hard)) {
      refuse(`(${name}) has a soft limit above the hard one: ${soft} > ${hard}`)
    }
  }
  for (const name of duplicates(ulimits.map((ulimit) => ulimit.name))) {
    refuse(`(${name}) is given twice: remove one`)
  }
  return problems
}

function checkSecurity({ security, noNewPrivileges }: ContainerSpec): readonly Problem[] {
  if (security === undefined) return []
  const problems: Problem[] = []
  const refuse = (field: string, reason: string): void => {
    problems.push({ field: `task.container.security.${field}`, reason })
  }
  const { privileged, seccomp, devices } = security
  if (privileged === true) {
    if (noNewPrivileges === true) {
      refuse('privileged', 'does not go with no-new-privileges: leave one of them out')
    }
    if (seccomp !== undefined && seccomp !== 'unconfined') {
      refuse('privileged', 'has no seccomp filter: leave the profile out')
    }
    if (devices.length > 0) refuse('devices', 'are all there when privileged: leave them out')
  }
  for (const target of duplicates(devices.map((device) => device.target))) {
    refuse('devices', `has two for "${target}" in the container: remove one`)
  }
  return problems
}

function checkTuning({ tuning, limits }: TaskSpec): readonly Problem[] {
  const problems: Problem[] = []
  const refuse = (field: string, reason: string): void => {
    problems.push({ field: `task.tuning.${field}`, reason })
  }
  if (tuning?.swapBytes !== undefined && limits.memoryBytes === 0) {
    refuse('swapBytes', 'needs a limit of memory: give --limit-memory too')
  }
  const named = (tuning?.ioLimits ?? []).map(({ kind, device }) => `${kind} of ${device}`)
  for (const what of duplicates(named)) refuse('ioLimits', `has two for ${what}: remove one`)
  return problems
}
