// Messages in a stream of bytes, however it is cut.
import fc from 'fast-check'
import t from 'tap'
import { FrameReader, framed } from '../../../../manager/raft/grpc-frames.ts'

const bytesMax = 1000

/** Reads a stream that comes in pieces of these sizes, repeated. */
function readIn(stream: Buffer, sizes: readonly number[]): readonly string[] {
  const messages: string[] = []
  const reader = new FrameReader(bytesMax, (message) => messages.push(message.toString('hex')))
  for (let at = 0, i = 0; at < stream.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    reader.push(stream.subarray(at, at + size))
    at += size
  }
  return messages
}

t.test('what was framed comes out as it went in, however the stream is cut', async () => {
  const message = fc.uint8Array({ maxLength: 40 })
  const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), sizes, (messages, cuts) => {
      const wanted = messages.map((each) => Buffer.from(each).toString('hex'))
      const stream = Buffer.concat(messages.map(framed))
      t.same(readIn(stream, cuts), wanted)
    }),
  )
})

t.test('what is too long or compressed is refused, whole or cut', async (t) => {
  const long = framed(new Uint8Array(bytesMax + 1))
  const compressed = framed(new Uint8Array(3))
  compressed[0] = 1
  for (const bad of [long, compressed]) {
    t.throws(() => readIn(bad, [bad.length]), { code: 'INVALID_ARGUMENT' })
    t.throws(() => readIn(bad, [2]), { code: 'INVALID_ARGUMENT' })
  }
  t.equal(readIn(framed(new Uint8Array(bytesMax)), [100]).length, 1, 'the largest is not')
})
