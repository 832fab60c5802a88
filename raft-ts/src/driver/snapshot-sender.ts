// Sends snapshots to peers, chunk by chunk within a window, over a lane that may lose, repeat and
// reorder. A transfer that was interrupted goes on where the receiver says it stands.
import { crc32 } from 'node:zlib'
import type { NodeId, Term } from '../core/types.ts'
import type { HeldSnapshot, SnapshotStore } from '../storage/snapshot-store.ts'
import type { MonotonicClock, SnapshotFrame } from './environment.ts'

export const transferChunkBytes = 256 * 1024
const windowBytes = 8 * transferChunkBytes
/** Without an answer for so long, the offer is repeated: its answer says where to go on. */
const repeatMs = 1_000
/** Without progress for so long, the peer counts as unreachable; the core begins anew when it answers again. */
const giveUpMs = 15_000

export interface SnapshotSenderOptions {
  readonly id: NodeId
  readonly clock: MonotonicClock
  readonly snapshots: SnapshotStore
  readonly send: (frame: SnapshotFrame) => void
  /** The transfer ended: the peer has all of it, or not. */
  readonly onEnded: (to: NodeId, ok: boolean) => void
  readonly onFailed: (err: Error) => void
}

interface Transfer {
  readonly to: NodeId
  readonly term: Term
  readonly held: HeldSnapshot
  /** Everything before it is stored there. */
  ackedOffset: number
  /** Everything before it was sent. */
  sentOffset: number
  /** The receiver answered the offer. */
  isAccepted: boolean
  progressMs: number
  heardMs: number
  timer: { cancel(): void }
}

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions
  readonly #transfers = new Map<NodeId, Transfer>()

  constructor(options: SnapshotSenderOptions) {
    this.#options = options
  }

  /** Begins to send the newest snapshot. A transfer of an older one to this peer ends. */
  start(to: NodeId, term: Term): void {
    const running = this.#transfers.get(to)
    const held = this.#options.snapshots.hold()
    if (held === undefined) {
      this.#options.onEnded(to, false)
      return
    }
    if (running !== undefined) {
      if (running.held.reader.hash === held.reader.hash && running.term === term) {
        held.release()
        return
      }
      this.#drop(running)
    }
    const nowMs = this.#options.clock.monotonicMs()
    const transfer: Transfer = {
      to,
      term,
      held,
      ackedOffset: 0,
      sentOffset: 0,
      isAccepted: false,
      progressMs: nowMs,
      heardMs: nowMs,
      timer: { cancel: () => {} },
    }
    this.#transfers.set(to, transfer)
    this.#offer(transfer)
    this.#wait(transfer)
  }

  acknowledged(frame: Extract<SnapshotFrame, { kind: 'snapshot-ack' }>): void {
    const transfer = this.#transfers.get(frame.from)
    if (transfer === undefined || transfer.held.reader.hash !== frame.contentHash) return
    if (frame.state !== 'more') {
      this.#end(transfer, frame.state === 'complete')
      return
    }
    const nowMs = this.#options.clock.monotonicMs()
    transfer.heardMs = nowMs
    if (frame.nextOffset > transfer.ackedOffset || !transfer.isAccepted) transfer.progressMs = nowMs
    // Also backwards: a receiver that restarted begins anew.
    if (!transfer.isAccepted) transfer.sentOffset = frame.nextOffset
    transfer.isAccepted = true
    transfer.ackedOffset = frame.nextOffset
    transfer.sentOffset = Math.max(transfer.sentOffset, frame.nextOffset)
    this.#sendChunks(transfer)
  }

  /** Leadership ended. */
  stop(): void {
    for (const transfer of [...this.#transfers.values()]) this.#end(transfer, false)
  }

  #offer(transfer: Transfer): void {
    const { reader } = transfer.held
    transfer.isAccepted = false
    this.#options.send({
      kind: 'snapshot-offer',
      ...this.#header(transfer),
      meta: reader.meta,
      totalBytes: reader.totalBytes,
    })
  }

  #sendChunks(transfer: Transfer): void {
    const { reader } = transfer.held
    while (
      transfer.sentOffset < reader.totalBytes &&
      transfer.sentOffset < transfer.ackedOffset + windowBytes
    ) {
      let bytes: Uint8Array
      try {
        bytes = reader.read(transfer.sentOffset)
      } catch (err) {
        this.#end(transfer, false)
        this.#options.onFailed(err as Error)
        return
      }
      this.#options.send({
        kind: 'snapshot-chunk',
        ...this.#header(transfer),
        offset: transfer.sentOffset,
        bytes,
        crc: crc32(bytes),
      })
      transfer.sentOffset += bytes.length
    }
  }

  #wait(transfer: Transfer): void {
    transfer.timer = this.#options.clock.setTimer(repeatMs, () => {
      const nowMs = this.#options.clock.monotonicMs()
      if (nowMs - transfer.progressMs >= giveUpMs) {
        this.#end(transfer, false)
        return
      }
      if (nowMs - transfer.heardMs >= repeatMs) this.#offer(transfer)
      this.#wait(transfer)
    })
  }

  #header(transfer: Transfer): Pick<SnapshotFrame, 'from' | 'to' | 'term' | 'contentHash'> {
    const { to, term, held } = transfer
    return { from: this.#options.id, to, term, contentHash: held.reader.hash }
  }

  #drop(transfer: Transfer): void {
    transfer.timer.cancel()
    transfer.held.release()
    this.#transfers.delete(transfer.to)
  }

  #end(transfer: Transfer, ok: boolean): void {
    this.#drop(transfer)
    this.#options.onEnded(transfer.to, ok)
  }
}
