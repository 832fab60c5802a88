// The outcome of one check of the host.

export interface CheckResult {
  readonly name: string
  /** False: the daemon, or a manager, cannot do with it. */
  readonly ok: boolean
  /** What is there: a version, a path, or what is missing. */
  readonly found: string
  /** How to mend it; empty when nothing has to be. One that is ok and has a remedy is a warning. */
  readonly remedy: string
  /** Debian packages that mend it. */
  readonly packages: readonly string[]
}

export type CheckLevel = 'ok' | 'warning' | 'error'

export function levelOf({ ok, remedy }: CheckResult): CheckLevel {
  if (!ok) return 'error'
  return remedy === '' ? 'ok' : 'warning'
}

export function passed(name: string, found: string): CheckResult {
  return { name, ok: true, found, remedy: '', packages: [] }
}

/** A warning: it goes on, worse than it could. */
export function advised(result: Omit<CheckResult, 'ok'>): CheckResult {
  return { ...result, ok: true }
}

export function failed(result: Omit<CheckResult, 'ok'>): CheckResult {
  return { ...result, ok: false }
}
