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
  const found = result.error.issues.map((issue) => {
    const field = fieldName(issue.path)
    return { field, reason: issue.message, text: `${field}${shown(value, issue)} ${issue.message}` }
  })
  // A number beyond what JavaScript counts exactly meets two bounds: one sentence a field.
  const problems = [...new Map(found.map((problem) => [problem.field, problem])).values()]
  const text = problems.slice(0, issuesMax).map((problem) => problem.text)
  const more = problems.length - text.length
  const rest = more > 0 ? `; and ${more} more` : ''
  throw new SwarmError('INVALID_ARGUMENT', `${cut(what)} is not valid: ${text.join('; ')}${rest}`, {
    details: { field: problems[0]?.field ?? '', reason: problems[0]?.reason ?? '' },
  })
}

/** Texts for problems whose schema has no text of its own. */
function reasonOf(issue: Issue): string | undefined {
  switch (issue.code) {
    case 'too_small':
      return `must be at least ${limit(issue.minimum, issue)}`
    case 'too_big':
      return `must be at most ${limit(issue.maximum, issue)}`
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

function limit(value: number | bigint, issue: Issue & { readonly origin: string }): string {
  if (issue.origin === 'string') return `${value} characters long`
  if (issue.origin === 'array') return `${value} long`
  return withUnit(Number(value), issue.path ?? [])
}

/** A number as a user would write it: the end of its field's name tells the unit. */
export function withUnit(value: number, path: readonly PropertyKey[]): string {
  const field = String(path.at(-1) ?? '')
  if (field === 'nanoCpus') return `${value / 1e9} CPUs`
  if (field.endsWith('Bytes')) return inUnits(value, sizes)
  return field.endsWith('Ms') ? inUnits(value, times) : String(value)
}

type Unit = readonly [factor: number, name: string]
const sizes: readonly Unit[] = [
  [2 ** 40, 'TiB'],
  [2 ** 30, 'GiB'],
  [2 ** 20, 'MiB'],
  [2 ** 10, 'KiB'],
  [1, ' bytes'],
]
const times: readonly Unit[] = [
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
  [1, 'ms'],
]

function inUnits(value: number, units: readonly Unit[]): string {
  const [factor, name] = units.find(([size]) => value >= size) ?? [1, units.at(-1)?.[1] ?? '']
  return `${Math.round((value / factor) * 100) / 100}${name}`
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

function cut(text: string): string {
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text
}

/** The offending value, when it is short and plain. */
function shown(value: unknown, issue: z.core.$ZodIssue): string {
  let at: unknown = value
  for (const part of issue.path) {
    if (typeof at !== 'object' || at === null) return ''
    at = Reflect.get(at, part)
  }
  if (typeof at === 'string') return ` ("${cut(at)}")`
  if (typeof at === 'number') return ` (${withUnit(at, issue.path)})`
  return typeof at === 'boolean' ? ` (${at})` : ''
}
