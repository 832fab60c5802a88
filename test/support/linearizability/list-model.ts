// A list of numbers that is only appended to and read whole. Every append has a value of its own.
import type { Model, Specification } from './model.ts'
import type { Operation } from './operation.ts'

export type ListCall =
  | { readonly kind: 'append'; readonly value: number }
  | { readonly kind: 'read' }

/** `done`: appended. `list`: what was read. */
export type ListResult =
  | { readonly kind: 'done' }
  | { readonly kind: 'list'; readonly list: readonly number[] }

export type ListOperation = Operation<ListCall, ListResult>

/**
 * The state is a length: a list only grows, so whatever was read at any time is the beginning of the longest
 * list that was read, and that one tells the order of all appends in it. Appends that no read saw come behind
 * all reads, in any order.
 */
export const listModel: Model<ListCall, ListResult, number> = { name: 'list', prepare }

function prepare(history: readonly ListOperation[]): Specification<ListCall, ListResult, number> {
  let longest: readonly number[] = []
  let reader: ListOperation | undefined
  for (const operation of history) {
    const list = listOf(operation)
    if (list === undefined || list.length <= longest.length) continue
    longest = list
    reader = operation
  }
  const seen = new Set(longest)
  const lengths = new Map<number, number>()
  for (const operation of history) {
    const list = listOf(operation)
    if (list?.every((value, at) => longest[at] === value)) lengths.set(operation.id, list.length)
  }
  const listAt = (length: number): readonly number[] => longest.slice(0, length)
  return {
    initial: 0,
    // As of a register: an append that no read saw and that may never have been explains nothing.
    operations: history.filter(
      ({ call, outcome }) =>
        outcome.kind === 'known' || (call.kind === 'append' && seen.has(call.value)),
    ),
    step: (length, { id, call }) => {
      if (call.kind === 'read') return lengths.get(id) === length ? length : undefined
      return length >= longest.length || longest[length] === call.value ? length + 1 : undefined
    },
    isReadOnly: ({ call }) => call.kind === 'read',
    stateKey: String,
    describeState: (length) => {
      const behind = length - longest.length
      return `${listText(listAt(length))}${behind > 0 ? ` and ${behind} that no read saw` : ''}`
    },
    describe,
    suspects: (failed, states) => differing(listOf(failed) ?? [], states.map(listAt)),
    note:
      reader &&
      'the longest list that was read tells the order of appends, and all others come behind it: ' +
        `#${reader.id} ${describe(reader)}`,
    writes: ({ call }) => (call.kind === 'append' ? call.value : undefined),
  }
}

function listOf({ call, outcome }: ListOperation): readonly number[] | undefined {
  if (call.kind !== 'read' || outcome.kind !== 'known') return undefined
  return outcome.result.kind === 'list' ? outcome.result.list : undefined
}

/** Values of the list from where it parts with each of the others, and theirs; a few of each. */
function differing(
  list: readonly number[],
  others: readonly (readonly number[])[],
): ReadonlySet<number> {
  const found = new Set<number>()
  for (const other of others) {
    let at = 0
    while (at < list.length && list[at] === other[at]) at += 1
    for (const value of [...list.slice(at, at + 4), ...other.slice(at, at + 4)]) found.add(value)
  }
  return found
}

function describe(operation: ListOperation): string {
  if (operation.call.kind === 'append') return `append ${operation.call.value}`
  const list = listOf(operation)
  return `read -> ${list === undefined ? '?' : listText(list)}`
}

/** The end of a list tells most. */
function listText(list: readonly number[]): string {
  if (list.length <= 8) return `[${list.join(' ')}]`
  return `[${list.length} values, the last: ${list.slice(-6).join(' ')}]`
}
