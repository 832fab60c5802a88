// Linearizable reads without a log write: rounds of heartbeats that prove the leader was still leader when
// the reads came. Knows nothing of messages.
// Source: thesis 6.4.
import { shiftWhile } from './shift-while.ts'
import type { Index, NodeId } from './types.ts'

/** How many rounds may be open before reads wait for one of them: batching under load. */
const openRoundsMax = 4

export interface PendingRead {
  readonly from: NodeId
  readonly context: bigint
}

interface Round {
  readonly number: number
  /** Commit index when the round started. */
  readonly index: Index
  readonly reads: readonly PendingRead[]
}

export interface AnsweredRound {
  readonly index: Index
  readonly reads: readonly PendingRead[]
}

/** The reads of one leadership. */
export class ReadRounds {
  readonly #pendingMax: number
  #waiting: PendingRead[] = []
  #open: Round[] = []
  #latest = 0
  #openReads = 0

  constructor(pendingMax: number) {
    this.#pendingMax = pendingMax
  }

  /** Number of the latest round or heartbeat, 0 when there was none. */
  get latest(): number {
    return this.#latest
  }

  /** False: too many are pending, the read was not taken. */
  add(read: PendingRead): boolean {
    if (this.#waiting.length + this.#openReads >= this.#pendingMax) return false
    this.#waiting.push(read)
    return true
  }

  get wantsRound(): boolean {
    return this.#waiting.length > 0 && this.#open.length < openRoundsMax
  }

  /** Opens a round for all that waits. The commit index must be known to be of this term. */
  start(commit: Index): void {
    this.#latest += 1
    this.#open.push({ number: this.#latest, index: commit, reads: this.#waiting })
    this.#openReads += this.#waiting.length
    this.#waiting = []
  }

  /** A number of its own for the heartbeats that go out now: an answer tells which of them it answers. */
  beat(): void {
    this.#latest += 1
  }

  /** Opens a round that only proves leadership; what waits goes on waiting. */
  startProof(): void {
    this.#latest += 1
    // An earlier proof is proven by this one: however often it is asked for, one is open.
    this.#open = this.#open.filter((round) => round.reads.length > 0)
    this.#open.push({ number: this.#latest, index: 0, reads: [] })
  }

  /** A quorum answered this round: closes it and all before. */
  reached(number: number): readonly AnsweredRound[] {
    const answered = shiftWhile(this.#open, (round) => round.number <= number)
    for (const { reads } of answered) this.#openReads -= reads.length
    return answered
  }

  /** All that was not answered. */
  abandon(): readonly PendingRead[] {
    const reads = [...this.#open.flatMap((round) => round.reads), ...this.#waiting]
    this.#open = []
    this.#waiting = []
    this.#openReads = 0
    return reads
  }
}

/** A follower's reads that wait for the leader's answer; what stays unanswered is given up. */
export class ForwardedReads {
  readonly #pendingMax: number
  #young = new Set<bigint>()
  #old = new Set<bigint>()

  constructor(pendingMax: number) {
    this.#pendingMax = pendingMax
  }

  add(context: bigint): boolean {
    if (this.#young.size + this.#old.size >= this.#pendingMax) return false
    this.#young.add(context)
    return true
  }

  /** True when the answer was awaited. */
  answered(context: bigint): boolean {
    return this.#young.delete(context) || this.#old.delete(context)
  }

  /** Called at a steady pace: gives up what has waited for a whole turn or longer. */
  turn(): readonly bigint[] {
    const expired = [...this.#old]
    this.#old = this.#young
    this.#young = new Set()
    return expired
  }

  abandon(): readonly bigint[] {
    const all = [...this.#old, ...this.#young]
    this.#old = new Set()
    this.#young = new Set()
    return all
  }
}
