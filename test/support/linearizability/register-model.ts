// A register of a number with write, read and compare-and-set.
import type { Model, Specification } from './model.ts'
import type { Operation } from './operation.ts'

/** What a register holds before the first write. */
export const registerInitial = 0

export type RegisterCall =
  | { readonly kind: 'write'; readonly value: number }
  | { readonly kind: 'read' }
  | { readonly kind: 'compare-and-set'; readonly expected: number; readonly value: number }

/** `done`: written or swapped. `value`: what was read; of compare-and-set, the other value that it found. */
export type RegisterResult =
  | { readonly kind: 'done' }
  | { readonly kind: 'value'; readonly value: number }

export type RegisterOperation = Operation<RegisterCall, RegisterResult>

export const registerModel: Model<RegisterCall, RegisterResult, number> = {
  name: 'register',
  prepare,
}

function prepare(
  history: readonly RegisterOperation[],
): Specification<RegisterCall, RegisterResult, number> {
  const seen = new Set(history.flatMap(observed))
  return {
    initial: registerInitial,
    // A value that nobody saw and that may never have been there explains nothing: leaving its operation out of an
    // order that explains all others leaves an order that does.
    operations: history.filter(
      ({ call, outcome }) =>
        outcome.kind === 'known' || (call.kind !== 'read' && seen.has(call.value)),
    ),
    step,
    isReadOnly: ({ call, outcome }) =>
      call.kind === 'read' || (outcome.kind === 'known' && outcome.result.kind === 'value'),
    stateKey: String,
    describeState: String,
    describe,
    suspects: (failed, states) =>
      new Set([...observed(failed), ...states].filter((value) => value !== registerInitial)),
    note: undefined,
    writes: ({ call }) => (call.kind === 'read' ? undefined : call.value),
  }
}

/** The value that must have been in the register for the operation to be what it was. */
function observed({ call, outcome }: RegisterOperation): readonly number[] {
  if (outcome.kind === 'known' && outcome.result.kind === 'value') return [outcome.result.value]
  return call.kind === 'compare-and-set' ? [call.expected] : []
}

function step(state: number, { call, outcome }: RegisterOperation): number | undefined {
  const found =
    outcome.kind === 'known' && outcome.result.kind === 'value' ? outcome.result.value : undefined
  switch (call.kind) {
    case 'write':
      return call.value
    case 'read':
      return found === undefined || found === state ? state : undefined
    case 'compare-and-set':
      if (found !== undefined) return found === state && found !== call.expected ? state : undefined
      // Of unknown outcome and not as expected: then it has no effect, which it need not have had.
      return state === call.expected ? call.value : undefined
  }
}

function describe({ call, outcome }: RegisterOperation): string {
  const found =
    outcome.kind === 'known' && outcome.result.kind === 'value' ? outcome.result.value : undefined
  switch (call.kind) {
    case 'write':
      return `write ${call.value}`
    case 'read':
      return `read -> ${found ?? '?'}`
    case 'compare-and-set': {
      const text = `compare-and-set ${call.expected} to ${call.value}`
      if (found !== undefined) return `${text} -> refused, found ${found}`
      return outcome.kind === 'known' ? `${text} -> done` : text
    }
  }
}
