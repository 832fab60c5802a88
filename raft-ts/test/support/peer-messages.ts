// Arbitrary peer messages of every kind, with values up to the bounds of the format.
import fc from 'fast-check'
import type { ConfState, Entry, PeerMessage } from 'raft-ts'

const id = fc
  .oneof(fc.string({ minLength: 1, maxLength: 20 }), fc.string({ minLength: 1, unit: 'grapheme' }))
  .filter((text) => Buffer.from(text).toString() === text)
const number = fc.oneof(
  fc.nat({ max: 300 }),
  fc.maxSafeNat(),
  fc.constantFrom(0, 127, 128, 2 ** 32, Number.MAX_SAFE_INTEGER),
)
const bytes = fc.uint8Array({ maxLength: 200 })
/** Negative ones are the core's own. */
const context = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const ids = fc.array(id, { maxLength: 4 })
const conf: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  outgoing: ids,
  learners: ids,
  learnersNext: ids,
})
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constant('data' as const), term: number, index: number, data: bytes }),
  fc.record({ kind: fc.constant('conf' as const), term: number, index: number, conf }),
)
const meta = fc.record({ index: number, term: number, conf })
const contentHash = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((hash) => Buffer.from(hash).toString('hex'))
const head = { from: id, to: id, term: number }
const candidacy = { ...head, lastIndex: number, lastTerm: number, force: fc.boolean() }

/** A record of the kind's fields: one that lacks a field or has another does not compile. */
function of<K extends PeerMessage['kind']>(
  kind: K,
  fields: {
    [F in keyof Omit<Extract<PeerMessage, { kind: K }>, 'kind'>]-?: fc.Arbitrary<
      Extract<PeerMessage, { kind: K }>[F]
    >
  },
): fc.Arbitrary<PeerMessage> {
  return fc.record({ kind: fc.constant(kind), ...fields }) as unknown as fc.Arbitrary<PeerMessage>
}

const reject = fc.record({ hintIndex: number, hintTerm: number, lost: fc.boolean() })

/** Every kind, by name. */
export const messagesByKind: Readonly<Record<PeerMessage['kind'], fc.Arbitrary<PeerMessage>>> = {
  append: of('append', {
    ...head,
    prevIndex: number,
    prevTerm: number,
    commit: number,
    entries: fc.array(entry, { maxLength: 5 }),
  }),
  'append-response': fc.oneof(
    fc.record({ kind: fc.constant('append-response' as const), ...head, index: number }),
    of('append-response', { ...head, index: number, reject }),
  ),
  heartbeat: of('heartbeat', { ...head, commit: number, round: number }),
  'heartbeat-response': of('heartbeat-response', { ...head, round: number }),
  vote: of('vote', candidacy),
  'pre-vote': of('pre-vote', candidacy),
  'vote-response': of('vote-response', { ...head, granted: fc.boolean() }),
  'pre-vote-response': of('pre-vote-response', { ...head, granted: fc.boolean() }),
  snapshot: of('snapshot', { ...head, meta }),
  'timeout-now': of('timeout-now', head),
  'read-index': of('read-index', { ...head, context }),
  'read-index-response': of('read-index-response', { ...head, index: number, context }),
  'snapshot-offer': of('snapshot-offer', { ...head, contentHash, meta, totalBytes: number }),
  'snapshot-chunk': of('snapshot-chunk', {
    ...head,
    contentHash,
    offset: number,
    bytes,
    crc: fc.nat({ max: 2 ** 32 - 1 }),
  }),
  'snapshot-ack': of('snapshot-ack', {
    ...head,
    contentHash,
    nextOffset: number,
    state: fc.constantFrom('more' as const, 'complete' as const, 'refused' as const),
  }),
}

/** Any peer message. */
export const peerMessage: fc.Arbitrary<PeerMessage> = fc.oneof(...Object.values(messagesByKind))
