// The wire format of peer messages: every kind comes back as it went, and nothing else is taken for one.
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import type { PeerMessage } from 'raft-ts'
import { decodePeerMessage, encodePeerMessage, MalformedMessageError } from 'raft-ts/node'
import t from 'tap'
import { FrameEncoder } from '../build/node/peer-codec.js'
import { framed } from '../build/node/tcp-frames.js'
import { messagesByKind, peerMessage } from './support/peer-messages.ts'

/** Views of bytes as hex, so that messages compare by value. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

/** What came of bytes that may be no message: true when they were one. Any other error than the one promised is thrown. */
function isDecoded(bytes: Uint8Array): boolean {
  let message: PeerMessage
  try {
    message = decodePeerMessage(bytes)
  } catch (err) {
    if (err instanceof MalformedMessageError) return false
    throw err
  }
  // One encoding of each message: what is taken is a message that somebody may have sent.
  if (!Buffer.from(bytes).equals(encodePeerMessage(message))) throw new Error('not canonical')
  return true
}

for (const [kind, arbitrary] of Object.entries(messagesByKind)) {
  t.test(`${kind} comes back as it went`, async (t) => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        const back = decodePeerMessage(encodePeerMessage(message))
        return back.kind === kind && isDeepStrictEqual(plain(back), plain(message))
      }),
      { numRuns: 200 },
    )
    t.pass()
  })
}

t.test(
  'frames of one encoder are those of the messages, whatever was encoded before',
  async (t) => {
    fc.assert(
      fc.property(fc.array(peerMessage, { maxLength: 8 }), fc.boolean(), (messages, twice) => {
        const encoder = new FrameEncoder()
        return messages
          .flatMap((message) => (twice ? [message, { ...message, to: 'another' }] : [message]))
          .every((message) => encoder.encode(message).equals(framed(encodePeerMessage(message))))
      }),
    )
    t.pass()
  },
)

t.test('a message that was cut short anywhere is refused', async (t) => {
  fc.assert(
    fc.property(peerMessage, (message) => {
      const bytes = encodePeerMessage(message)
      for (let length = 0; length < bytes.length; length++) {
        if (isDecoded(bytes.subarray(0, length))) return false
      }
      return !isDecoded(Buffer.concat([bytes, Buffer.of(0)]))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test(
  'flipped bits and random bytes are refused or are another message, and never more',
  async (t) => {
    const flip = fc.record({ at: fc.nat(), bit: fc.nat({ max: 7 }) })
    fc.assert(
      fc.property(peerMessage, fc.array(flip, { minLength: 1, maxLength: 4 }), (message, flips) => {
        const bytes = Buffer.from(encodePeerMessage(message))
        for (const { at, bit } of flips) {
          const place = at % bytes.length
          bytes[place] = (bytes[place] as number) ^ (1 << bit)
        }
        isDecoded(bytes)
      }),
      { numRuns: 3000 },
    )
    fc.assert(
      fc.property(fc.nat({ max: 16 }), fc.uint8Array({ maxLength: 300 }), (kind, rest) => {
        isDecoded(Buffer.concat([Buffer.of(1, kind), rest]))
      }),
      { numRuns: 3000 },
    )
    t.pass()
  },
)

t.test('claims of more than there is cost no memory', async (t) => {
  // append, from a, to b, term 1, prevIndex 0, prevTerm 0, commit 0, and then a count of 2^53 - 1
  const head = Buffer.from('0100016101620100000000', 'hex').subarray(0, 10)
  const huge = Buffer.from('ffffffffffffff0f', 'hex')
  const before = process.memoryUsage().arrayBuffers
  const claims = Buffer.concat([head, huge])
  for (let i = 0; i < 1000; i++) catching(() => decodePeerMessage(claims))
  t.match(
    catching(() => decodePeerMessage(claims)),
    /entries claims/,
  )
  // One entry of data that claims 2^40 bytes.
  const entry = Buffer.from('0100010180808080802000', 'hex')
  t.match(
    catching(() => decodePeerMessage(Buffer.concat([head, entry]))),
    /entry\./,
  )
  t.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024)
})

t.test('the format on the wire stays', async (t) => {
  const heartbeat = {
    kind: 'heartbeat',
    from: 'a',
    to: 'bc',
    term: 300,
    commit: 5,
    round: 0,
  } as const
  t.equal(hex(heartbeat), '01 02 0161 026263 ac02 05 00'.replaceAll(' ', ''))
  const data = Buffer.from('xyz')
  const append = {
    kind: 'append',
    from: 'a',
    to: 'b',
    term: 2,
    prevIndex: 7,
    prevTerm: 1,
    commit: 6,
    entries: [{ kind: 'data', term: 2, index: 8, data }],
  } as const
  t.equal(hex(append), '01 00 0161 0162 02 07 01 06 01 00 02 08 0378797a'.replaceAll(' ', ''))
  const read = { kind: 'read-index', from: 'a', to: 'b', term: 1, context: 258n } as const
  t.equal(hex(read), '01 0a 0161 0162 01 0000000000000102'.replaceAll(' ', ''))
})

t.test('other versions and kinds are refused by name', async (t) => {
  const bytes = Buffer.from(hex({ kind: 'timeout-now', from: 'a', to: 'b', term: 1 }), 'hex')
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(bytes)
    copy[at] = value
    return copy
  }
  t.match(
    catching(() => decodePeerMessage(changed(0, 2))),
    /version is 2; .* speaks 1/,
  )
  t.match(
    catching(() => decodePeerMessage(changed(1, 99))),
    /kind 99 is not known/,
  )
  t.match(
    catching(() => decodePeerMessage(changed(2, 0))),
    /from is empty/,
  )
  t.match(
    catching(() => decodePeerMessage(changed(3, 0xff))),
    /from is not UTF-8/,
  )
})

t.test('what the format cannot carry is not sent as something else', async (t) => {
  const head = { from: 'a', to: 'b', term: 1 }
  const wrong: readonly (readonly [RegExp, PeerMessage])[] = [
    [/from is empty/, { kind: 'timeout-now', ...head, from: '' }],
    [/to is not well-formed/, { kind: 'timeout-now', ...head, to: '\ud800' }],
    [/term is not an integer/, { kind: 'timeout-now', ...head, term: -1 }],
    [/round is not an integer/, { kind: 'heartbeat-response', ...head, round: 0.5 }],
    [/context is beyond 64 bits/, { kind: 'read-index', ...head, context: 1n << 63n }],
    [/contentHash is not/, ack(head, 'XY')],
  ]
  for (const [expected, message] of wrong) {
    t.match(
      catching(() => encodePeerMessage(message)),
      expected,
    )
  }
})

function ack(head: { from: string; to: string; term: number }, contentHash: string): PeerMessage {
  return { kind: 'snapshot-ack', ...head, contentHash, nextOffset: 0, state: 'more' }
}

function hex(message: PeerMessage): string {
  return Buffer.from(encodePeerMessage(message)).toString('hex')
}

function catching(run: () => unknown): string {
  try {
    run()
  } catch (err) {
    return (err as Error).message
  }
  return 'nothing was thrown'
}
