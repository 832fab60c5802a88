// What is wrong with a setting of the daemon, in words for who wrote it: which one, what it was given, what it may be. Pure.
import type { z } from 'zod'

/** "labels.zone (1): must be text: write "1"". `given`: all settings as they were given. */
export function settingFault(
  issue: z.core.$ZodIssue | undefined,
  given: Readonly<Record<string, unknown>>,
): string {
  const path = issue?.path.map(String) ?? []
  const value = path.reduce(
    (found: unknown, key) => Reflect.get(Object(found), key),
    given as unknown,
  )
  return `${path.join('.')} (${JSON.stringify(value)}): ${reason(issue, value)}`
}

function reason(issue: z.core.$ZodIssue | undefined, value: unknown): string {
  switch (issue?.code) {
    case 'invalid_type':
      return wrongType(issue.expected, value)
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`
    case 'too_small':
      return `must be ${issue.inclusive === false ? 'above' : 'at least'} ${issue.minimum}`
    case 'too_big':
      return `must be at most ${issue.maximum}`
    default:
      return issue?.message ?? 'is not valid'
  }
}

/** YAML takes 1 for a number and yes for a word: quotes make text of both. */
function wrongType(expected: string, value: unknown): string {
  switch (expected) {
    case 'string':
      return typeof value === 'number' || typeof value === 'boolean'
        ? `must be text: write ${JSON.stringify(String(value))}, in quotes`
        : 'must be text'
    case 'array':
      return 'must be a list, such as [ONE, ANOTHER]'
    case 'record':
      return 'must be names with values, such as { zone: a, disk: ssd }'
    case 'int':
    case 'number':
      return 'must be a whole number'
    default:
      return `must be ${expected}`
  }
}
