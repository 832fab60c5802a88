// Invariants: conditions that hold in every correct run. Not for bad input, that is a SwarmError.

/** A broken invariant: the program's own fault. Whoever sees one ends the process. */
export class InvariantError extends Error {
  readonly details: Readonly<Record<string, unknown>>

  constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(`invariant broken: ${message} ${JSON.stringify(details)}`)
    this.name = 'InvariantError'
    this.details = details
  }
}

/** Throws InvariantError unless the condition holds. Stays on in production. */
export function invariant(
  condition: boolean,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition) throw new InvariantError(message, details)
}

/** Closes an exhaustive switch: does not compile while a case is missing. */
export function unreachable(value: never, what: string): never {
  throw new InvariantError(`unexpected ${what}`, { value })
}
