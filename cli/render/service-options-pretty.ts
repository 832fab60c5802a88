// Options of containers in `service inspect --pretty`: how they run and end, rights, names, control-group settings.
import type { ContainerSpec, TaskSpec } from '../../proto/spec/service-spec.ts'
import type { TuningSpec } from '../../proto/spec/tuning-spec.ts'
import { binarySize, goDuration } from './human.ts'
import { mapLines } from './pretty.ts'

const usualGraceMs = 10_000

/** What is not as usual of how the container runs and ends. */
export function runningLines(container: ContainerSpec): readonly string[] {
  const { groups, init, readOnly, tty, openStdin, stopSignal, stopGraceMs, hosts } = container
  const fields: readonly (readonly [string, string])[] = [
    ['Groups:\t', groups.join(' ')],
    ['Init:\t\t', init === undefined ? '' : `${init}`],
    ['ReadOnly:\t', readOnly ? 'true' : ''],
    ['TTY:\t\t', tty ? 'true' : ''],
    ['OpenStdin:\t', openStdin ? 'true' : ''],
    ['Stop Signal:\t', stopSignal],
    ['Stop Grace Period:\t', stopGraceMs === usualGraceMs ? '' : goDuration(stopGraceMs)],
    ['Hosts:\t\t', hosts.join(' ')],
  ]
  return shown(fields, ' ')
}

/** Lists of settings, each under a heading of its own; SysCtls and Ulimits as docker has them. */
export function settingLines({ container, dns, oomScoreAdj }: TaskSpec): readonly string[] {
  const { labels, sysctls, ulimits } = container
  const limits = Object.fromEntries(ulimits.map((one) => [one.name, `${one.soft}:${one.hard}`]))
  const servers: readonly (readonly [string, string])[] = [
    ['Servers:\t', dns.nameservers.join(' ')],
    ['Search:\t', dns.search.join(' ')],
    ['Options:\t', dns.options.join(' ')],
  ]
  return [
    ...(oomScoreAdj === 0 ? [] : [`OOM Score:\t${oomScoreAdj}`]),
    ...indented('Container Labels:', labels, '='),
    ...indented('SysCtls:', sysctls, ': '),
    ...indented('Ulimits:', limits, ': '),
    ...headed('DNS:', shown(servers, ' ')),
    ...headed('Healthcheck:', shown(healthFields(container), ' ')),
  ]
}

function healthFields({ healthcheck }: ContainerSpec): readonly (readonly [string, string])[] {
  if (healthcheck === undefined) return []
  const { test, http, tcp, intervalMs, timeoutMs, retries } = healthcheck
  const { startPeriodMs, startIntervalMs } = healthcheck
  const span = (ms: number): string => (ms === 0 ? '' : goDuration(ms))
  return [
    ['Test:\t\t', test.join(' ')],
    ['HTTP:\t\t', http === undefined ? '' : `${http.port}${http.path}`],
    ['TCP:\t\t', tcp === undefined ? '' : `${tcp.port}`],
    ['Interval:\t', span(intervalMs)],
    ['Timeout:\t', span(timeoutMs)],
    ['Retries:\t', retries === 0 ? '' : `${retries}`],
    ['Start Period:\t', span(startPeriodMs)],
    ['Start Interval:\t', span(startIntervalMs)],
  ]
}

function indented(
  heading: string,
  map: Readonly<Record<string, string>>,
  sign: string,
): readonly string[] {
  return mapLines(heading, map).map((line) => line.replace(/^ - ([^=]*)=/, ` $1${sign}`))
}

function headed(heading: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [heading, ...lines]
}

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
