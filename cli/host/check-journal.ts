// Whether the host has a journal, which the log driver journald needs.
import { advised, type CheckResult, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'

export async function checkJournal({ read }: HostProbes): Promise<CheckResult> {
  const name = 'journal'
  const sockets = await read('/proc/net/unix')
  if (sockets === undefined) return passed(name, 'cannot be told')
  if (sockets.includes('/run/systemd/journal/socket')) return passed(name, 'systemd-journald')
  return advised({
    name,
    found: 'systemd-journald does not run: services with `--log-driver journald` are rejected here',
    remedy: 'boot this host with systemd, or give such services another driver',
    packages: [],
  })
}
