import t from 'tap'
import { RateLimiter } from '../../../../../worker/network/dns/rate.ts'

t.test(
  'an asker has its burst, then what comes back with time; others have their own',
  async (t) => {
    const rate = new RateLimiter({ perSecond: 10, burst: 2, askersMax: 10 })
    t.ok(rate.takes('a', 0))
    t.ok(rate.takes('a', 0))
    t.notOk(rate.takes('a', 0))
    t.ok(rate.takes('b', 0))
    t.notOk(rate.takes('a', 50))
    t.ok(rate.takes('a', 100))
    t.notOk(rate.takes('a', 150))
    t.ok(rate.takes('a', 10_000))
    t.ok(rate.takes('a', 10_000))
    t.notOk(rate.takes('a', 10_000), 'never more than the burst')
  },
)

t.test('of more askers than are remembered the first starts anew', async (t) => {
  const rate = new RateLimiter({ perSecond: 1, burst: 1, askersMax: 2 })
  t.ok(rate.takes('a', 0))
  t.ok(rate.takes('b', 0))
  t.ok(rate.takes('c', 0))
  t.notOk(rate.takes('b', 0))
  t.ok(rate.takes('a', 0))
})
