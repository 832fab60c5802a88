// A walk shows the rows of one moment, whatever happens to the table meanwhile.
import fc from 'fast-check'
import t from 'tap'
import { TableState } from '../../../../manager/store/table-state.ts'
import type { TableWalk } from '../../../../manager/store/table-walk.ts'
import type { RemovedNode } from '../../../../proto/objects/index.ts'
import { nodeId } from '../../../../proto/objects/index.ts'

type Table = TableState<'removedNodes'>

const ids = Array.from({ length: 8 }, (_, i) => `n${i}`)
const aRow = (id: string, expiresAtMs: number): RemovedNode => ({
  id: nodeId(id),
  expiresAtMs,
  mark: 0,
})

function aTable(count: number): Table {
  const table: Table = new TableState('removedNodes')
  for (const id of ids.slice(0, count)) table.put(id, aRow(id, 0))
  return table
}

function read(walk: TableWalk<RemovedNode>, max = Number.POSITIVE_INFINITY): RemovedNode[] {
  const rows: RemovedNode[] = []
  while (rows.length < max) {
    const row = walk.next()
    if (row === undefined) break
    rows.push(row)
  }
  return rows
}

const sorted = (rows: Iterable<RemovedNode>): string[] =>
  [...rows].map(({ id, expiresAtMs }) => `${id} ${expiresAtMs}`).sort()

type Step =
  | { readonly kind: 'put' | 'remove'; readonly id: string }
  | { readonly kind: 'walk' }
  | { readonly kind: 'read'; readonly walk: number; readonly rows: number }

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom('put' as const, 'remove' as const),
      id: fc.constantFrom(...ids),
    }),
    fc.record({ kind: fc.constant('walk' as const) }),
    fc.record({
      kind: fc.constant('read' as const),
      walk: fc.nat({ max: 3 }),
      rows: fc.nat({ max: 4 }),
    }),
  ),
  { maxLength: 40 },
)

t.test('several walks each see their own moment, in any interleaving', async (t) => {
  fc.assert(
    fc.property(fc.nat({ max: ids.length }), steps, (count, script) => {
      const table = aTable(count)
      const walks: { walk: TableWalk<RemovedNode>; wanted: string[]; got: RemovedNode[] }[] = []
      let value = 0
      for (const step of script) {
        value += 1
        if (step.kind === 'put') table.put(step.id, aRow(step.id, value))
        else if (step.kind === 'remove') table.remove(step.id)
        else if (step.kind === 'walk') {
          walks.push({ walk: table.walk(), wanted: sorted(table.rows()), got: [] })
        } else if (step.kind === 'read') {
          const one = walks[step.walk]
          one?.got.push(...read(one.walk, step.rows))
        }
      }
      for (const { walk, wanted, got } of walks) {
        got.push(...read(walk))
        if (sorted(got).join() !== wanted.join()) return false
      }
      return true
    }),
    { numRuns: 2_000 },
  )
  t.pass()
})

t.test('rows come in order of creation, those removed meanwhile last', async (t) => {
  const table = aTable(4)
  const walk = table.walk()
  table.put('n2', aRow('n2', 7))
  table.remove('n1')
  table.put('n1', aRow('n1', 9))
  t.same(
    read(walk).map(({ id, expiresAtMs }) => [id, expiresAtMs]),
    [
      ['n0', 0],
      ['n2', 0],
      ['n3', 0],
      ['n1', 0],
    ],
  )
  t.equal(walk.next(), undefined)
})

t.test('a closed walk shows nothing more', async (t) => {
  const table = aTable(4)
  const walk = table.walk()
  walk.next()
  table.remove('n3')
  walk.close()
  t.equal(walk.next(), undefined)
})
