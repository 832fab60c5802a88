import t, { type Test } from 'tap'
import { systemClock } from '../../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../../proto/lib/random.ts'
import { isAnswerTo } from '../../../../../worker/network/dns/exchange.ts'
import {
  createForwarder,
  type ForwarderOptions,
  type ForwardRequest,
} from '../../../../../worker/network/dns/forwarder.ts'
import { parseQuery } from '../../../../../worker/network/dns/query.ts'
import { UpstreamList } from '../../../../../worker/network/dns/upstreams.ts'
import { aFakeUpstream, anAnswer, aQuery, headerOf } from '../../../../support/dns.ts'

type Answering = Parameters<typeof aFakeUpstream>[0]

const answers: Answering = (query) => [anAnswer(query)]
const silent: Answering = () => []

async function aWorld(
  t: Test,
  upstreams: readonly Answering[],
  options: Partial<ForwarderOptions> = {},
) {
  const servers = await Promise.all(upstreams.map((answer) => aFakeUpstream(answer)))
  t.teardown(() => Promise.all(servers.map((server) => server.close())))
  const list = servers.map(({ port }) => ({ address: '127.0.0.1', port }))
  const all = new UpstreamList(systemClock, list)
  const forwarder = createForwarder({
    upstreamsOf: () => all,
    clock: systemClock,
    random: seededRandom(5),
    tryMs: 100,
    deadlineMs: 1_000,
    ...options,
  })
  return { servers, forwarder }
}

function aRequest(changes: Partial<ForwardRequest> = {}, id = 4711): ForwardRequest {
  const message = aQuery('example.com', { id })
  const parsed = parseQuery(message)
  if (parsed.kind !== 'query') throw new Error(parsed.kind)
  return { message, query: parsed.query, asker: '10.0.1.11', isTcp: false, ...changes }
}

for (const isTcp of [false, true]) {
  t.test(`the answer comes back with the asker's id (${isTcp ? 'TCP' : 'UDP'})`, async (t) => {
    const { servers, forwarder } = await aWorld(t, [answers])
    const answer = await forwarder.forward(aRequest({ isTcp }))
    t.match(headerOf(answer), { id: 4711, code: 0, counts: [1, 1, 0, 0] })
    const ids = servers.flatMap(({ got }) => got.map((query) => query.readUInt16BE(0)))
    t.equal(ids.length, 1)
    t.not(ids[0], 4711, 'which is not the one that went out')
    t.equal(forwarder.inFlight, 0)
  })
}

t.test('ids and ports differ from question to question', async (t) => {
  const { servers, forwarder } = await aWorld(t, [answers])
  await Promise.all(Array.from({ length: 50 }, () => forwarder.forward(aRequest())))
  const ids = new Set(servers[0]?.got.map((query) => query.readUInt16BE(0)))
  t.ok(ids.size > 45, `${ids.size} ids`)
})

t.test('answers to another question, or with another id, are passed over', async (t) => {
  const forged: Answering = (query) => {
    const [otherId, otherName] = [anAnswer(query), anAnswer(query)]
    otherId.writeUInt16BE((query.readUInt16BE(0) + 1) & 0xffff, 0)
    otherName[13] = 120
    return [otherId, otherName, query, Buffer.alloc(5), anAnswer(query, 0, 3)]
  }
  const { forwarder } = await aWorld(t, [forged])
  t.match(headerOf(await forwarder.forward(aRequest())), { counts: [1, 3, 0, 0] })
})

t.test('a silent server is followed by the next, and asked last later', async (t) => {
  const { servers, forwarder } = await aWorld(t, [silent, answers])
  for (let i = 0; i < 3; i++) t.equal(headerOf(await forwarder.forward(aRequest())).code, 0)
  t.equal(servers[0]?.got.length, 2)
  t.equal(servers[1]?.got.length, 3)
})

t.test('a server nobody listens at is known for it at once', async (t) => {
  const { servers, forwarder } = await aWorld(t, [answers, answers], { tryMs: 60_000 })
  await servers[0]?.close()
  t.equal(headerOf(await forwarder.forward(aRequest())).code, 0)
  t.equal(headerOf(await forwarder.forward(aRequest({ isTcp: true }))).code, 0)
  t.equal(servers[1]?.got.length, 2)
  // Closed again by the teardown otherwise.
  servers.shift()
})

t.test('a late answer of the first server still counts', async (t) => {
  const late: Buffer[] = []
  const first: Answering = (query) => {
    late.push(query)
    // The retry makes the first question's answer follow.
    return late.length === 2 ? late.map((message) => anAnswer(message, 0, 2)) : []
  }
  const { forwarder } = await aWorld(t, [first])
  t.match(headerOf(await forwarder.forward(aRequest())), { counts: [1, 2, 0, 0] })
})

t.test(
  'a server that fails or refuses is followed by the next; its answer is the last resort',
  async (t) => {
    const failing: Answering = (query) => [anAnswer(query, 2, 0)]
    const refusing: Answering = (query) => [anAnswer(query, 5, 0)]
    const { forwarder } = await aWorld(t, [failing, answers])
    t.equal(headerOf(await forwarder.forward(aRequest())).code, 0)
    const alone = await aWorld(t, [refusing])
    t.equal(headerOf(await alone.forwarder.forward(aRequest())).code, 5)
  },
)

t.test('a name that is not there is an answer', async (t) => {
  const { servers, forwarder } = await aWorld(t, [(query) => [anAnswer(query, 3, 0)], answers])
  t.equal(headerOf(await forwarder.forward(aRequest())).code, 3)
  t.equal(servers[1]?.got.length, 0)
})

t.test('without servers, or over the bounds, the answer is a failure at once', async (t) => {
  const none = await aWorld(t, [])
  t.match(headerOf(await none.forwarder.forward(aRequest())), { id: 4711, code: 2 })
  const { forwarder, servers } = await aWorld(t, [silent], { inFlightMax: 3, askerInFlightMax: 2 })
  const waiting = [aRequest(), aRequest(), aRequest({ asker: '10.0.1.12' })].map((request) =>
    forwarder.forward(request),
  )
  t.equal(forwarder.inFlight, 3)
  t.equal(headerOf(await forwarder.forward(aRequest({ asker: '10.0.1.13' }))).code, 2)
  t.equal(forwarder.inFlight, 3, 'those before wait on')
  t.same(
    (await Promise.all(waiting)).map((answer) => headerOf(answer).code),
    [2, 2, 2],
  )
  t.equal(servers[0]?.got.length, 9, 'each was asked three times')
  t.equal(forwarder.inFlight, 0)
})

t.test('the bound of one asker is its own', async (t) => {
  const { forwarder } = await aWorld(t, [silent], { askerInFlightMax: 1, tryMs: 10 })
  const waiting = forwarder.forward(aRequest())
  t.equal(headerOf(await forwarder.forward(aRequest())).code, 2)
  const other = forwarder.forward(aRequest({ asker: '10.0.1.12' }))
  t.equal(forwarder.inFlight, 2)
  await Promise.all([waiting, other])
})

t.test('an answer is told from everything else', async (t) => {
  const query = aQuery('example.com')
  t.ok(isAnswerTo(query, anAnswer(query)))
  t.ok(isAnswerTo(query, anAnswer(aQuery('EXAMPLE.com'))), 'some servers change the case')
  t.notOk(isAnswerTo(query, query), 'a query')
  t.notOk(isAnswerTo(query, anAnswer(aQuery('example.com', { type: 28 }))))
  t.notOk(isAnswerTo(query, anAnswer(aQuery('example.org'))))
  t.notOk(isAnswerTo(query, anAnswer(query).subarray(0, 20)))
  const binary = aQuery('ab')
  binary[13] = 0
  t.ok(
    isAnswerTo(binary, Buffer.concat([Buffer.from([0x12, 0x67, 0x81, 0x80]), binary.subarray(4)])),
  )
})
