// The core's invariants: conditions that hold in every correct run. Not for a peer's or caller's bad input.

/** A broken invariant: going on could lose what was acknowledged, so the process must end. */
export class RaftInvariantError extends Error {
  readonly facts: Readonly<Record<string, unknown>>

  constructor(message: string, facts: Readonly<Record<string, unknown>> = {}) {
    super(`raft invariant broken: ${message} ${JSON.stringify(facts)}`)
    this.name = 'RaftInvariantError'
    this.facts = facts
  }
}

/** Throws RaftInvariantError unless the condition holds. Stays on in production. */
export function invariant(
  condition: boolean,
  message: string,
  facts?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition) throw new RaftInvariantError(message, facts)
}

/** The value, which in every correct run is there. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new RaftInvariantError(`missing ${what}`)
  return value
}
