// Which flag a refused field of a service came from: users know flags, not the fields of a spec.
import { SwarmError } from '../../proto/errors.ts'

const flags: Readonly<Record<string, string>> = {
  name: 'name',
  'mode.replicas': 'replicas',
  'task.container.healthcheck.intervalMs': 'health-interval',
  'task.container.healthcheck.startIntervalMs': 'health-start-interval',
  'task.container.healthcheck.startPeriodMs': 'health-start-period',
  'task.container.healthcheck.test[1]': 'health-cmd',
  'task.container.healthcheck.timeoutMs': 'health-timeout',
  'mode.completions': 'replicas',
  'mode.maxConcurrent': 'max-concurrent',
  'mode.schedule': 'schedule',
  'mode.timeZone': 'time-zone',
  'mode.missedWindowMs': 'cron-missed-window',
  'mode.backoffMaxMs': 'cron-backoff-max',
  'task.container.capAdd': 'cap-add',
  'task.container.capDrop': 'cap-drop',
  'task.container.env': 'env',
  'task.container.groups': 'group',
  'task.container.hosts': 'host',
  'task.container.hostname': 'hostname',
  'task.container.logDriver': 'log-driver',
  'task.container.stopGraceMs': 'stop-grace-period',
  'task.container.stopSignal': 'stop-signal',
  'task.container.user': 'user',
  'task.container.workdir': 'workdir',
  'task.container.security': 'security-opt',
  'task.container.security.seccomp': 'security-opt',
  'task.container.security.appArmor': 'security-opt',
  'task.container.security.devices': 'device',
  'task.container.security.privileged': 'privileged',
  'task.container.security.hostUsers': 'userns',
  'task.container.runtime': 'runtime',
  'task.container.sysctls': 'sysctl',
  'task.container.ulimits': 'ulimit',
  'task.dns.nameservers': 'dns',
  'task.dns.options': 'dns-option',
  'task.dns.search': 'dns-search',
  'task.limits.memoryBytes': 'limit-memory',
  'task.limits.nanoCpus': 'limit-cpu',
  'task.limits.pids': 'limit-pids',
  'task.placement.maxReplicasPerNode': 'replicas-max-per-node',
  'task.reservations.memoryBytes': 'reserve-memory',
  'task.reservations.nanoCpus': 'reserve-cpu',
  'task.restart.delayMs': 'restart-delay',
  'task.restart.maxAttempts': 'restart-max-attempts',
  'task.restart.windowMs': 'restart-window',
  'task.tuning.blkioWeight': 'blkio-weight',
  'task.tuning.cpuShares': 'cpu-shares',
  'task.tuning.cpus': 'cpuset-cpus',
  'task.tuning.memoryNodes': 'cpuset-mems',
  'task.tuning.swapBytes': 'memory-swap',
  'task.tuning.swappiness': 'memory-swappiness',
  'update.delayMs': 'update-delay',
  'update.monitorMs': 'update-monitor',
  'rollback.delayMs': 'rollback-delay',
  'rollback.monitorMs': 'rollback-monitor',
}

/** Runs what may refuse a spec; the refusal of a field that a flag sets names the flag too. */
export async function namingFlags<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (err) {
    if (!(err instanceof SwarmError) || err.code !== 'INVALID_ARGUMENT') throw err
    const field = String(err.details.field ?? '')
    const flag = flagOf(field) ?? flagOf(field.replaceAll(/\[\d+\]/g, ''))
    if (flag === undefined) throw err
    const message = `${err.message} (flag --${flag})`
    throw new SwarmError(err.code, message, { details: err.details, cause: err })
  }
}

function flagOf(field: string): string | undefined {
  return Object.hasOwn(flags, field) ? flags[field] : undefined
}
