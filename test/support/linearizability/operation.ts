// What clients did and saw, as the checker takes it. Recorded by one process, so that events have one order.

/** `unknown`: it may take effect at any time after its invocation, or never. */
export type Outcome<Result> =
  | { readonly kind: 'known'; readonly returned: number; readonly result: Result }
  | { readonly kind: 'unknown' }

/** Operations that are known to have had no effect are not part of a history. */
export interface Operation<Call, Result> {
  readonly id: number
  readonly key: string
  readonly call: Call
  /** Place of the invocation among all events of the history; that of the return is in the outcome. No two are the same. */
  readonly invoked: number
  readonly outcome: Outcome<Result>
  /** For people only: who did it, and when (milliseconds since the start of the run). */
  readonly client?: number
  readonly invokedMs?: number
  readonly returnedMs?: number
  /** Which member was asked. */
  readonly member?: string
}

/** Splits a history by key; the order within a key is kept. */
export function byKey<Call, Result>(
  history: Iterable<Operation<Call, Result>>,
): Map<string, Operation<Call, Result>[]> {
  const parts = new Map<string, Operation<Call, Result>[]>()
  for (const operation of history) {
    const part = parts.get(operation.key)
    if (part === undefined) parts.set(operation.key, [operation])
    else part.push(operation)
  }
  return parts
}
