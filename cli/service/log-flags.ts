// --log-driver and --log-opt: how the output of tasks is kept.
import type { LogDriverSpec } from '../../proto/spec/log-driver-spec.ts'
import { type FlagValues, list, text } from '../flags.ts'
import { read } from '../read-flag.ts'
import { parseMap } from './assignments.ts'

export const logFlags = {
  'log-driver': text('Logging driver for the service (json-file, local, journald, none)', {
    completes: ['json-file', 'local', 'journald', 'none'],
  }),
  'log-opt': list(
    'Logging driver options (max-size=SIZE, max-file=NUMBER, labels=NAMES, env=NAMES)',
    { takes: 'opt', completes: ['max-size=', 'max-file=', 'labels=', 'env='] },
  ),
}

/**
 * The driver that is given, with the options that are; options alone are the present driver's, which is json-file where none is. Nothing
 * given: as it is.
 */
export function changeLogDriver(
  present: LogDriverSpec | undefined,
  flags: FlagValues<typeof logFlags>,
): { readonly logDriver?: LogDriverSpec } {
  const { 'log-driver': driver, 'log-opt': given } = flags
  if (driver === undefined && given.length === 0) {
    return present === undefined ? {} : { logDriver: present }
  }
  const options = { ...read('log-opt', () => parseMap('option', given)) }
  return { logDriver: { name: driver ?? present?.name ?? 'json-file', options } }
}
