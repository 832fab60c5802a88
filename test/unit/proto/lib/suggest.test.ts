import t from 'tap'
import { distance, suggestion } from '../../../../proto/lib/suggest.ts'

t.test('distance counts inserted, removed, changed and swapped letters', async (t) => {
  t.equal(distance('name', 'name'), 0)
  t.equal(distance('nme', 'name'), 1)
  t.equal(distance('anme', 'name'), 1)
  t.equal(distance('nane', 'name'), 1)
  t.equal(distance('', 'abc'), 3)
  t.equal(distance('kitten', 'sitting'), 3)
})

t.test('a suggestion is near or a beginning', async (t) => {
  const known = ['create', 'inspect', 'ls', 'ps', 'rm']
  t.equal(suggestion('crate', known), 'create')
  t.equal(suggestion('insp', known), 'inspect')
  t.equal(suggestion('sl', known), 'ls')
  t.equal(suggestion('banana', known), undefined)
})
