import fc from 'fast-check'
import t from 'tap'
import { canonicalJson } from '../../../../proto/lib/canonical-json.ts'

/** As it was first written: hashes of specs that clusters hold were made so. */
function asFirstWritten(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member
    const entries = Object.entries(member).filter(([, inner]) => inner !== undefined)
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  })
}

t.test('equal values have one text, in whatever order they were built', async (t) => {
  t.equal(canonicalJson({ b: 1, a: { d: [2], c: undefined } }), '{"a":{"d":[2]},"b":1}')
  t.equal(canonicalJson({ a: { c: undefined, d: [2] }, b: 1 }), '{"a":{"d":[2]},"b":1}')
  t.equal(canonicalJson([undefined, null, Number.NaN, 'é"']), '[null,null,null,"é\\""]')
  t.equal(canonicalJson({}), '{}')
})

t.test('the text is the one that hashes were made of since the first version', async (t) => {
  const keys = fc.oneof(fc.string(), fc.nat(12).map(String), fc.constantFrom('01', '4294967295'))
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(undefined, null, true, -0, 1e21),
      fc.double(),
      fc.string({ unit: 'binary' }),
      fc.array(tie('tree'), { maxLength: 5 }),
      fc.dictionary(keys, tie('tree'), { maxKeys: 6 }),
    ),
  }))
  fc.assert(
    fc.property(tree, (value) => {
      const wrapped = { value }
      t.equal(canonicalJson(wrapped), asFirstWritten(wrapped))
    }),
    { numRuns: 500 },
  )
})
