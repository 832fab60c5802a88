// Frames out of a stream, however it is cut into pieces.
import fc from 'fast-check'
import { MalformedMessageError } from 'raft-ts/node'
import t from 'tap'
import { decodeHello, encodeHello, FrameSplitter, framed } from '../build/node/tcp-frames.js'

const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { maxLength: 8 })
const cuts = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })

t.test('the frames come out as they went in, for every way to cut the stream', async (t) => {
  fc.assert(
    fc.property(frames, cuts, (sent, lengths) => {
      const stream = Buffer.concat(sent.map(framed))
      const got: Buffer[] = []
      const splitter = new FrameSplitter(400)
      for (let at = 0, i = 0; at < stream.length; i++) {
        const length = lengths[i % lengths.length] as number
        splitter.push(stream.subarray(at, at + length), (frame) => got.push(Buffer.from(frame)))
        at += length
      }
      return (
        got.length === sent.length && got.every((frame, i) => frame.equals(sent[i] as Uint8Array))
      )
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('a frame beyond 64 KiB grows with what comes, and is whole in the end', async (t) => {
  const sent = Buffer.alloc(1_000_000, 7)
  const splitter = new FrameSplitter(32 * 1024 * 1024)
  const got: Uint8Array[] = []
  const take = (frame: Uint8Array): number => got.push(frame)
  // What is only claimed is not allocated.
  const before = process.memoryUsage().arrayBuffers
  const claimed = Array.from({ length: 100 }, () => {
    const other = new FrameSplitter(32 * 1024 * 1024)
    other.push(Buffer.of(2, 0, 0, 0), take)
    return other
  })
  t.ok(process.memoryUsage().arrayBuffers - before < 32 * 1024 * 1024, `${claimed.length} claims`)
  const stream = framed(sent)
  for (let at = 0; at < stream.length; at += 9999) {
    splitter.push(stream.subarray(at, at + 9999), take)
  }
  t.equal(got.length, 1)
  t.ok(sent.equals(got[0] as Uint8Array))
})

t.test('random bytes are frames or malformed, and nothing else', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 }), (pieces) => {
      const splitter = new FrameSplitter(100)
      try {
        for (const piece of pieces) splitter.push(piece, () => {})
      } catch (err) {
        return err instanceof MalformedMessageError
      }
      return true
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('a hello comes back as it went, and anything else is refused', async (t) => {
  const lane = fc.constantFrom('fast' as const, 'bulk' as const, 'snapshot' as const)
  const name = fc.string({ maxLength: 30 })
  fc.assert(
    fc.property(fc.record({ cluster: name, from: name, to: name, lane }), (hello) => {
      const bytes = encodeHello(hello)
      t.same(decodeHello(bytes), hello)
      for (let length = 0; length < bytes.length; length++) {
        // From the version on, a hello of another version would be one too.
        t.throws(() => decodeHello(bytes.subarray(0, length)), MalformedMessageError)
      }
    }),
    { numRuns: 20 },
  )
  t.throws(() => decodeHello(Buffer.from('GET / HTTP/1.1')), MalformedMessageError)
})
