// Reads what a test file printed in TAP: its counts and its failed assertions.

const failuresMax = 50
const detailLinesMax = 200

const subtestLine = /^((?: {4})*)# Subtest: (.*)$/
const pointLine = /^((?: {4})*)(not )?ok \d+(?: - (.*?))?(?: # time=.*| # (?:SKIP|TODO)\b.*)?$/

/** Undefined when it did not come to its end. @param {string} text */
export function countsOf(text) {
  const [, total, passed] = /^# \{ total: (\d+)(?:, pass: (\d+))?/m.exec(text) ?? []
  return total === undefined ? undefined : { total: Number(total), passed: Number(passed ?? 0) }
}

/**
 * The failed assertions, each as `subtest > … > assertion`, where, and its diff; what else is known of those without one.
 * A subtest that failed counts only if nothing within it did.
 * @param {string} text
 */
export function failuresOf(text) {
  const lines = text.split('\n')
  /** Names of the subtests that are open, from the outermost. */
  const open = []
  const failed = new Set()
  const failures = []
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ''
    const [, space = '', subtest] = subtestLine.exec(line) ?? []
    if (subtest !== undefined) open.splice(space.length / 4, Number.POSITIVE_INFINITY, subtest)
    const [, indent, not, name = ''] = pointLine.exec(line) ?? []
    if (indent === undefined) continue
    const path = [...open.slice(0, indent.length / 4), name]
    open.splice(path.length - 1)
    const yaml = yamlAfter(lines, i, indent.length + 2)
    // What it tells may itself be TAP.
    i += yaml.length
    const full = path.join(' > ')
    if (not === undefined || failed.has(full)) continue
    for (let n = 1; n <= path.length; n++) failed.add(path.slice(0, n).join(' > '))
    failures.push([full, ...detailsOf(yaml)].join('\n'))
  }
  const left = failures.length - failuresMax
  return left > 0 ? [...failures.slice(0, failuresMax), `and ${left} more`] : failures
}

/** What was printed but for what passed. @param {string} text */
export function withoutPassed(text) {
  const passed = /^ *(ok \d+.*|\d+\.\.\d+|TAP version \d+|# Subtest: .*)?$/
  return text.split('\n').filter((line) => !passed.test(line))
}

/** The lines of the YAML block that follows, without its indentation. */
function yamlAfter(lines, at, indent) {
  const space = ' '.repeat(indent)
  if (lines[at + 1] !== `${space}---`) return []
  const end = lines.indexOf(`${space}...`, at)
  return lines.slice(at + 2, end < 0 ? undefined : end).map((line) => line.slice(indent))
}

/** Where, and the diff or else all that is told but for the source. */
function detailsOf(yaml) {
  const sections = new Map()
  let key = ''
  for (const line of yaml) {
    const [, name] = /^(\w+):/.exec(line) ?? []
    if (name !== undefined) key = name
    sections.set(key, [...(sections.get(key) ?? []), line])
  }
  const at = (sections.get('at') ?? []).join('\n')
  const [, file] = /fileName: (.*)/.exec(at) ?? []
  const [, line] = /lineNumber: (\d+)/.exec(at) ?? []
  const diff = sections.get('diff')?.slice(1)
  for (const name of ['at', 'source']) sections.delete(name)
  const details = diff ?? [...sections.values()].flat()
  const where = file === undefined ? [] : [`    at ${file}:${line}`]
  return [...where, ...details.slice(0, detailLinesMax).map((detail) => `    ${detail}`)]
}
