// Checks of the host as text for `tsswarm doctor`, and as the error of a daemon that cannot start.
import { SwarmError } from '../../proto/errors.ts'
import { type CheckLevel, type CheckResult, levelOf } from './check-result.ts'

/**
 * One line a check, what to do below those not met, and one command that installs all missing packages. `paint` may colour
 * the word at the beginning of a line.
 */
export function renderChecks(
  results: readonly CheckResult[],
  paint: (word: string) => string = (word) => word,
): string {
  const width = Math.max(0, ...results.map(({ name }) => name.length))
  const lines = results.flatMap((result) => {
    const { name, found, remedy } = result
    const line = `${paint(words[levelOf(result)])}  ${name.padEnd(width)}  ${found}`
    return remedy === '' ? [line] : [line, `${' '.repeat(width + 8)}-> ${remedy}`]
  })
  const packages = [...new Set(results.flatMap((result) => result.packages))].sort()
  if (packages.length > 0) {
    lines.push('', `install what is missing: apt-get install ${packages.join(' ')}`)
  }
  return lines.join('\n')
}

const words: Readonly<Record<CheckLevel, string>> = { ok: 'ok  ', warning: 'WARN', error: 'FAIL' }

/** The checks for programs: a list, each with `level` ok, warning or error. */
export function checksJson(results: readonly CheckResult[]): string {
  const shown = results.map((result) => {
    const { name, found, remedy, packages } = result
    return { name, level: levelOf(result), found, remedy, packages }
  })
  return JSON.stringify(shown, null, 2)
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
