// Checks of the host as text for `tsswarm doctor`, and as the error of a daemon that cannot start.
import { SwarmError } from '../../proto/errors.ts'
import type { CheckResult } from './check-result.ts'

/** One line a check, what to do below those not met, and one command that installs all missing packages. */
export function renderChecks(results: readonly CheckResult[]): string {
  const width = Math.max(0, ...results.map(({ name }) => name.length))
  const lines = results.flatMap(({ name, ok, found, remedy }) => {
    const line = `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${found}`
    return ok ? [line] : [line, `${' '.repeat(width + 8)}-> ${remedy}`]
  })
  const packages = [...new Set(results.flatMap((result) => result.packages))].sort()
  if (packages.length > 0) {
    lines.push('', `install what is missing: apt-get install ${packages.join(' ')}`)
  }
  return lines.join('\n')
}

/** HOST_UNFIT with all that is not met, or undefined when nothing is. */
export function hostUnfit(results: readonly CheckResult[]): SwarmError | undefined {
  const unmet = results.filter(({ ok }) => !ok)
  if (unmet.length === 0) return undefined
  return new SwarmError(
    'HOST_UNFIT',
    `this host lacks what the daemon needs:\n${renderChecks(unmet)}`,
    { details: { unmet: unmet.map(({ name }) => name).join(',') } },
  )
}
