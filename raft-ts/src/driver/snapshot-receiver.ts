// Takes in a snapshot from the leader: chunks in order, checked and sealed as they come, kept over
// interruptions. One at a time. Says when the content is complete; installing it is the core's to decide.
import { crc32 } from 'node:zlib'
import type { NodeId, SnapshotMeta } from '../core/types.ts'
import type { Done } from '../storage/disk.ts'
import type { SnapshotDraft, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotFrame } from './environment.ts'

type Offer = Extract<SnapshotFrame, { kind: 'snapshot-offer' }>
type Chunk = Extract<SnapshotFrame, { kind: 'snapshot-chunk' }>
type State = Extract<SnapshotFrame, { kind: 'snapshot-ack' }>['state']

export interface SnapshotReceiverOptions {
  readonly id: NodeId
  readonly snapshots: SnapshotStore
  readonly send: (frame: SnapshotFrame) => void
  /**
   * The content is here, complete and verified. Returns whether it was claimed; otherwise it is thrown away.
   */
  readonly onComplete: (offer: Offer) => boolean
  readonly onFailed: (err: Error) => void
}

interface Incoming {
  /** The latest offer of this content: whom to answer. */
  offer: Offer
  readonly draft: SnapshotDraft
  nextOffset: number
  /** `writing`: chunks that come now are not taken. `sealed`: complete. */
  phase: 'open' | 'writing' | 'sealed'
  isAbandoned: boolean
  /** Chunks that came early or while one was being written, by offset. */
  readonly early: Map<number, Chunk>
}

/** Chunks held early; what comes beyond is dropped and sent again later. */
const earlyMax = 16

export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions
  #incoming: Incoming | undefined
  #isBeginning = false

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options
  }

  /** `isKnown`: everything up to the snapshot's index is committed here already. */
  offered(offer: Offer, isKnown: boolean): void {
    if (isKnown) {
      this.#answer(offer, offer.totalBytes, 'complete')
      return
    }
    const incoming = this.#incoming
    if (incoming?.offer.contentHash === offer.contentHash) {
      incoming.offer = offer
      if (incoming.phase === 'open') this.#answer(offer, incoming.nextOffset, 'more')
      return
    }
    // A sealed one is about to be installed; the next offer finds it known.
    if (incoming?.phase === 'sealed' || this.#isBeginning) return
    this.#abandon()
    this.#begin(offer)
  }

  chunk(chunk: Chunk): void {
    const incoming = this.#incoming
    if (incoming === undefined || incoming.offer.contentHash !== chunk.contentHash) return
    if (incoming.phase === 'sealed' || crc32(chunk.bytes) !== chunk.crc) return
    const isEarly = chunk.offset > incoming.nextOffset && incoming.early.size < earlyMax
    if (chunk.offset === incoming.nextOffset || isEarly) incoming.early.set(chunk.offset, chunk)
    if (incoming.phase === 'open') this.#writeNext(incoming)
  }

  refuse(offer: Offer): void {
    this.#answer(offer, 0, 'refused')
  }

  /** Makes the complete content the newest snapshot. */
  publish(meta: SnapshotMeta, done: Done): void {
    const incoming = this.#incoming
    if (incoming?.phase !== 'sealed' || incoming.offer.meta.index !== meta.index) {
      done(new Error(`no content was received for the snapshot at ${meta.index}`))
      return
    }
    this.#options.snapshots.publish(incoming.draft, (err) => {
      this.#incoming = undefined
      done(err)
    })
  }

  #begin(offer: Offer): void {
    this.#isBeginning = true
    this.#options.snapshots.begin(offer.meta, (err, draft) => {
      this.#isBeginning = false
      if (draft === undefined) return this.#options.onFailed(err ?? new Error('no draft'))
      const incoming: Incoming = {
        offer,
        draft,
        nextOffset: 0,
        phase: 'open',
        isAbandoned: false,
        early: new Map(),
      }
      this.#incoming = incoming
      if (offer.totalBytes === 0) this.#seal(incoming)
      else this.#answer(offer, 0, 'more')
    })
  }

  #writeNext(incoming: Incoming): void {
    const chunk = incoming.early.get(incoming.nextOffset)
    if (chunk === undefined) {
      this.#answer(incoming.offer, incoming.nextOffset, 'more')
      return
    }
    incoming.early.delete(chunk.offset)
    incoming.phase = 'writing'
    incoming.draft.writer.write(chunk.bytes, (err) => {
      incoming.phase = 'open'
      if (err !== undefined) return this.#options.onFailed(err)
      incoming.nextOffset += chunk.bytes.length
      // Of a leader that cuts its chunks elsewhere: they would take the place of others for good.
      for (const at of incoming.early.keys())
        if (at < incoming.nextOffset) incoming.early.delete(at)
      if (incoming.isAbandoned) return this.#discard(incoming)
      if (incoming.nextOffset >= incoming.offer.totalBytes) return this.#seal(incoming)
      this.#writeNext(incoming)
    })
  }

  #seal(incoming: Incoming): void {
    const { draft } = incoming
    incoming.phase = 'sealed'
    this.#options.snapshots.seal(draft, (err, content) => {
      if (content === undefined) return this.#options.onFailed(err ?? new Error('not sealed'))
      const { offer } = incoming
      const isSound = content.hash === offer.contentHash && content.totalBytes === offer.totalBytes
      if (isSound && this.#options.onComplete(offer)) {
        this.#answer(offer, offer.totalBytes, 'complete')
        return
      }
      this.#answer(offer, 0, isSound ? 'complete' : 'refused')
      this.#incoming = undefined
      this.#discard(incoming)
    })
  }

  #abandon(): void {
    const incoming = this.#incoming
    this.#incoming = undefined
    if (incoming === undefined) return
    incoming.isAbandoned = true
    if (incoming.phase === 'open') this.#discard(incoming)
  }

  #discard(incoming: Incoming): void {
    this.#options.snapshots.discard(incoming.draft, (err) => {
      if (err !== undefined) this.#options.onFailed(err)
    })
  }

  #answer(offer: Offer, nextOffset: number, state: State): void {
    const { from, to, term, contentHash } = offer
    this.#options.send({
      kind: 'snapshot-ack',
      from: to,
      to: from,
      term,
      contentHash,
      nextOffset,
      state,
    })
  }
}
