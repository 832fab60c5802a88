// The state machine as the Raft thread sees it: on the other side of a port. Entries go out on
// credit, bounded in bytes; snapshots and restores are pulled chunk by chunk.
import type { Entry, SnapshotMeta, SnapshotSource, StateMachine } from 'raft-ts'
import { packEntries, wholeBuffer } from './entry-pack.ts'
import type { FromThread, ToThread } from './thread-messages.ts'

/** Sent and not yet applied by the main thread; beyond, the driver waits. */
const creditBytes = 8 * 1024 * 1024

/** Told of what was applied at least so often; far below the credit, so that it never waits for what was not told. */
export const toldBytes = creditBytes / 8

type Done = (err?: Error) => void
type ChunkDone = Parameters<SnapshotSource['read']>[0]

const noData = new Uint8Array(0)

export class PortStateMachine implements StateMachine {
  readonly #post: (message: FromThread, transfer?: readonly ArrayBuffer[]) => void
  /** Sent, and not known to be applied. */
  #unappliedBytes = 0
  #waiting: Done | undefined
  #snapshotRead: ChunkDone | undefined
  #restoring: { readonly source: SnapshotSource; readonly done: Done } | undefined

  constructor(post: (message: FromThread, transfer?: readonly ArrayBuffer[]) => void) {
    this.#post = post
  }

  /**
   * Calls back at once while there is credit: the port keeps the order, so that whatever the driver
   * says next is heard by the main thread only after it applied the batch.
   */
  apply(entries: readonly Entry[], done: Done): void {
    const packed = packEntries(
      entries.map((entry) => ({
        index: entry.index,
        term: entry.term,
        data: entry.kind === 'data' ? entry.data : noData,
      })),
    )
    // Before it is posted: a transferred buffer has no length any more.
    this.#unappliedBytes += packed.byteLength
    this.#post({ kind: 'apply', packed, committed: undefined }, [packed])
    if (this.#unappliedBytes < creditBytes) done()
    else this.#waiting = done
  }

  snapshot(): SnapshotSource {
    this.#post({ kind: 'snapshot-take' })
    return {
      read: (done) => {
        this.#snapshotRead = done
        this.#post({ kind: 'snapshot-pull' })
      },
      cancel: () => {
        this.#snapshotRead = undefined
        this.#post({ kind: 'snapshot-cancel' })
      },
    }
  }

  restore({ index, term }: SnapshotMeta, source: SnapshotSource, done: Done): void {
    this.#restoring = { source, done }
    this.#post({ kind: 'restore', at: { index, term } })
  }

  /** What the main thread says about the state machine; other messages are not for here. */
  heard(message: ToThread): void {
    switch (message.kind) {
      case 'applied':
        this.#applied(message.bytes)
        return
      case 'snapshot-chunk':
        this.#chunk(undefined, message.bytes)
        return
      case 'snapshot-failed':
        this.#chunk(new Error(`the state machine made no snapshot: ${message.reason}`), undefined)
        return
      case 'restore-pull':
        this.#pulled()
        return
      case 'restored':
        this.#restored(undefined)
        return
      default:
    }
  }

  #applied(bytes: number): void {
    this.#unappliedBytes -= bytes
    if (this.#unappliedBytes >= creditBytes) return
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
  }

  #chunk(err: Error | undefined, bytes: ArrayBuffer | undefined): void {
    const read = this.#snapshotRead
    this.#snapshotRead = undefined
    read?.(err, bytes && new Uint8Array(bytes))
  }

  #pulled(): void {
    this.#restoring?.source.read((err, chunk) => {
      if (err !== undefined) {
        // Ends the driver, and so the main thread's wait for the next chunk: the reason is told there.
        this.#restored(err)
        return
      }
      const bytes = chunk && wholeBuffer(chunk)
      this.#post({ kind: 'restore-chunk', bytes }, bytes === undefined ? [] : [bytes])
    })
  }

  #restored(err: Error | undefined): void {
    const restoring = this.#restoring
    this.#restoring = undefined
    restoring?.source.cancel()
    restoring?.done(err)
  }
}
