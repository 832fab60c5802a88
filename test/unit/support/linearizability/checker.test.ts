// The checker against known histories, against a naive one on small histories, and against a large one for speed.
import fc from 'fast-check'
import t from 'tap'
import { checkHistory, type Verdict } from '../../../support/linearizability/checker.ts'
import { type ListOperation, listModel } from '../../../support/linearizability/list-model.ts'
import { listHistory, registerHistory } from '../../../support/linearizability/made-histories.ts'
import {
  isLinearizable,
  naiveList,
  naiveRegister,
} from '../../../support/linearizability/naive-checker.ts'
import type { Operation } from '../../../support/linearizability/operation.ts'
import {
  type RegisterOperation,
  registerModel,
} from '../../../support/linearizability/register-model.ts'

const numRuns = 1500

type Span = readonly [invoked: number, returned: number | undefined]

const register = (
  id: number,
  [invoked, returned]: Span,
  call: RegisterOperation['call'],
  found?: number,
): RegisterOperation => ({
  id,
  key: 'r',
  call,
  invoked,
  outcome:
    returned === undefined
      ? { kind: 'unknown' }
      : {
          kind: 'known',
          returned,
          result: found === undefined ? { kind: 'done' } : { kind: 'value', value: found },
        },
})
const write = (id: number, span: Span, value: number): RegisterOperation =>
  register(id, span, { kind: 'write', value })
const read = (id: number, span: Span, found: number): RegisterOperation =>
  register(id, span, { kind: 'read' }, found)
const swap = (
  id: number,
  span: Span,
  [expected, value]: readonly [number, number],
  found?: number,
): RegisterOperation => register(id, span, { kind: 'compare-and-set', expected, value }, found)

const append = (id: number, [invoked, returned]: Span, value: number): ListOperation => ({
  id,
  key: 'l',
  call: { kind: 'append', value },
  invoked,
  outcome:
    returned === undefined
      ? { kind: 'unknown' }
      : { kind: 'known', returned, result: { kind: 'done' } },
})
const readList = (
  id: number,
  [invoked, returned]: readonly [number, number],
  ...list: readonly number[]
): ListOperation => ({
  id,
  key: 'l',
  call: { kind: 'read' },
  invoked,
  outcome: { kind: 'known', returned, result: { kind: 'list', list } },
})

const ofRegister = (...history: readonly RegisterOperation[]): Verdict['kind'] =>
  checkHistory(registerModel, history).kind
const ofList = (...history: readonly ListOperation[]): Verdict['kind'] =>
  checkHistory(listModel, history).kind

t.test('registers that are linearizable', async (t) => {
  t.equal(ofRegister(), 'linearizable', 'an empty history')
  t.equal(ofRegister(read(1, [1, 2], 0)), 'linearizable', 'unset at first')
  t.equal(ofRegister(write(1, [1, 4], 7), read(2, [2, 3], 7)), 'linearizable', 'seen early')
  t.equal(ofRegister(write(1, [1, 4], 7), read(2, [2, 3], 0)), 'linearizable', 'seen late')
  t.equal(
    ofRegister(write(1, [1, 6], 1), write(2, [2, 5], 2), read(3, [3, 4], 1), read(4, [7, 8], 2)),
    'linearizable',
    'two writes at once, in either order',
  )
  t.equal(
    ofRegister(write(1, [1, undefined], 7), read(2, [2, 3], 0), read(3, [90, 91], 7)),
    'linearizable',
    'an unknown write that takes effect late',
  )
  t.equal(
    ofRegister(write(1, [1, undefined], 7), write(2, [2, 3], 8), read(3, [4, 5], 8)),
    'linearizable',
    'an unknown write that never takes effect',
  )
  t.equal(
    ofRegister(write(1, [1, 2], 1), swap(2, [3, 4], [1, 2]), swap(3, [5, 6], [1, 3], 2)),
    'linearizable',
    'a swap, and one that is refused',
  )
  t.equal(
    ofRegister(swap(1, [1, undefined], [0, 5]), swap(2, [2, 3], [5, 6])),
    'linearizable',
    'a swap that rests on an unknown one',
  )
})

t.test('registers that are not linearizable', async (t) => {
  t.equal(ofRegister(read(1, [1, 2], 7)), 'violation', 'a value that was never written')
  t.equal(
    ofRegister(write(1, [1, 2], 7), write(2, [3, 4], 8), read(3, [5, 6], 7)),
    'violation',
    'a stale read',
  )
  t.equal(ofRegister(write(1, [1, 2], 7), read(2, [3, 4], 0)), 'violation', 'a lost write')
  t.equal(ofRegister(read(1, [1, 2], 7), write(2, [3, 4], 7)), 'violation', 'read before written')
  t.equal(
    ofRegister(write(1, [1, 9], 7), read(2, [2, 3], 7), read(3, [4, 5], 0)),
    'violation',
    'two reads that go back in time',
  )
  t.equal(
    ofRegister(swap(1, [1, 4], [0, 1]), swap(2, [2, 5], [0, 2])),
    'violation',
    'two swaps of the same value',
  )
  t.equal(
    ofRegister(swap(1, [1, 2], [0, 1], 0)),
    'violation',
    'a refusal that found what it expected',
  )
  t.equal(
    ofRegister(
      write(1, [1, undefined], 7),
      read(2, [2, 3], 7),
      write(3, [4, 5], 8),
      read(4, [6, 7], 7),
    ),
    'violation',
    'an unknown write takes effect once',
  )
})

t.test('lists that are linearizable, and some that are not', async (t) => {
  t.equal(
    ofList(append(1, [1, 4], 1), append(2, [2, 3], 2), readList(3, [5, 6], 2, 1)),
    'linearizable',
  )
  t.equal(
    ofList(append(1, [1, 2], 1), append(2, [3, 4], 2), readList(3, [5, 6], 2, 1)),
    'violation',
  )
  t.equal(
    ofList(append(1, [1, undefined], 1), readList(2, [2, 3]), readList(3, [4, 5], 1)),
    'linearizable',
    'an unknown append that takes effect late',
  )
  t.equal(ofList(append(1, [1, 2], 1), readList(2, [3, 4])), 'violation', 'a lost append')
  t.equal(ofList(append(1, [1, 2], 1), readList(2, [3, 4], 1, 1)), 'violation', 'appended twice')
  t.equal(ofList(readList(1, [1, 2], 5)), 'violation', 'a value that was never appended')
  t.equal(
    ofList(
      append(1, [1, 9], 1),
      append(2, [2, 10], 2),
      readList(3, [3, 4], 1),
      readList(4, [5, 6], 2),
    ),
    'violation',
    'reads that disagree',
  )
  t.equal(
    ofList(
      append(1, [1, 2], 1),
      append(2, [3, 4], 2),
      append(3, [5, 6], 3),
      readList(4, [7, 8], 1, 3),
    ),
    'violation',
    'lost from the middle',
  )
})

t.test('the text of a violation names the operation, the states and what wrote them', async (t) => {
  const history = [write(1, [1, 2], 7), write(2, [3, 4], 8), read(3, [5, 6], 7)]
  const verdict = checkHistory(registerModel, history)
  t.equal(verdict.kind, 'violation')
  const text = verdict.kind === 'violation' ? verdict.text : ''
  t.match(
    text,
    /register r: no order of the operations explains\n {2}#3 \[event 5 .. event 6\]: read -> 7/,
  )
  t.match(text, /can only have been: 8\n/)
  t.match(text, /#1 .*write 7[\s\S]*#2 .*write 8[\s\S]*> #3/)
  const lost = checkHistory(listModel, [append(1, [1, 2], 1), readList(2, [3, 4])])
  t.match(lost.kind === 'violation' ? lost.text : '', /append 1/)
  const invented = checkHistory(registerModel, [write(1, [1, 2], 7), read(2, [3, 4], 9)])
  t.match(invented, { text: /no operation of the history wrote: 9\n/ })
  const inventedList = checkHistory(listModel, [append(1, [1, 2], 1), readList(2, [3, 4], 1, 5)])
  t.match(inventedList, { text: /no operation of the history wrote: 5\n/ })
})

t.test('limits end the search, and say so', async (t) => {
  const writes = Array.from({ length: 18 }, (_, i) => write(i, [i, 100 + i], i + 1))
  const hard = [...writes, read(98, [60, 70], 1), read(99, [200, 201], 999)]
  const narrow = checkHistory(registerModel, hard, { configurationsMax: 1000 })
  t.match(narrow, { kind: 'undecided', key: 'r', text: /more than 1000 ways/ })
  const hasty = checkHistory(registerModel, hard, { configurationsMax: 1e9, deadlineMs: 0 })
  t.match(hasty, { kind: 'undecided', text: /time for the check is over/ })
  t.throws(() => ofRegister(write(1, [2, 1], 5)), /returned before/)
})

t.test('it agrees with a naive checker on random small register histories', async (t) => {
  const kinds = { linearizable: 0, violation: 0 }
  fc.assert(
    fc.property(fc.integer(), fc.boolean(), (seed, isWild) => {
      const history = registerHistory({ seed, operations: 7, clients: 3, values: 3, isWild })
      const expected = isLinearizable(naiveRegister, history) ? 'linearizable' : 'violation'
      kinds[expected] += 1
      return checkHistory(registerModel, history).kind === expected
    }),
    { numRuns },
  )
  t.comment(kinds)
  t.ok(kinds.linearizable > numRuns / 10 && kinds.violation > numRuns / 10, 'both kinds came up')
})

t.test('it agrees with a naive checker on random small list histories', async (t) => {
  const kinds = { linearizable: 0, violation: 0 }
  fc.assert(
    fc.property(fc.integer(), fc.boolean(), (seed, isWild) => {
      const history = listHistory({ seed, operations: 7, clients: 3, isWild })
      const expected = isLinearizable(naiveList, history) ? 'linearizable' : 'violation'
      kinds[expected] += 1
      return checkHistory(listModel, history).kind === expected
    }),
    { numRuns },
  )
  t.comment(kinds)
  t.ok(kinds.linearizable > numRuns / 10 && kinds.violation > numRuns / 10, 'both kinds came up')
})

/** Three reads in a row, each invoked after the one before returned, of which the second found more than the first. */
function readsInARow<Call extends { readonly kind: string }, Result>(
  history: readonly Operation<Call, Result>[],
): readonly [Operation<Call, Result>, Operation<Call, Result>] {
  const reads = history
    .filter(({ call, outcome }) => call.kind === 'read' && outcome.kind === 'known')
    .sort((a, b) => a.invoked - b.invoked)
  const from = reads.slice(Math.floor(reads.length / 3))
  const resultOf = ({ outcome }: Operation<Call, Result>): string =>
    outcome.kind === 'known' ? JSON.stringify(outcome.result) : ''
  const after = (a: Operation<Call, Result>) => (b: Operation<Call, Result>) =>
    a.outcome.kind === 'known' && b.invoked > a.outcome.returned
  for (const first of from) {
    const second = from.filter(after(first)).find((read) => resultOf(read) !== resultOf(first))
    const third = second && from.find(after(second))
    if (third !== undefined) return [first, third]
  }
  throw new Error('no such reads')
}

/** A later read finds what an earlier one found. */
function withStaleRead<Call extends { readonly kind: string }, Result>(
  history: readonly Operation<Call, Result>[],
): readonly Operation<Call, Result>[] {
  const [old, read] = readsInARow(history)
  const { outcome } = read
  if (outcome.kind !== 'known' || old.outcome.kind !== 'known') throw new Error('both are known')
  const stale = { ...read, outcome: { ...outcome, result: old.outcome.result } }
  return history.map((operation) => (operation === read ? stale : operation))
}

/** An operation whose effect was seen is taken for one that had none. */
function withDenied<Call extends { readonly kind: string }, Result>(
  history: readonly Operation<Call, Result>[],
  value: number,
): readonly Operation<Call, Result>[] {
  return history.filter(({ call }) => !('value' in call && call.value === value))
}

t.test('50,000 operations over many keys take seconds', async (t) => {
  const seeds = Array.from({ length: 100 }, (_, i) => i)
  const sizes = { operations: 250, clients: 8 }
  const registers = seeds.map((seed) => registerHistory({ seed, ...sizes, key: `r${seed}` }))
  const lists = seeds.map((seed) => listHistory({ seed, ...sizes, key: `l${seed}` }))

  await t.test('when all is well', async (t) => {
    const startMs = performance.now()
    const ofRegisters = checkHistory(registerModel, registers.flat())
    const ofLists = checkHistory(listModel, lists.flat())
    const ms = Math.round(performance.now() - startMs)
    t.match(ofRegisters, { kind: 'linearizable', keys: 100, operations: 25_000 })
    t.match(ofLists, { kind: 'linearizable', keys: 100, operations: 25_000 })
    t.comment(`${ms} ms`, ofRegisters, ofLists)
    t.ok(ms < 20_000, `${ms} ms`)
  })

  await t.test('and one stale read among them is found', async (t) => {
    const staleRegister = registers.with(50, [...withStaleRead(registers[50] ?? [])])
    t.match(checkHistory(registerModel, staleRegister.flat()), { kind: 'violation', key: 'r50' })
    const staleList = lists.with(50, [...withStaleRead(lists[50] ?? [])])
    t.match(checkHistory(listModel, staleList.flat()), { kind: 'violation', key: 'l50' })
  })

  await t.test('and one lost acknowledgement that counts as a failure', async (t) => {
    const [seen] = readsInARow(registers[50] ?? [])
    const found = seen.outcome.kind === 'known' ? seen.outcome.result : undefined
    const value = found?.kind === 'value' ? found.value : 0
    const denied = registers.with(50, [...withDenied(registers[50] ?? [], value)])
    t.match(checkHistory(registerModel, denied.flat()), { kind: 'violation', key: 'r50' })
    const [seenList] = readsInARow(lists[50] ?? [])
    const list = seenList.outcome.kind === 'known' ? seenList.outcome.result : undefined
    const last = list?.kind === 'list' ? (list.list.at(-1) ?? 0) : 0
    const deniedList = lists.with(50, [...withDenied(lists[50] ?? [], last)])
    t.match(checkHistory(listModel, deniedList.flat()), { kind: 'violation', key: 'l50' })
  })
})
