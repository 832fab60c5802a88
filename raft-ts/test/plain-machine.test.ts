// Plain functions as the driver's state machine.
import type { Entry, SnapshotMeta, SnapshotSource } from 'raft-ts'
import { plainStateMachine } from 'raft-ts/node'
import t from 'tap'
import { Words } from './support/members.ts'

const conf = { voters: ['a'], outgoing: [], learners: [], learnersNext: [] }
const meta: SnapshotMeta = { index: 9, term: 1, conf }

function data(index: number, text: string): Entry {
  return { kind: 'data', term: 1, index, data: Buffer.from(text) }
}

/** A source of these chunks, each given at once or later. */
function sourceOf(chunks: readonly Uint8Array[], isLate: boolean, failure?: Error): SnapshotSource {
  let at = 0
  const read: SnapshotSource['read'] = (done) => {
    const chunk = chunks[at++]
    if (chunk === undefined) done(failure, undefined)
    else done(undefined, chunk)
  }
  return { read: (done) => (isLate ? setImmediate(read, done) : read(done)), cancel: () => {} }
}

t.test('only data is applied, and results are kept for one batch', async (t) => {
  const words = new Words()
  const machine = plainStateMachine(words)
  const errors: unknown[] = []
  const done = (err?: Error): number => errors.push(err)
  machine.apply([data(1, ''), { kind: 'conf', term: 1, index: 2, conf }, data(3, 'x')], done)
  t.same(words.words, ['x'])
  t.equal(machine.resultAt?.(3), 1)
  t.equal(machine.resultAt?.(1), undefined)
  machine.apply([data(4, 'y')], done)
  t.equal(machine.resultAt?.(3), undefined)
  t.equal(machine.resultAt?.(4), 2)
  t.same(errors, [undefined, undefined])
})

t.test('a snapshot is read in chunks and restored from chunks, at once or later', async (t) => {
  const words = new Words()
  // Not in chunks of one size, and many: the stack stays flat.
  words.words = Array.from({ length: 100_000 }, (_, i) => `word ${i}`)
  const chunks: Uint8Array[] = []
  const source = plainStateMachine(words).snapshot()
  for (let isOver = false; !isOver; ) {
    source.read((_err, chunk) => {
      if (chunk === undefined) isOver = true
      else chunks.push(chunk)
    })
  }
  t.ok(chunks.length > 1 && chunks.every(({ length }) => length <= 256 * 1024))
  const small = Buffer.concat(chunks)
  const pieces = Array.from({ length: small.length / 100 + 1 }, (_, i) =>
    small.subarray(i * 100, i * 100 + 100),
  ).filter(({ length }) => length > 0)
  for (const isLate of [false, true]) {
    const other = new Words()
    const err = await new Promise((resolve) =>
      plainStateMachine(other).restore(meta, sourceOf(pieces, isLate), resolve),
    )
    t.equal(err, undefined)
    t.same(other.words, words.words)
  }
})

t.test('a source that fails, or was cancelled, restores nothing', async (t) => {
  const words = new Words()
  words.words = ['before']
  const failing = sourceOf([Buffer.from('["x')], false, new Error('unreadable'))
  const err = await new Promise<unknown>((resolve) =>
    plainStateMachine(words).restore(meta, failing, resolve),
  )
  t.match(err, { message: 'unreadable' })
  t.same(words.words, ['before'])
  const source = plainStateMachine(words).snapshot()
  source.cancel()
  source.read((_err, chunk) => t.equal(chunk, undefined))
})
