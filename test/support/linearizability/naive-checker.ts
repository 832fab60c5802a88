// The definition of linearizability, tried out order by order: slow and plain, to judge the fast checker by.
import type { ListCall, ListResult } from './list-model.ts'
import type { Operation } from './operation.ts'
import { type RegisterCall, type RegisterResult, registerInitial } from './register-model.ts'

/** An object as its documentation would have it: the next state, and what the caller is told. */
export interface NaiveObject<Call, Result, State> {
  readonly initial: State
  run(state: State, call: Call): { readonly state: State; readonly result: Result }
}

export const naiveRegister: NaiveObject<RegisterCall, RegisterResult, number> = {
  initial: registerInitial,
  run: (state, call) => {
    if (call.kind === 'read') return { state, result: { kind: 'value', value: state } }
    if (call.kind === 'compare-and-set' && call.expected !== state) {
      return { state, result: { kind: 'value', value: state } }
    }
    return { state: call.value, result: { kind: 'done' } }
  },
}

export const naiveList: NaiveObject<ListCall, ListResult, readonly number[]> = {
  initial: [],
  run: (state, call) =>
    call.kind === 'read'
      ? { state, result: { kind: 'list', list: state } }
      : { state: [...state, call.value], result: { kind: 'done' } },
}

/**
 * Whether an order of all known and some unknown operations exists in which each gives its result and none comes before
 * one that returned before it was invoked. Of one key; factorial in the length of the history.
 */
export function isLinearizable<Call, Result, State>(
  object: NaiveObject<Call, Result, State>,
  history: readonly Operation<Call, Result>[],
): boolean {
  const tryFrom = (state: State, left: readonly Operation<Call, Result>[]): boolean => {
    if (left.every(({ outcome }) => outcome.kind === 'unknown')) return true
    return left.some((operation) => {
      if (left.some((other) => precedes(other, operation))) return false
      const ran = object.run(state, operation.call)
      const { outcome } = operation
      if (outcome.kind === 'known' && !isSame(outcome.result, ran.result)) return false
      return tryFrom(
        ran.state,
        left.filter((other) => other !== operation),
      )
    })
  }
  return tryFrom(object.initial, history)
}

function precedes<Call, Result>(a: Operation<Call, Result>, b: Operation<Call, Result>): boolean {
  return a.outcome.kind === 'known' && a.outcome.returned < b.invoked
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
