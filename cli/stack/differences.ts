// What differs between two specs, field by field.
import { isSameValue } from '../../proto/lib/same-value.ts'

export interface Difference {
  /** As `task.container.image`. */
  readonly field: string
  /** Undefined: it was not there. */
  readonly from: unknown
  /** Undefined: it is to go. */
  readonly to: unknown
}

/**
 * In the order of the fields. Mappings are compared key by key; lists of texts such as NAME=VALUE and other lists as a whole,
 * since their order counts.
 */
export function differences(from: unknown, to: unknown, field = ''): readonly Difference[] {
  if (isRecord(from) && isRecord(to)) {
    const keys = new Set([...Object.keys(from), ...Object.keys(to)])
    return [...keys].flatMap((key) =>
      differences(from[key], to[key], field === '' ? key : `${field}.${key}`),
    )
  }
  return isSameValue(from, to) ? [] : [{ field, from, to }]
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
