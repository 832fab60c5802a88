import fc from 'fast-check'
import t from 'tap'
import { parseQuery, readQuestion } from '../../../../../worker/network/dns/query.ts'
import { aQuery } from '../../../../support/dns.ts'

function parsed(message: Buffer) {
  const result = parseQuery(message)
  if (result.kind !== 'query') throw new Error(`it is a ${result.kind}`)
  return result.query
}

t.test('a question is read in lower case, whatever case it was asked in', async (t) => {
  const query = parsed(aQuery('Tasks.WEB', { id: 77, type: 28 }))
  t.match(query, { id: 77, isRecursionDesired: true, edns: undefined })
  t.match(query.question, { name: 'tasks.web', labelCount: 2, type: 28, class: 1 })
  t.equal(query.end, aQuery('tasks.web').length)
})

t.test('the root is a name without labels', async (t) => {
  t.match(parsed(aQuery('')).question, { name: '', labelCount: 0 })
})

t.test('EDNS is read, and a size below 512 counts as 512', async (t) => {
  const edns = { udpBytesMax: 4096, version: 1, isDnssecOk: true }
  t.same(parsed(aQuery('web', edns)).edns, edns)
  t.equal(parsed(aQuery('web', { udpBytesMax: 100 })).edns?.udpBytesMax, 512)
})

t.test('labels with dots or other bytes never look like a name of ours', async (t) => {
  const dotted = aQuery('tasksXweb')
  dotted[18] = 46
  t.match(parsed(dotted).question, { name: undefined, labelCount: 1 })
  const control = aQuery('web')
  control[13] = 0
  t.equal(parsed(control).question.name, undefined)
})

t.test('what follows the last record is not part of the query', async (t) => {
  const message = Buffer.concat([aQuery('web', { udpBytesMax: 1232 }), Buffer.from('more')])
  t.equal(parsed(message).end, message.length - 4)
})

t.test('what is no query gets no answer', async (t) => {
  t.same(parseQuery(Buffer.alloc(11)), { kind: 'drop' })
  t.same(parseQuery(aQuery('web', { flags: 0x8180 })), { kind: 'drop' })
})

t.test('an opcode other than QUERY is not implemented', async (t) => {
  t.same(parseQuery(aQuery('web', { flags: 5 << 11 })), { kind: 'fault', code: 4 })
})

const malformed: Readonly<Record<string, () => Buffer>> = {
  'no question': () => withCount(4, 0),
  'two questions': () => withCount(4, 2),
  'an answer in the query': () => withCount(6, 1),
  'an authority in the query': () => withCount(8, 1),
  'a record that is not there': () => withCount(10, 1),
  'more records than a query has': () => withCount(10, 5),
  'a question that is cut off': () => aQuery('web').subarray(0, 18),
  'a name that is cut off': () => aQuery('web').subarray(0, 14),
  'a pointer in the question': () => withByte(12, 0xc0),
  'a label of 64 bytes': () => aQuery('a'.repeat(64)),
  'a name of 256 bytes': () => aQuery([63, 63, 63, 62].map((n) => 'a'.repeat(n)).join('.')),
  'two OPT records': () => {
    const query = aQuery('web', { udpBytesMax: 1232 })
    const twice = Buffer.concat([query, query.subarray(-11)])
    twice.writeUInt16BE(2, 10)
    return twice
  },
  'an OPT record whose data is cut off': () => {
    const query = aQuery('web', { udpBytesMax: 1232 })
    query.writeUInt16BE(1, query.length - 2)
    return query
  },
}

function withCount(at: number, count: number): Buffer {
  const message = aQuery('web')
  message.writeUInt16BE(count, at)
  return message
}

function withByte(at: number, byte: number): Buffer {
  const message = aQuery('web')
  message[at] = byte
  return message
}

for (const [what, make] of Object.entries(malformed)) {
  t.test(`${what} is a format error`, async (t) => {
    t.same(parseQuery(make()), { kind: 'fault', code: 1 })
  })
}

t.test('a name of 255 bytes is the longest', async (t) => {
  const name = [63, 63, 63, 61].map((n) => 'a'.repeat(n)).join('.')
  t.equal(parsed(aQuery(name)).question.name, name)
})

t.test('no bytes make the parser throw or read beyond the message', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const result = parseQuery(Buffer.from(bytes))
      readQuestion(Buffer.from(bytes))
      if (result.kind !== 'query') return true
      const { questionEnd, end } = result.query
      return questionEnd <= end && end <= bytes.length
    }),
    { numRuns: 5_000 },
  )
  t.pass()
})
