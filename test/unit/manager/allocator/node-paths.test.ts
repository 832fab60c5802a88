import { isIP } from 'node:net'
import t from 'tap'
import { NodePaths } from '../../../../manager/allocator/node-paths.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'

const random = seededRandom(3)
const float = () => random.float()

t.test('a node gets transit addresses, a mark and a MAC of its own', async (t) => {
  const paths = new NodePaths()
  const [a, b] = [paths.give(float), paths.give(float)]
  t.match(a, {
    transit: ['100.127.0.1', 'fd77:1::1'],
    mark: 1,
    mac: /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/,
  })
  t.match(b, { transit: ['100.127.0.2', 'fd77:1::2'], mark: 2 })
  t.not(a?.mac, b?.mac)
})

t.test('a mark is not given again soon, nor while its node is remembered as removed', async (t) => {
  const paths = new NodePaths()
  const a = paths.give(float)
  if (a !== undefined) paths.release(a)
  t.equal(paths.give(float)?.mark, 2)
  const later = new NodePaths()
  later.claim({ transit: [], mac: '02:00:00:00:00:09', mark: 65_533 })
  later.keep(1)
  later.keep(0)
  t.equal(later.give(float)?.mark, 65_534)
  t.equal(later.give(float)?.mark, 2, 'the removed one is passed over')
  later.free(1)
  t.equal(later.give(float)?.mark, 3)
})

t.test('there are 65,534 of them', async (t) => {
  const paths = new NodePaths()
  const transit = new Set<string>()
  for (let i = 0; i < 65_534; i++)
    for (const one of paths.give(float)?.transit ?? []) transit.add(one)
  t.equal(transit.size, 2 * 65_534)
  t.ok([...transit].every((one) => isIP(one) !== 0))
  t.equal(paths.give(float), undefined)
})

t.test('a MAC that somebody has is not given', async (t) => {
  const paths = new NodePaths()
  let calls = 0
  const stuck = () => {
    calls += 1
    return calls <= 12 ? 0.5 : 0.25
  }
  t.not(paths.give(stuck)?.mac, paths.give(stuck)?.mac)
})
