// Ticks by monotonic time. A process that was stopped does not catch up tick by tick: it is told
// how many were due.
import type { MonotonicClock } from './environment.ts'

/** A timer that is early by a rounding error would otherwise be set again and again for no time at all. */
const rounding = 1e-6

export class Ticker {
  readonly #clock: MonotonicClock
  readonly #tickMs: number
  readonly #onTicks: (count: number) => void
  #lastMs = 0
  #timer: { cancel(): void } | undefined

  constructor(clock: MonotonicClock, tickMs: number, onTicks: (count: number) => void) {
    this.#clock = clock
    this.#tickMs = tickMs
    this.#onTicks = onTicks
  }

  start(): void {
    this.#lastMs = this.#clock.monotonicMs()
    this.#wait()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Ticks now when none came for longer than this: the process was stopped, and its timer is not the first to run. */
  catchUp(longestMs: number): void {
    if (this.#timer === undefined) return
    if (this.#clock.monotonicMs() - this.#lastMs <= longestMs) return
    this.#timer.cancel()
    this.#tick()
  }

  #wait(): void {
    const dueMs = this.#lastMs + this.#tickMs
    const delayMs = Math.max(0, dueMs - this.#clock.monotonicMs())
    this.#timer = this.#clock.setTimer(delayMs, () => this.#tick())
  }

  #tick(): void {
    const elapsedMs = this.#clock.monotonicMs() - this.#lastMs
    const count = Math.floor(elapsedMs / this.#tickMs + rounding)
    this.#lastMs += count * this.#tickMs
    // Before the work: it may stop the ticker.
    this.#wait()
    if (count > 0) this.#onTicks(count)
  }
}
