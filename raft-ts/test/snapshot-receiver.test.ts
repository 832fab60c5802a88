// What a receiver of snapshots holds in memory while chunks come in any order.
import { crc32 } from 'node:zlib'
import type { SnapshotFrame } from 'raft-ts'
import t from 'tap'
import { SnapshotReceiver } from '../build/driver/snapshot-receiver.js'
import { plainConf } from './support/cluster.ts'
import { MemoryDisk } from './support/memory-disk.ts'
import { open } from './support/storage.ts'

const header = { from: 'a', to: 'b', term: 2, contentHash: '00' } as const

class Receiving {
  readonly #disk = new MemoryDisk()
  readonly #answers: SnapshotFrame[] = []
  readonly #receiver = new SnapshotReceiver({
    id: 'b',
    snapshots: open(this.#disk).snapshots,
    send: (frame) => this.#answers.push(frame),
    onComplete: () => false,
    onFailed: (err) => t.fail(err.message),
  })

  offer(): void {
    const meta = { index: 5, term: 1, conf: plainConf(['a', 'b']) }
    this.#receiver.offered({ kind: 'snapshot-offer', ...header, meta, totalBytes: 10_000 }, false)
    this.#disk.run()
  }

  chunk(offset: number, length: number): void {
    const bytes = new Uint8Array(length)
    const crc = crc32(bytes)
    this.#receiver.chunk({ kind: 'snapshot-chunk', ...header, offset, bytes, crc })
  }

  /** Writes what is under way; where the receiver says it stands. */
  stands(): number {
    this.#disk.run()
    const last = this.#answers.at(-1)
    return last?.kind === 'snapshot-ack' ? last.nextOffset : -1
  }
}

t.test('chunks that come early wait for the ones before them', async (t) => {
  const receiving = new Receiving()
  receiving.offer()
  for (const offset of [300, 100, 200]) receiving.chunk(offset, 100)
  t.equal(receiving.stands(), 0)
  receiving.chunk(0, 100)
  t.equal(receiving.stands(), 400)
})

t.test('sixteen of them: more are dropped and come again', async (t) => {
  const receiving = new Receiving()
  receiving.offer()
  for (let i = 1; i <= 20; i++) receiving.chunk(i * 100, 100)
  receiving.chunk(0, 100)
  t.equal(receiving.stands(), 1700)
})

t.test('those that were overtaken by a longer one give their places back', async (t) => {
  const receiving = new Receiving()
  receiving.offer()
  // Of a leader that cuts its chunks elsewhere.
  for (let i = 1; i <= 16; i++) receiving.chunk(i, 1)
  receiving.chunk(0, 100)
  t.equal(receiving.stands(), 100)
  receiving.chunk(200, 100)
  receiving.chunk(100, 100)
  t.equal(receiving.stands(), 300)
})
