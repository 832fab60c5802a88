import t from 'tap'
import { RequestTable } from '../../../../manager/store/request-table.ts'

const minuteMs = 60_000

function request(id: string, atMs: number, resultJson = '1') {
  return { id, method: 'M', resultJson, atMs }
}

t.test('requests are kept for 10 minutes of cluster time', async (t) => {
  const table = new RequestTable()
  table.add(request('a', 0))
  table.add(request('b', 10 * minuteMs - 1))
  t.ok(table.get('a'))
  table.add(request('c', 10 * minuteMs))
  t.equal(table.get('a'), undefined)
  t.same(
    [...table.values()].map(({ id }) => id),
    ['b', 'c'],
  )
})

t.test('at most 10,000 are kept, the newest', async (t) => {
  const table = new RequestTable()
  for (let i = 0; i < 10_001; i++) table.add(request(`r${i}`, 5))
  t.equal(table.size, 10_000)
  t.equal(table.get('r0'), undefined)
  t.ok(table.get('r1'))
})

t.test('large results push out older ones', async (t) => {
  const table = new RequestTable()
  const large = 'x'.repeat(2 ** 20)
  for (let i = 0; i < 40; i++) table.add(request(`r${i}`, 5, large))
  t.equal(table.size, 31)
  t.ok(table.get('r39'))
})
