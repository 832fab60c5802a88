import t from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { isAboutLink, isForeignRule, keepWatching } from '../../../../worker/network/host-watch.ts'
import { until } from '../../../support/until.ts'

t.test(
  'a monitor that crashes is soon there again, and what it missed is looked for',
  async (t) => {
    let rings = 0
    const options = {
      prefix: [],
      clock: systemClock,
      log: silentLogger,
      onChange: () => {
        rings += 1
      },
    }
    const stopping = new AbortController()
    const watching = keepWatching(options, ['true'], () => false, stopping.signal)
    await until(() => rings >= 3, 'it was started three times', 10_000)
    stopping.abort()
    await watching
    t.ok(rings < 20, 'but not without end')
  },
)

t.test('elements we write ourselves do not ring, all other rules do', async (t) => {
  const element = 'add element inet tsswarm published { tcp . 80 }'
  t.notOk(isForeignRule(element, true), 'our own')
  t.ok(isForeignRule(element, false), 'one that somebody else added')
  const accept = 'add rule inet fw fw1 iifname "dp0" accept comment "tsswarm"'
  for (const isWriting of [true, false]) {
    for (const line of ['', '# new generation 5', accept]) {
      t.notOk(isForeignRule(line, isWriting), line)
    }
  }
  for (const line of [
    'delete table inet tsswarm',
    'add chain ip filter FORWARD { policy drop; }',
  ]) {
    for (const isWriting of [true, false]) t.ok(isForeignRule(line, isWriting), line)
  }
})

t.test('only lines about our link concern us', async (t) => {
  t.ok(isAboutLink('Deleted 7: dp0@if2: <BROADCAST> mtu 1500'))
  t.ok(isAboutLink('Deleted 172.30.0.0/16 via 169.254.77.2 dev dp0 src 169.254.77.1'))
  t.notOk(isAboutLink('Deleted 10.0.0.0/8 via 10.1.1.1 dev eth0 '))
  t.notOk(isAboutLink('8: xdp0: <BROADCAST>'))
})
