// What is wrong with one field of a spec.

export interface Problem {
  readonly field: string
  readonly reason: string
}

/** The values that occur more than once. */
export function duplicates(values: readonly string[]): ReadonlySet<string> {
  return new Set(values.filter((value, i) => values.indexOf(value) !== i))
}
