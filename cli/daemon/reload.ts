// What SIGHUP does: the settings are read anew, what can be changed in a running daemon is, and the rest is named.
import { isDeepStrictEqual } from 'node:util'
import type { AdjustableLogger } from '../../proto/lib/log.ts'
import { type DaemonConfig, settingNames } from './config.ts'

/** Settings that a running daemon can change. */
const reloadable: readonly string[] = [
  'logLevel',
  'labels',
  'nodeGenericResources',
  'nanoCpus',
  'memoryBytes',
  'imageGcHigh',
  'imageGcLow',
  'imageGcRevisions',
]

/**
 * The settings in force afterwards. Settings that cannot be read or are wrong change nothing; those that differ and cannot be
 * changed stay as they are; the log says so either way.
 */
export function reloadSettings(
  current: DaemonConfig,
  load: () => DaemonConfig,
  log: AdjustableLogger,
): DaemonConfig {
  let wanted: DaemonConfig
  try {
    wanted = load()
  } catch (err) {
    log.error({ err }, 'the settings cannot be read again: those of before stay in force')
    return current
  }
  const changed = settingNames.filter(
    (name) => !isDeepStrictEqual(of(wanted, name), of(current, name)),
  )
  const refused = changed.filter((name) => !reloadable.includes(name))
  if (wanted.logLevel !== current.logLevel) log.setLevel(wanted.logLevel)
  if (refused.length > 0) {
    log.warn({ settings: refused }, 'changed settings are not in force: each needs a restart')
  }
  const applied = changed.filter((name) => reloadable.includes(name))
  log.info({ settings: applied }, 'settings read again')
  const kept = refused.map((name) => [name, of(current, name)])
  return { ...wanted, ...Object.fromEntries(kept) }
}

function of(config: DaemonConfig, name: string): unknown {
  return Object.entries(config).find(([key]) => key === name)?.[1]
}
