// A leader's view of one peer: what it holds, what to send next, how much is under way.
//
//   probe      one message at a time, until an answer tells where the logs match
//   replicate  pipelined: `next` runs ahead of the answers within the bounds
//   snapshot   nothing is sent until the snapshot is there or failed
import type { PeerStatus, ProgressState, RaftTuning } from './config.ts'
import { shiftWhile } from './shift-while.ts'
import type { Index, NodeId } from './types.ts'

interface Inflight {
  readonly lastIndex: Index
  readonly bytes: number
}

export class Progress {
  readonly id: NodeId
  readonly #tuning: RaftTuning
  state: ProgressState = 'probe'
  match: Index = 0
  next: Index
  /** Since the last answer. A new peer is given the benefit of the doubt. */
  silentTicks = 0
  /** Since this leader was elected. */
  hasAnswered = false
  /** Highest commit index told to the peer. */
  sentCommit: Index = 0
  /** Send an append even when there is nothing new: the answer tells what was lost. */
  nudged = false
  /** Highest ReadIndex round the peer answered. */
  round = 0
  #probeSent = false
  #pendingSnapshot: Index = 0
  #inflights: Inflight[] = []
  #inflightBytes = 0

  constructor(id: NodeId, next: Index, tuning: RaftTuning) {
    this.id = id
    this.next = next
    this.#tuning = tuning
  }

  /** True while nothing may be sent. */
  get isPaused(): boolean {
    if (this.state === 'snapshot') return true
    if (this.state === 'probe') return this.#probeSent
    return this.#isFull
  }

  get #isFull(): boolean {
    return (
      this.#inflights.length >= this.#tuning.inflightMessagesMax ||
      this.#inflightBytes >= this.#tuning.inflightBytesMax
    )
  }

  /** Up to where the peer will need no entry any more, if what is under way arrives. */
  get heldIndex(): Index {
    return this.state === 'snapshot' ? this.#pendingSnapshot : this.match
  }

  /** It lives. */
  answered(): void {
    this.hasAnswered = true
    this.silentTicks = 0
  }

  /** An append with `count` entries (maybe none) of so many bytes left. */
  sent(count: number, bytes: number, commit: Index): void {
    this.nudged = false
    this.sentCommit = Math.max(this.sentCommit, commit)
    if (this.state === 'probe') {
      this.#probeSent = true
      return
    }
    if (count === 0) return
    this.next += count
    this.#inflights.push({ lastIndex: this.next - 1, bytes })
    this.#inflightBytes += bytes
  }

  /** The peer's log matches up to index. */
  accepted(index: Index): void {
    this.match = Math.max(this.match, index)
    this.next = Math.max(this.next, this.match + 1)
    if (this.state === 'replicate') {
      this.#freeTo(index)
      return
    }
    if (this.state === 'snapshot' && this.match < this.#pendingSnapshot) return
    this.#become('replicate')
    this.next = this.match + 1
  }

  /**
   * The peer refused entries after `index`; its log may match at `hint`. Returns whether that is news, not an
   * answer to something long superseded.
   */
  refused(index: Index, hint: Index): boolean {
    if (index <= this.match) return false
    if (this.state === 'replicate') {
      this.#become('probe')
      this.next = this.match + 1
      return true
    }
    if (this.state === 'snapshot' || this.next - 1 !== index) return false
    this.next = Math.max(Math.min(index, hint + 1), this.match + 1)
    this.#probeSent = false
    return true
  }

  /** The peer lost what it had acknowledged and matches at most up to hint. */
  lost(hint: Index): void {
    this.match = Math.min(this.match, hint)
    this.next = hint + 1
    this.#become('probe')
  }

  /** Any sign of life may mean that a message or its answer was lost: send again. */
  heard(lastIndex: Index): void {
    this.answered()
    this.#probeSent = false
    if (this.state === 'replicate' && this.#isFull) this.#freeFirst()
    if (this.match < lastIndex) this.nudged = true
  }

  /** The transport could not deliver: stop pipelining. */
  unreachable(): void {
    if (this.state !== 'replicate') return
    this.#become('probe')
    this.next = this.match + 1
    this.#probeSent = true
  }

  startSnapshot(index: Index): void {
    this.#become('snapshot')
    this.#pendingSnapshot = index
  }

  /** The snapshot arrived or failed; the next sign of life continues. */
  endSnapshot(ok: boolean): void {
    if (this.state !== 'snapshot') return
    const next = ok ? this.#pendingSnapshot + 1 : this.match + 1
    this.#become('probe')
    this.next = Math.max(next, this.match + 1)
    this.#probeSent = true
  }

  status(learner: boolean, active: boolean): PeerStatus {
    return {
      id: this.id,
      learner,
      state: this.state,
      match: this.match,
      next: this.next,
      active,
      silentTicks: this.silentTicks,
      inflightMessages: this.#inflights.length,
    }
  }

  #become(state: ProgressState): void {
    this.state = state
    this.#probeSent = false
    this.#pendingSnapshot = 0
    this.#inflights = []
    this.#inflightBytes = 0
  }

  #freeTo(index: Index): void {
    const done = shiftWhile(this.#inflights, (inflight) => inflight.lastIndex <= index)
    for (const { bytes } of done) this.#inflightBytes -= bytes
  }

  #freeFirst(): void {
    const first = this.#inflights.shift()
    if (first !== undefined) this.#inflightBytes -= first.bytes
  }
}
