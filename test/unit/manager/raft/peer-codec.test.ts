// Every peer message comes back from protobuf as it went in; what no version sends is refused.
import fc from 'fast-check'
import type { ConfState, Entry, PeerMessage } from 'raft-ts'
import t from 'tap'
import { AppendFrames } from '../../../../manager/raft/append-frames.ts'
import { readAppend } from '../../../../manager/raft/append-reader.ts'
import { decodePeerMessage, encodePeerMessage } from '../../../../manager/raft/peer-codec.ts'
import { PeerFrame } from '../../../../proto/gen/tsswarm/v1/raft_transport.ts'

const index = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const id = fc.string({ minLength: 1, maxLength: 30 })
const bytes = fc.uint8Array({ maxLength: 300 })
const hash = fc.stringMatching(/^[0-9a-f]{64}$/)
const context = fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n - 1n })
const conf: fc.Arbitrary<ConfState> = fc.record({
  voters: fc.array(id, { maxLength: 5 }),
  outgoing: fc.array(id, { maxLength: 5 }),
  learners: fc.array(id, { maxLength: 5 }),
  learnersNext: fc.array(id, { maxLength: 5 }),
})
const meta = fc.record({ index, term: index, conf })
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constant('data' as const), term: index, index, data: bytes }),
  fc.record({ kind: fc.constant('conf' as const), term: index, index, conf }),
)
const kind = <K extends string>(value: K): fc.Arbitrary<K> => fc.constant(value)
const head = { from: id, to: id, term: index }
const candidacy = { lastIndex: index, lastTerm: index, force: fc.boolean() }
const anyMessage: fc.Arbitrary<PeerMessage> = fc.oneof(
  fc.record({
    ...head,
    kind: kind('append'),
    prevIndex: index,
    prevTerm: index,
    commit: index,
    entries: fc.array(entry, { maxLength: 5 }),
  }),
  fc.record({ ...head, kind: kind('append-response'), index }),
  fc.record({
    ...head,
    kind: kind('append-response'),
    index,
    reject: fc.record({ hintIndex: index, hintTerm: index, lost: fc.boolean() }),
  }),
  fc.record({ ...head, kind: kind('heartbeat'), commit: index, round: index }),
  fc.record({ ...head, kind: kind('heartbeat-response'), round: index }),
  fc.record({ ...head, kind: kind('vote'), ...candidacy }),
  fc.record({ ...head, kind: kind('pre-vote'), ...candidacy }),
  fc.record({ ...head, kind: kind('vote-response'), granted: fc.boolean() }),
  fc.record({ ...head, kind: kind('pre-vote-response'), granted: fc.boolean() }),
  fc.record({ ...head, kind: kind('snapshot'), meta }),
  fc.record({ ...head, kind: kind('timeout-now') }),
  fc.record({ ...head, kind: kind('read-index'), context }),
  fc.record({ ...head, kind: kind('read-index-response'), index, context }),
  fc.record({
    ...head,
    kind: kind('snapshot-offer'),
    contentHash: hash,
    meta,
    totalBytes: index,
  }),
  fc.record({
    ...head,
    kind: kind('snapshot-chunk'),
    contentHash: hash,
    offset: index,
    bytes,
    crc: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  }),
  fc.record({
    ...head,
    kind: kind('snapshot-ack'),
    contentHash: hash,
    nextOffset: index,
    state: fc.constantFrom('more' as const, 'complete' as const, 'refused' as const),
  }),
)

/** Buffers and Uint8Arrays of the same content are the same. */
function normal(message: unknown): unknown {
  if (message instanceof Uint8Array) return Buffer.from(message).toString('hex')
  if (Array.isArray(message)) return message.map(normal)
  if (typeof message !== 'object' || message === null) return message
  return Object.fromEntries(Object.entries(message).map(([key, value]) => [key, normal(value)]))
}

const overTheWire = (message: PeerMessage): PeerMessage =>
  decodePeerMessage(PeerFrame.decode(PeerFrame.encode(encodePeerMessage(message)).finish()))

t.test('any message survives the wire', async (t) => {
  const seed = Date.now() % 2 ** 31
  fc.assert(
    fc.property(anyMessage, (message) => {
      t.same(normal(overTheWire(message)), normal(message), { bail: true })
    }),
    { seed, numRuns: 500 },
  )
  t.pass(`seed ${seed}`)
})

t.test('decoded entries do not keep the received frame in memory', async (t) => {
  const data = new Uint8Array(100).fill(7)
  const message = overTheWire({
    kind: 'append',
    from: 'a',
    to: 'b',
    term: 1,
    prevIndex: 0,
    prevTerm: 0,
    commit: 0,
    entries: [
      { kind: 'data', term: 1, index: 1, data },
      { kind: 'data', term: 1, index: 2, data: new Uint8Array(100_000) },
    ],
  })
  const first = message.kind === 'append' ? message.entries[0] : undefined
  t.ok(first?.kind === 'data' && first.data.buffer.byteLength === 100)
})

t.test('frames that are incomplete or of unknown kind are refused', async (t) => {
  const frame = { from: 'a', to: 'b', term: 1 }
  const contentHash = 'x'
  for (const bad of [
    { ...frame, kind: undefined },
    { ...frame, kind: { $case: 'snapshot', value: { meta: undefined } } },
    { ...frame, kind: { $case: 'readIndex', value: { context: '--1' } } },
    {
      ...frame,
      kind: { $case: 'snapshotAck', value: { contentHash, nextOffset: 0, state: 'maybe' } },
    },
  ] as const) {
    t.throws(() => decodePeerMessage(bad), { code: 'INVALID_ARGUMENT' })
  }
})

t.test(
  'appends written by hand are what the generated code writes, to every follower',
  async (t) => {
    const frames = new AppendFrames()
    const number = fc.oneof(index, fc.constantFrom(0, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32))
    const numbers = { term: number, prevIndex: number, prevTerm: number, commit: number }
    const content = fc.oneof(
      fc.record({ kind: kind('data'), term: number, data: bytes }),
      fc.record({ kind: kind('conf'), term: number, conf }),
    )
    const followers = fc.array(id, { minLength: 1, maxLength: 3 })
    const first = fc.integer({ min: 1, max: 2 ** 52 })
    fc.assert(
      fc.property(
        fc.record({ from: id, ...numbers }),
        followers,
        fc.array(content, { maxLength: 5 }),
        first,
        (head, all, contents, from) => {
          const entries = contents.map((each, i): Entry => ({ ...each, index: from + i }))
          for (const to of all) {
            const append = { ...head, to, kind: 'append', entries } as const
            const frame = frames.encode(append)
            t.equal(frame.readUInt8(0), 0)
            t.equal(frame.readUInt32BE(1), frame.length - 5)
            t.same(decodePeerMessage(PeerFrame.decode(frame.subarray(5))), append)
          }
          // A part of the same entries is not taken for all of them.
          const part = { ...head, to: 'x', kind: 'append', entries: entries.slice(1) } as const
          t.same(decodePeerMessage(PeerFrame.decode(frames.encode(part).subarray(5))), part)
        },
      ),
    )
  },
)

t.test(
  'appends read by hand are what the generated code reads; all else is left to it',
  async (t) => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const bytes = Buffer.from(PeerFrame.encode(encodePeerMessage(message)).finish())
        const isPlain =
          message.kind === 'append' && message.entries.every((entry) => entry.kind === 'data')
        t.same(readAppend(bytes), isPlain ? message : undefined)
      }),
    )
  },
)

t.test(
  'damaged bytes are read by hand as the generated code reads them, or not at all',
  async (t) => {
    const append = anyMessage.filter(({ kind }) => kind === 'append')
    const change = fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }) })
    fc.assert(
      fc.property(append, fc.array(change, { maxLength: 3 }), fc.nat(), (message, changes, cut) => {
        const whole = Buffer.from(PeerFrame.encode(encodePeerMessage(message)).finish())
        const bytes = whole.subarray(0, whole.length - (cut % 4))
        for (const { at, to } of changes) if (bytes.length > 0) bytes[at % bytes.length] = to
        const read = readAppend(bytes)
        if (read !== undefined) t.same(read, decodePeerMessage(PeerFrame.decode(bytes)))
      }),
    )
  },
)
