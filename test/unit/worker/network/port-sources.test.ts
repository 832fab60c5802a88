import t from 'tap'
import { openTo } from '../../../../worker/network/port-sources.ts'

t.test(
  'a port without sources is open to all, one with sources of another family to none',
  async (t) => {
    t.equal(openTo([], 4), undefined)
    t.equal(openTo(['10.0.0.0/8', '0.0.0.0/0'], 4), undefined)
    t.same(openTo(['10.0.0.0/8'], 6), [])
    t.same(openTo(['fd01::/64'], 4), [])
  },
)

t.test('what lies within another source is left out, as sets of intervals refuse it', async (t) => {
  t.same(openTo(['10.1.0.0/16', '10.0.0.0/8', '10.0.0.0/8', '192.0.2.7/32'], 4), [
    '10.0.0.0/8',
    '192.0.2.7',
  ])
  t.same(openTo(['fd01:0::/64', 'fd01::7', 'fd02::1'], 6), ['fd01::/64', 'fd02::1'])
})

t.test('loopback of either family is the host itself in both', async (t) => {
  t.same(openTo(['::1'], 4), ['169.254.77.1'])
  t.same(openTo(['::1'], 6), ['::1', 'fd77::1'])
  t.same(openTo(['127.0.0.0/8'], 4), ['127.0.0.0/8', '169.254.77.1'])
  t.same(openTo(['127.0.0.1'], 6), ['fd77::1'])
})
