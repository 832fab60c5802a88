import t from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import {
  attributeErrors,
  createIpBatch,
  createNftShell,
} from '../../../../worker/network/line-writer.ts'

t.test('errors of ip are counted back from the line of the mark', async (t) => {
  const said = `RTNETLINK answers: File exists
Command failed -:11
Error: Nexthop has invalid gateway.
second line
Command failed -:13
`
  const mark = ['Object "m" is unknown…', '14']
  t.same(attributeErrors(['a', 'b', 'c'], { said, mark }), [
    { line: 'a', text: 'RTNETLINK answers: File exists' },
    { line: 'c', text: 'Error: Nexthop has invalid gateway.\nsecond line' },
  ])
  t.same(attributeErrors(['a'], { said: '', mark: ['', '2'] }), [])
})

t.test('the real ip names the line that failed and goes on', async (t) => {
  const ip = createIpBatch(['ip'], systemClock)
  const lines = ['link show dev lo', 'link show dev no-such-device', 'nonsense', 'link show dev lo']
  t.match(await ip.run(lines), [
    { line: 'link show dev no-such-device', text: /does not exist/ },
    { line: 'nonsense', text: /Object "nonsense" is unknown/ },
  ])
  t.same(await ip.run(['link show dev lo']), [])
  ip.close()
})

t.test('the real nft answers each line', async (t) => {
  const nft = createNftShell([], systemClock)
  t.match(await nft.run(['list table inet no-such-table-1', 'bogus']), [
    { line: 'list table inet no-such-table-1' },
    { line: 'bogus', text: /syntax error/ },
  ])
  nft.close()
})
