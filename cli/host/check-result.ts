// The outcome of one check of the host.

export interface CheckResult {
  readonly name: string
  readonly ok: boolean
  /** What is there: a version, a path, or what is missing. */
  readonly found: string
  /** How to mend it; empty when nothing has to be. */
  readonly remedy: string
  /** Debian packages that mend it. */
  readonly packages: readonly string[]
}

export function passed(name: string, found: string): CheckResult {
  return { name, ok: true, found, remedy: '', packages: [] }
}

export function failed(result: Omit<CheckResult, 'ok'>): CheckResult {
  return { ...result, ok: false }
}
