// Packing for transfer between threads: whole buffers, nothing lost, nothing shared.
import fc from 'fast-check'
import t from 'tap'
import {
  packEntries,
  packProposals,
  unpackEntries,
  unpackProposals,
  wholeBuffer,
} from '../../../../manager/raft/entry-pack.ts'

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex')

t.test('entries and proposals come back in order with their content', async (t) => {
  const seed = Date.now() % 2 ** 31
  const lists = fc.array(
    fc.record({
      term: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      data: fc.uint8Array({ maxLength: 100 }),
    }),
    { maxLength: 20 },
  )
  const first = fc.integer({ min: 1, max: 2 ** 52 })
  fc.assert(
    fc.property(lists, first, (list, from) => {
      const entries = list.map((entry, i) => ({ ...entry, index: from + i }))
      const back = unpackEntries(packEntries(entries))
      const show = (all: typeof back): string =>
        JSON.stringify(all.map(({ index, term, data }) => [index, term, hex(data)]))
      if (show(back) !== show(entries)) throw new Error(show(back))
      const data = list.map((entry) => entry.data)
      const proposals = unpackProposals(packProposals(from, data))
      const shown = proposals.map((one) => [one.sequence, hex(one.data)])
      const expected = data.map((one, i) => [from + i, hex(one)])
      if (JSON.stringify(shown) !== JSON.stringify(expected)) throw new Error('proposals differ')
    }),
    { seed },
  )
  t.pass(`seed ${seed}`)
})

t.test('pooled buffers are copied into buffers of their own', async (t) => {
  const pooled = Buffer.from('pooled')
  t.ok(pooled.buffer.byteLength > pooled.length, 'the pool is shared')
  t.equal(wholeBuffer(pooled).byteLength, pooled.length)
  const [proposal] = unpackProposals(packProposals(0, [pooled, new Uint8Array(5000)]))
  t.equal(proposal?.data.buffer.byteLength, pooled.length, 'and keeps no neighbours')
})

t.test('entries with a gap are a broken invariant', async (t) => {
  const data = new Uint8Array(1)
  t.throws(
    () =>
      packEntries([
        { index: 1, term: 1, data },
        { index: 3, term: 1, data },
      ]),
    { name: 'InvariantError' },
  )
})
