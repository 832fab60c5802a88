import { createSocket, type Socket } from 'node:dgram'
import t, { type Test } from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId } from '../../../../proto/objects/ids.ts'
import { probeAnswerPort } from '../../../../worker/network/network-state.ts'
import { PeerProber } from '../../../../worker/network/peer-prober.ts'
import { eventually } from '../../../support/netns.ts'

const address = '127.88.1.2'
const peer = { nodeId: nodeId('n2'), vtep: '10.99.0.2', address, mtuMax: 1450, isDown: false }

async function bound(t: Test, where: string, port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind({ address: where, port }, resolve))
  t.teardown(() => new Promise<void>((resolve) => socket.close(() => resolve())))
  return socket
}

t.test('what comes back counts, what a stranger sends does not', async (t) => {
  const other = await bound(t, address, probeAnswerPort)
  let isAnswering = false
  other.on('message', (message, { port, address: from }) => {
    other.send(Buffer.alloc(message.length), port, from)
    other.send('short', port, from)
    if (isAnswering) other.send(message, port, from)
  })
  let changes = 0
  let failures = 1
  const prober = new PeerProber({
    dataPlaneFile: '/nowhere',
    clock: systemClock,
    random: seededRandom(1),
    log: silentLogger,
    onChange: () => {
      changes += 1
    },
    bind: async () => {
      failures -= 1
      if (failures === 0) throw new Error('not yet')
      const socket = createSocket('udp4')
      await new Promise<void>((resolve) => socket.bind({ address: '127.0.0.1' }, resolve))
      return socket
    },
  })
  const stopping = new AbortController()
  const running = prober.run(stopping.signal)
  t.same(prober.reports(), [], 'nobody is asked')
  prober.set([peer])
  t.match(prober.reports(), [{ nodeId: 'n2', state: 'unknown' }])
  const is = (state: string) => async () => prober.reports()[0]?.state === state
  await eventually(is('silent'), 'only strangers are heard', 20_000)
  isAnswering = true
  await eventually(is('reachable'), 'its answers are heard', 20_000)
  t.match(prober.reports(), [{ mtu: 1450 }])
  t.ok(changes >= 3, 'each change is told')
  prober.set([])
  t.same(prober.reports(), [])
  stopping.abort()
  await t.resolves(running)
})

t.test('it ends while it waits for peers', async (t) => {
  const prober = new PeerProber({
    dataPlaneFile: '/nowhere',
    clock: systemClock,
    random: seededRandom(1),
    log: silentLogger,
    onChange: () => {},
  })
  const stopping = new AbortController()
  const running = prober.run(stopping.signal)
  stopping.abort()
  await t.resolves(running)
})
