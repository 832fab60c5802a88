import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { systemClock } from '../../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../../proto/lib/random.ts'
import { networkId, serviceId, taskId } from '../../../../../proto/objects/ids.ts'
import type { Forwarder } from '../../../../../worker/network/dns/forwarder.ts'
import { listen } from '../../../../../worker/network/dns/listen.ts'
import { DnsServer, type DnsServerOptions } from '../../../../../worker/network/dns/server.ts'
import { framed, MessageReader } from '../../../../../worker/network/dns/tcp-framing.ts'
import { Zone } from '../../../../../worker/network/dns/zone.ts'
import { KnownViews } from '../../../../../worker/network/dns/zone-change.ts'
import {
  aClient,
  anAnswer,
  anEndpoint,
  anOverlay,
  aQuery,
  askUdp,
  aTaskEndpoint,
  aView,
  headerOf,
} from '../../../../support/dns.ts'
import { freePort } from '../../../../support/free-ports.ts'

const taskCount = 100
const ingressPorts = [
  { protocol: 'tcp', targetPort: 80, publishedPort: 8080, name: 'http', bindAddress: '' } as const,
].map((port) => ({
  ...port,
  sources: [],
  isMasqueraded: false,
  isLocalFirst: false,
  isFirewallFirst: false,
}))

/** Askers are loopback addresses here. */
function aZone(): Zone {
  const tasks = Array.from({ length: taskCount }, (_, i) =>
    aTaskEndpoint({
      taskId: taskId(`t${i}`),
      serviceId: serviceId('svc2'),
      slot: i + 1,
      addresses: [`127.1.0.${i + 1}`, `fd00::${i + 1}`],
    }),
  )
  const network = anOverlay({ subnets: ['127.1.0.0/16', 'fd00::/64'] })
  const services = [
    anEndpoint({ vips: ['127.1.1.1', 'fd00::1:1'] }),
    anEndpoint({ serviceId: serviceId('svc2'), name: 'peers', mode: 'dnsrr', vips: [] }),
  ]
  const ingress = aView(
    [],
    [anEndpoint({ vips: [], ports: ingressPorts })],
    anOverlay({
      id: networkId('ing'),
      name: 'ingress',
      subnets: ['127.9.0.0/24'],
      isIngress: true,
    }),
  )
  const zone = new Zone()
  zone.apply(new KnownViews().update([aView(tasks, services, network), ingress]))
  return zone
}

const zone = aZone()
const asker = '127.1.0.7'

interface World {
  readonly server: DnsServer
  readonly port: number
  readonly errors: readonly Error[]
}

const nobody: Forwarder = {
  inFlight: 0,
  forward: async ({ message }) => anAnswer(message, 3, 0),
}

async function aWorld(t: Test, options: Partial<DnsServerOptions> = {}): Promise<World> {
  const errors: Error[] = []
  const server = new DnsServer({
    names: () => ({ zone, serial: 1 }),
    forwarder: nobody,
    clock: systemClock,
    random: seededRandom(9),
    onError: (err) => errors.push(err),
    ...options,
  })
  const { udp, tcp } = await listen({ address: '127.0.0.1', port: await freePort() })
  server.serveUdp(udp)
  server.serveTcp(tcp)
  const { port } = udp.address()
  t.teardown(() => server.close())
  return { server, port, errors }
}

t.test("another library's client understands every kind of answer", async (t) => {
  const { port, errors } = await aWorld(t)
  const client = aClient(port, asker)
  t.same(await client.resolve4('web', { ttl: true }), [{ address: '127.1.1.1', ttl: 2 }])
  t.same(await client.resolve6('WEB'), ['fd00::1:1'])
  t.same(await client.reverse('127.1.0.7'), ['peers.7.t6.backend'])
  t.same(await client.reverse('fd00::7'), ['peers.7.t6.backend'])
  t.same(await client.resolveSrv('_http._tcp.web'), [
    { name: 'web', port: 80, priority: 0, weight: 1 },
  ])
  await t.rejects(client.resolveMx('web'), { code: 'ENODATA' })
  await t.rejects(client.resolve4('nobody'), { code: 'ENOTFOUND' })
  await t.rejects(client.resolve4('example.com'), { code: 'ENOTFOUND' })
  t.same(errors, [])
})

t.test('what is too long for UDP is fetched over TCP', async (t) => {
  const { port } = await aWorld(t)
  const found = await aClient(port, asker).resolve4('peers')
  t.equal(new Set(found).size, taskCount)
  const [udp] = await askUdp(port, [aQuery('peers')], { from: asker })
  if (udp === undefined) throw new Error('no answer')
  t.match(headerOf(udp), { isTruncated: true })
})

t.test('askers are told apart by their address', async (t) => {
  const { port } = await aWorld(t)
  await t.rejects(aClient(port, '127.0.0.1').resolve4('web'), { code: 'ENOTFOUND' })
  t.same(await aClient(port, '127.1.200.1').resolve4('web'), ['127.1.1.1'])
})

t.test('answers from outside that are too long for the asker are truncated', async (t) => {
  const forward: Forwarder['forward'] = async ({ message }) => anAnswer(message, 0, 60)
  const { port } = await aWorld(t, { forwarder: { inFlight: 0, forward } })
  const [short] = await askUdp(port, [aQuery('example.com', { id: 5 })])
  if (short === undefined) throw new Error('no answer')
  t.match(headerOf(short), {
    id: 5,
    isTruncated: true,
    isAuthoritative: false,
    counts: [1, 0, 0, 0],
  })
  const [long] = await askUdp(port, [aQuery('example.com', { udpBytesMax: 4096 })])
  if (long === undefined) throw new Error('no answer')
  t.match(headerOf(long), { isTruncated: false, counts: [1, 60, 0, 0] })
  t.equal((await aClient(port).resolve4('example.com')).length, 60)
})

t.test('over its rate an asker gets nothing, others their answers', async (t) => {
  const { server, port } = await aWorld(t, { queriesPerSecond: 20 })
  const burst = Array.from({ length: 100 }, () => aQuery('web'))
  const answers = await askUdp(port, burst, { from: asker, count: 20 })
  t.equal(answers.length, 20)
  t.same(await aClient(port, '127.1.0.8').resolve4('web'), ['127.1.1.1'])
  t.ok(server.counts.limited > 50, `${server.counts.limited} are limited`)
})

t.test('garbage is answered or dropped, and the server goes on', async (t) => {
  const { server, port, errors } = await aWorld(t)
  const random = seededRandom(11)
  const garbage = Array.from({ length: 2_000 }, (_, i) => Buffer.from(random.bytes(i % 60)))
  const last = aQuery('web', { id: 4242 })
  for (let at = 0; at < garbage.length; at += 100) {
    const burst = [...garbage.slice(at, at + 100), last]
    const answers = await untilId(port, burst, 4242)
    t.ok(answers)
  }
  t.ok(server.counts.dropped > 100)
  t.same(errors, [])
})

/** Sends them, and the last again until it is answered: bursts may overflow the socket. */
async function untilId(port: number, burst: readonly Buffer[], id: number): Promise<boolean> {
  await askUdp(port, burst, { from: asker, count: 1 })
  const answers = await askUdp(port, burst.slice(-1), { from: asker })
  return answers.some((answer) => headerOf(answer).id === id)
}

t.test('a fault of ours is told of, and costs one question', async (t) => {
  let isBroken = true
  const { port, errors, server } = await aWorld(t, {
    names: () => {
      if (isBroken) throw new Error('broken')
      return { zone, serial: 1 }
    },
  })
  await t.rejects(aClient(port, asker).resolve4('web'))
  isBroken = false
  t.same(await aClient(port, asker).resolve4('web'), ['127.1.1.1'])
  t.match(errors, [{ message: 'broken' }])
  t.ok(server.counts.dropped >= 1)
})

/** A connection that keeps what it gets. */
async function aConnection(port: number) {
  const socket = connect({ port, host: '127.0.0.1', localAddress: asker })
  const got: Buffer[] = []
  const reader = new MessageReader()
  let arrived: () => void = () => {}
  socket.on('data', (chunk) => {
    got.push(...reader.push(chunk))
    arrived()
  })
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  const count = async (wanted: number): Promise<void> => {
    while (got.length < wanted) {
      await new Promise<void>((resolve) => {
        arrived = resolve
      })
    }
  }
  return { socket, got, closed, count }
}

t.test('one connection takes many questions, in pieces too', async (t) => {
  const { port } = await aWorld(t, { tcp: { inFlightMax: 2 } })
  const { socket, got, count } = await aConnection(port)
  const names = ['web', 'example.com', 'nobody']
  const messages = Array.from({ length: 300 }, (_, id) => aQuery(names[id % 3] ?? '', { id }))
  const bytes = Buffer.concat(messages.map(framed))
  for (let at = 0; at < bytes.length; at += 777) socket.write(bytes.subarray(at, at + 777))
  await count(300)
  t.same(
    got.map((message) => headerOf(message).id).sort((a, b) => a - b),
    [...messages.keys()],
  )
  socket.destroy()
})

t.test('a connection without a whole question is closed', async (t) => {
  const { port } = await aWorld(t, { tcp: { idleMs: 150 } })
  const silent = await aConnection(port)
  const slow = await aConnection(port)
  const dripping = setInterval(() => slow.socket.write(Buffer.from([1])), 20)
  await Promise.all([silent.closed, slow.closed])
  clearInterval(dripping)
  t.same(silent.got, [])
})

t.test('connections are bounded, in all and for one asker', async (t) => {
  const { port } = await aWorld(t, { tcp: { askerConnectionsMax: 2 } })
  const [one, two] = [await aConnection(port), await aConnection(port)]
  const three = await aConnection(port)
  await three.closed
  one.socket.write(framed(aQuery('web')))
  await one.count(1)
  t.notOk(two.socket.destroyed)
  for (const { socket } of [one, two]) socket.destroy()
})

t.test('who does not read its answers is cut off', async (t) => {
  const { port, server } = await aWorld(t, { tcp: { unreadBytesMax: 64 * 1024 } })
  const { socket, closed } = await aConnection(port)
  socket.pause()
  // Answers of 3 kB, far more than the buffers of both sides hold.
  const burst = Buffer.concat(Array.from({ length: 9_000 }, () => framed(aQuery('peers'))))
  socket.write(burst)
  socket.once('end', () => {})
  const ended = new Promise<void>((resolve) => {
    const look = setInterval(() => {
      if (server.open > 0) return
      clearInterval(look)
      resolve()
    }, 10)
  })
  await ended
  socket.destroy()
  await closed
  t.equal(server.open, 0)
})

t.test('handed over, waiting questions are answered through the relay', async (t) => {
  let answer: (bytes: Buffer) => void = () => {}
  const forward: Forwarder['forward'] = () =>
    new Promise((resolve) => {
      answer = resolve
    })
  const { server, port } = await aWorld(t, { forwarder: { inFlight: 0, forward } })
  const other = await aWorld(t)
  const waiting = askUdp(port, [aQuery('example.com')]).catch(() => [])
  await untilForwarded(server)
  const late = new Promise<{ readonly bytes: Buffer; readonly port: number }>((resolve) => {
    server.handOver(resolve)
  })
  answer(anAnswer(aQuery('example.com')))
  const { bytes, port: askerPort } = await late
  t.match(headerOf(bytes), { id: 4711 })
  other.server.sendLate({ bytes, address: '127.0.0.1', port: askerPort })
  t.equal((await waiting).length, 1)
})

async function untilForwarded(server: DnsServer): Promise<void> {
  while (server.counts.forwarded === 0) await new Promise((resolve) => setImmediate(resolve))
}
