import t from 'tap'
import { readArguments } from '../../loss/arguments.ts'
import { clientLines, lossLine, stepLine } from '../../loss/report.ts'
import { sums } from '../../loss/run.ts'

const client = {
  name: 'port',
  seconds: 10,
  sent: { fresh: 100, slow: 10, kept: 50 },
  answered: { fresh: 98, slow: 10, kept: 50 },
  failed: { 'fresh: ECONNRESET': 2 },
  retried: { closed: 1 },
  closes: { asked: 3, idle: 4 },
  failures: [],
  slowestMs: 12.4,
  servers: 5,
  cpuMs: 1_000,
}

t.test('what was reached is told with its rate, and what failed by its cause', (t) => {
  t.same(clientLines(client), [
    'through port: answered 98 of 100 fresh (10.0/s), 10 of 10 slow (1.0/s), 50 of 50 kept (5.0/s)',
    '  failed 2 fresh: ECONNRESET; retried 1 closed',
    '  kept connections ended: 3 as the server asked, 4 while idle',
    '  slowest of the fresh 12 ms; 5 servers answered; CPU 10 % of a core',
  ])
  t.same(sums([client, client]), { sent: 320, failed: 4, retried: 2 })
  const step = { name: 'scale to 3', seconds: 1, sent: 9, failed: 0, retried: 1, causes: {} }
  t.match(stepLine(step), /^scale to 3 +1\.0 s {2}9 sent, 0 failed, 1 retried$/)
  const bad = { ...step, failed: 2, causes: client.failed }
  t.match(stepLine(bad), /2 failed, 1 retried \(2 fresh: ECONNRESET\)$/)
  const times = { lastFailureMs: 2_900.4, downMs: 2_800, replacedMs: 3_500 }
  t.equal(
    lossLine('host cut off', {
      host: 'w1',
      lostAtMs: 0,
      sent: 9,
      failed: 1,
      ...times,
      clients: [client],
    }),
    'host cut off (w1): 9 sent, 1 failed; last failing connection begun after 2900 ms, down after 2800 ms, replaced after 3500 ms',
  )
  t.end()
})

t.test('arguments have the values of the full proof unless they are given', (t) => {
  const full = { rate: 500, keepAlive: 50, replicas: 10, rollings: 5 }
  t.match(readArguments([]), { ...full, slowPerSecond: 4, slowSeconds: 10, hosts: 5 })
  t.match(readArguments(['--rate', '20', '--hosts', '0']), { rate: 20, hosts: 0 })
  for (const wrong of [
    ['--rate', 'x'],
    ['--rate', '0'],
    ['--replicas', '1.5'],
    ['--fast'],
    ['x'],
  ]) {
    t.equal(readArguments(wrong), undefined, wrong.join(' '))
  }
  t.end()
})
