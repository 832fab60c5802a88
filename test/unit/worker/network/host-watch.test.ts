import t from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import {
  concernOfRule,
  isAboutLink,
  isListening,
  keepWatching,
} from '../../../../worker/network/host-watch.ts'
import { until } from '../../../support/until.ts'

t.test('a monitor that listens is told apart from one that only runs', async (t) => {
  const table = [
    'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode',
    '000000004c893fe8 0   0          00000000 0        0        0     2        0        4',
    '00000000c3967cff 12  14851      00000140 0        0        0     2        0        21104995',
    '0000000014bf1e84 0   148        00000000 0        0        0     2        0        21105193',
  ].join('\n')
  t.ok(isListening(table, 14851))
  t.notOk(isListening(table, 148), 'asks and does not listen')
  t.notOk(isListening(table, 0))
  t.notOk(isListening('', 1))
})

t.test(
  'a monitor that ends is started again, and each that listens looks for what was missed',
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
    const listens = keepWatching(options, ['ip', 'monitor', 'link'], () => 'none', stopping.signal)
    await until(() => rings === 1, 'it listens', 10_000)
    const never = { ...options, onChange: () => t.fail('a program that never listens rang') }
    const ends = keepWatching(never, ['true'], () => 'none', stopping.signal)
    stopping.abort()
    await Promise.all([listens, ends])
    t.equal(rings, 1)
  },
)

t.test('elements we write ourselves are in doubt, all other rules are foreign', async (t) => {
  const element = 'add element inet tsswarm published { tcp . 80 }'
  t.equal(concernOfRule(element, true), 'doubtful')
  t.equal(concernOfRule(element, false), 'foreign', 'one that somebody else added')
  const accept = 'add rule inet fw fw1 iifname "dp0" accept comment "tsswarm"'
  for (const isWriting of [true, false]) {
    for (const line of ['', '# new generation 5', accept]) {
      t.equal(concernOfRule(line, isWriting), 'none', line)
    }
  }
  for (const line of [
    'delete table inet tsswarm',
    'add chain ip filter FORWARD { policy drop; }',
  ]) {
    for (const isWriting of [true, false]) t.equal(concernOfRule(line, isWriting), 'foreign', line)
  }
})

t.test('only lines about our link concern us', async (t) => {
  t.ok(isAboutLink('Deleted 7: dp0@if2: <BROADCAST> mtu 1500'))
  t.ok(isAboutLink('Deleted 172.30.0.0/16 via 169.254.77.2 dev dp0 src 169.254.77.1'))
  t.notOk(isAboutLink('Deleted 10.0.0.0/8 via 10.1.1.1 dev eth0 '))
  t.notOk(isAboutLink('8: xdp0: <BROADCAST>'))
})
