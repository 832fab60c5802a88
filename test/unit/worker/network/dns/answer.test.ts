import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../../../../proto/lib/random.ts'
import { taskId } from '../../../../../proto/objects/ids.ts'
import { type Decision, decide } from '../../../../../worker/network/dns/answer.ts'
import { parseQuery } from '../../../../../worker/network/dns/query.ts'
import { Zone } from '../../../../../worker/network/dns/zone.ts'
import { KnownViews } from '../../../../../worker/network/dns/zone-change.ts'
import {
  anEndpoint,
  aQuery,
  aTaskEndpoint,
  aView,
  headerOf,
  type QueryOptions,
} from '../../../../support/dns.ts'

const random = seededRandom(3)

function aZone(taskCount = 1): Zone {
  const zone = new Zone()
  const tasks = Array.from({ length: taskCount }, (_, i) =>
    aTaskEndpoint({
      taskId: taskId(`t${i}`),
      slot: i + 1,
      addresses: [`10.0.1.${11 + i}`, `fd00:1::${i + 1}`],
    }),
  )
  const dnsrr = anEndpoint({ mode: 'dnsrr', vips: [] })
  zone.apply(new KnownViews().update([aView(tasks, [dnsrr])]))
  return zone
}

function decided(message: Buffer, taskCount = 1, isTcp = false): Decision {
  const names = { zone: aZone(taskCount), serial: 42 }
  return decide(names, message, { address: '10.0.1.11', isTcp }, random)
}

function replyTo(message: Buffer, taskCount = 1, isTcp = false): Buffer {
  const decision = decided(message, taskCount, isTcp)
  if (decision.kind !== 'reply') throw new Error(`it is a ${decision.kind}`)
  return decision.bytes
}

const ask = (name: string, options: QueryOptions = {}): Buffer => replyTo(aQuery(name, options))

t.test('an answer repeats the question as it was asked', async (t) => {
  const query = aQuery('WeB', { id: 99 })
  const reply = replyTo(query)
  t.same(reply.subarray(12, query.length), query.subarray(12))
  t.match(headerOf(reply), { id: 99, code: 0, isAuthoritative: true, counts: [1, 1, 0, 0] })
  t.equal(reply.readUInt8(2) & 1, 1, 'and the wish for recursion')
  t.equal(reply.readUInt8(3) & 0x80, 0x80, 'which is granted')
  const end = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 2, 0, 4, 10, 0, 1, 11])
  t.same(reply.subarray(query.length), end)
})

t.test('there is nothing of this type: no error, and how long to believe it', async (t) => {
  const reply = ask('web', { type: 15 })
  t.match(headerOf(reply), { code: 0, counts: [1, 0, 1, 0] })
  t.same(reply.subarray(-4), Buffer.from([0, 0, 0, 1]), 'one second')
  t.equal(reply.readUInt32BE(reply.length - 20), 42, 'as of the stamp')
})

t.test('there is no such name', async (t) => {
  t.match(headerOf(ask('nobody')), { code: 3, counts: [1, 0, 1, 0] })
})

t.test('what is not ours is forwarded', async (t) => {
  t.match(decided(aQuery('example.com')), { kind: 'forward', query: { id: 4711 } })
})

t.test('EDNS is answered in kind, and the wish for DNSSEC repeated', async (t) => {
  const reply = ask('web', { udpBytesMax: 4096, isDnssecOk: true })
  t.match(headerOf(reply), { code: 0, counts: [1, 1, 0, 1] })
  t.same(reply.subarray(-11), Buffer.from([0, 0, 41, 1232 >> 8, 1232 & 255, 0, 0, 0x80, 0, 0, 0]))
})

t.test('a newer EDNS is refused with the version we know', async (t) => {
  const reply = ask('web', { udpBytesMax: 1232, version: 1 })
  t.equal(headerOf(reply).code, 0)
  t.equal(reply[reply.length - 6], 1, 'BADVERS, of which the upper bits are here')
})

t.test('what does not fit is left out and said so', async (t) => {
  const plain = replyTo(aQuery('web'), 100)
  t.ok(plain.length <= 512)
  t.match(headerOf(plain), { isTruncated: true, counts: [1, 30, 0, 0] })
  const large = replyTo(aQuery('web', { udpBytesMax: 4096 }), 100)
  t.ok(large.length <= 1232, 'no more than goes through every link in one piece')
  t.match(headerOf(large), { isTruncated: true, counts: [1, 75, 0, 1] })
  t.match(headerOf(replyTo(aQuery('web'), 30)), { isTruncated: false, counts: [1, 30, 0, 0] })
  t.match(headerOf(replyTo(aQuery('web'), 100, true)), {
    isTruncated: false,
    counts: [1, 100, 0, 0],
  })
})

t.test('other classes and transfers are refused', async (t) => {
  t.match(headerOf(ask('version.bind', { type: 16, class: 3 })), {
    code: 5,
    isAuthoritative: false,
  })
  t.equal(headerOf(ask('web', { type: 252 })).code, 5)
  t.equal(headerOf(ask('web', { type: 251 })).code, 5)
})

t.test('what cannot be read is answered with its id and a format error', async (t) => {
  const broken = aQuery('web', { id: 7 }).subarray(0, 15)
  t.match(headerOf(replyTo(broken)), { id: 7, code: 1, counts: [0, 0, 0, 0] })
  t.same(decided(Buffer.alloc(3)), { kind: 'drop' })
})

t.test('whatever comes in, an answer is a small response with the same id', async (t) => {
  const zone = aZone(50)
  const name = fc.constantFrom(
    'web',
    'tasks.web',
    'nobody',
    '_80._tcp.web',
    'a.b',
    '1.1.0.10.in-addr.arpa',
  )
  const query = fc
    .record({
      name,
      type: fc.constantFrom(1, 6, 12, 28, 33, 41, 255, 65),
      class: fc.constantFrom(1, 3, 255),
      udpBytesMax: fc.nat(65_535),
      version: fc.nat(1),
      flags: fc.nat(0xffff),
    })
    .map(({ name: asked, ...options }) => aQuery(asked, options))
  const mutated = fc
    .tuple(
      query,
      fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
      fc.option(fc.nat(80)),
    )
    .map(([message, changes, length]) => {
      for (const [at, byte] of changes) if (at < message.length) message[at] = byte
      return length === null ? message : message.subarray(0, length)
    })
  const garbage = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes))
  fc.assert(
    fc.property(fc.oneof(mutated, garbage), (message) => {
      const asker = { address: '10.0.1.11', isTcp: false }
      const decision = decide({ zone, serial: 1 }, message, asker, random)
      if (decision.kind !== 'reply') return true
      const { bytes } = decision
      const isResponse = ((bytes[2] ?? 0) & 0x80) !== 0
      return isResponse && bytes.length <= 1232 && bytes.readUInt16BE(0) === message.readUInt16BE(0)
    }),
    { numRuns: 20_000 },
  )
  t.pass()
})

t.test('an answer is never taken for a query: two resolvers cannot start a loop', async (t) => {
  t.same(parseQuery(ask('web')), { kind: 'drop' })
  t.same(parseQuery(replyTo(aQuery('web').subarray(0, 15))), { kind: 'drop' })
})
