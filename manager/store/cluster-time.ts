// Cluster time: the leader's wall clock at the start of its term, never behind what was committed, then advanced by the
// monotonic clock, so that a jump of a wall clock never moves deadlines.
import type { Clock } from '../../proto/lib/clock.ts'

export class ClusterTime {
  readonly #clock: Clock
  #baseMs = 0
  #monotonicMs: number
  #lastStampMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#monotonicMs = clock.monotonicMs()
  }

  /** Now, in whole ms. On a follower it runs on from the last committed stamp. */
  nowMs(): number {
    const elapsedMs = this.#clock.monotonicMs() - this.#monotonicMs
    return Math.max(this.#lastStampMs, Math.floor(this.#baseMs + elapsedMs))
  }

  /** This node leads from now on. */
  startTerm(): void {
    this.#set(Math.max(this.#clock.wallMs(), this.#lastStampMs))
  }

  /** A stamp was committed; `isOwn` when it was made here in this term. */
  committed(stampMs: number, isOwn: boolean): void {
    this.#lastStampMs = Math.max(this.#lastStampMs, stampMs)
    if (!isOwn) this.#set(this.#lastStampMs)
  }

  #set(nowMs: number): void {
    this.#baseMs = nowMs
    this.#monotonicMs = this.#clock.monotonicMs()
  }
}
