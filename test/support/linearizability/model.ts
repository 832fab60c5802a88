// What a sequential object is, as the checker asks it.
import type { Operation } from './operation.ts'

export interface Model<Call, Result, State> {
  readonly name: string
  /** Looks at the whole history of one key before the search; what holds then makes the search short. */
  prepare(history: readonly Operation<Call, Result>[]): Specification<Call, Result, State>
}

/** An object with one history. */
export interface Specification<Call, Result, State> {
  readonly initial: State
  /** What the search must explain: operations that can change no verdict are left out. */
  readonly operations: readonly Operation<Call, Result>[]
  /** The state after the operation; undefined when it cannot have this outcome in that state. */
  step(state: State, operation: Operation<Call, Result>): State | undefined
  /** Whether the operation leaves every state as it is in which it is possible. */
  isReadOnly(operation: Operation<Call, Result>): boolean
  /** Equal for equal states only. */
  stateKey(state: State): string
  describeState(state: State): string
  describe(operation: Operation<Call, Result>): string
  /** Values that the explanation of a failed operation should show the origin of. */
  suspects(failed: Operation<Call, Result>, states: readonly State[]): ReadonlySet<number>
  /** A fact of the whole history that the search rests on, where a reader of an explanation needs it. */
  readonly note: string | undefined
  /** The value that the operation puts into the object. */
  writes(operation: Operation<Call, Result>): number | undefined
}
