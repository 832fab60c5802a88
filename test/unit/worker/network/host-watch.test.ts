import t from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import {
  type Concern,
  concernOfRule,
  isAboutLink,
  isListening,
  keepWatching,
  type MonitorOptions,
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

function ringing(): { readonly count: () => number; readonly options: MonitorOptions } {
  let rings = 0
  const onChange = (): void => {
    rings += 1
  }
  const options = { prefix: [], clock: systemClock, log: silentLogger, onChange }
  return { count: () => rings, options }
}

t.test('a monitor that crashes is started again, and what it missed is looked for', async (t) => {
  const { count, options } = ringing()
  const stopping = new AbortController()
  const watching = keepWatching(options, ['true'], () => 'none', stopping.signal)
  await until(() => count() >= 3, 'it was started three times', 10_000)
  stopping.abort()
  await watching
  t.ok(count() < 20, 'but not without end')
})

t.test('one that lasts rings when it listens, and for what concerns us after that', async (t) => {
  const { count, options } = ringing()
  const stopping = new AbortController()
  const seen: string[] = []
  // What it tells of has happened by the time that it is known to listen.
  const argv = ['sh', '-c', 'echo none; echo doubtful; exec ip monitor link']
  const concernOf = (line: string): Concern => {
    seen.push(line)
    return line === 'doubtful' ? 'doubtful' : 'none'
  }
  const watching = keepWatching(options, argv, concernOf, stopping.signal)
  await until(() => count() === 2, 'it listens, and one line concerned us', 10_000)
  stopping.abort()
  await watching
  t.same(seen.slice(0, 2), ['none', 'doubtful'])
  t.equal(count(), 2, 'its end by our own hand is no news')
})

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
