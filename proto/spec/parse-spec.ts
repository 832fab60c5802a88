// Checking what a user wrote against a schema, with errors a user can act on.
import type { z } from 'zod'
import { SwarmError } from '../errors.ts'

type Issue = z.core.$ZodRawIssue
const issuesMax = 5
const shownMax = 60

/**
 * The value with defaults filled in. `what` names the object in the error, for example `service "web"`.
 * Errors: INVALID_ARGUMENT naming object, field, value and what would be right; details `field` and `reason` are those
 * of the first problem.
 */
export function parseSpec<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
): z.output<S> {
  const result = schema.safeParse(value, { error: reasonOf })
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => {
    const field = fieldName(issue.path)
    return { field, reason: issue.message, text: `${field}${shown(value, issue)} ${issue.message}` }
  })
  const text = problems.slice(0, issuesMax).map((problem) => problem.text)
  const more = problems.length - text.length
  const rest = more > 0 ? `; and ${more} more` : ''
  throw new SwarmError('INVALID_ARGUMENT', `${what} is not valid: ${text.join('; ')}${rest}`, {
    details: { field: problems[0]?.field ?? '', reason: problems[0]?.reason ?? '' },
  })
}

/** Texts for problems whose schema has no text of its own. */
function reasonOf(issue: Issue): string | undefined {
  switch (issue.code) {
    case 'too_small':
      return `must be at least ${limit(issue.minimum, issue.origin)}`
    case 'too_big':
      return `must be at most ${limit(issue.maximum, issue.origin)}`
    case 'invalid_type':
      return issue.input === undefined ? 'must be given' : `must be ${article(issue.expected)}`
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`
    case 'invalid_format':
      return `must be of the form ${issue.pattern ?? issue.format}`
    case 'unrecognized_keys':
      return `has no field ${issue.keys.map((key) => `"${key}"`).join(', ')}; remove it`
    case 'invalid_union':
      return 'is none of the known kinds'
    default:
      return undefined
  }
}

function limit(value: number | bigint, origin: string): string {
  if (origin === 'string') return `${value} characters long`
  if (origin === 'array') return `${value} long`
  return String(value)
}

function article(type: string): string {
  if (type === 'int') return 'a whole number'
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`
}

function fieldName(path: readonly PropertyKey[]): string {
  let name = ''
  for (const part of path) {
    if (typeof part === 'number') name += `[${part}]`
    else name += name === '' ? String(part) : `.${String(part)}`
  }
  return name === '' ? 'it' : name
}

/** The offending value, when it is short and plain. */
function shown(value: unknown, issue: z.core.$ZodIssue): string {
  let at: unknown = value
  for (const part of issue.path) {
    if (typeof at !== 'object' || at === null) return ''
    at = Reflect.get(at, part)
  }
  if (typeof at === 'string') {
    return at.length > shownMax ? ` ("${at.slice(0, shownMax)}…")` : ` ("${at}")`
  }
  return typeof at === 'number' || typeof at === 'boolean' ? ` (${at})` : ''
}
