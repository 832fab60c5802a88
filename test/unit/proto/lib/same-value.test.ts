import fc from 'fast-check'
import t from 'tap'
import { canonicalJson } from '../../../../proto/lib/canonical-json.ts'
import { isSameValue } from '../../../../proto/lib/same-value.ts'

t.test('values are the same by what is in them', async (t) => {
  t.ok(isSameValue({ a: 1, b: [{ c: 'x' }] }, { b: [{ c: 'x' }], a: 1 }), 'in any order of fields')
  t.ok(isSameValue({ a: 1, b: undefined }, { a: 1 }), 'undefined is absent')
  t.ok(isSameValue({ a: 1 }, { a: 1, b: undefined }))
  t.ok(isSameValue(undefined, undefined))
  for (const [a, b] of [
    [{ a: 1 }, { a: 2 }],
    [{ a: 1 }, { b: 1 }],
    [{ a: undefined, b: 1 }, { a: 1 }],
    [
      [1, 2],
      [2, 1],
    ],
    [[1], [1, 2]],
    [[], {}],
    [{}, []],
    [{ 0: 1 }, [1]],
    [undefined, {}],
    [null, {}],
    ['1', 1],
    [0, false],
  ]) {
    t.notOk(isSameValue(a, b), `${canonicalJson(a)} ${canonicalJson(b)}`)
    t.notOk(isSameValue(b, a))
  }
})

t.test('as their canonical texts are (property)', async (t) => {
  const value = fc.jsonValue({ maxDepth: 3 }).map((one): unknown => JSON.parse(JSON.stringify(one)))
  const pairs = fc.oneof(
    fc.tuple(value, value),
    value.map((one) => [one, reordered(one)] as const),
  )
  fc.assert(
    fc.property(pairs, ([a, b]) => isSameValue(a, b) === (canonicalJson(a) === canonicalJson(b))),
  )
  t.pass()
})

function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, inner]) => [key, reordered(inner)] as const)
  return Object.fromEntries(entries.reverse())
}
