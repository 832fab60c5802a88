// The journal of the host (systemd-journald), where the output of containers goes that have the log driver journald.
import { existsSync } from 'node:fs'
import { SwarmError } from '../../../proto/errors.ts'
import type { LogKeeping } from '../../../proto/spec/log-driver-spec.ts'

/** Where programs write to it. Source: systemd's journal native protocol. */
export const journalSocket = '/run/systemd/journal/socket'

export function writesJournal(log: LogKeeping | undefined): boolean {
  return log?.kind === 'files' && log.journal === true
}

/** Without a journal conmon would drop what is meant for it and say nothing. Errors: UNSUPPORTED. */
export function checkJournal(
  name: string,
  log: LogKeeping | undefined,
  exists: (path: string) => boolean = existsSync,
): void {
  if (!writesJournal(log) || exists(journalSocket)) return
  throw new SwarmError(
    'UNSUPPORTED',
    `${name} has the log driver journald, and this host has no journal (systemd-journald does not run): choose another ` +
      'driver, or place its tasks where there is one, with --constraint',
  )
}
