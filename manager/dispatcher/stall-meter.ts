// Time as it is fair to judge others by: the monotonic clock without the moments in which this process itself stood
// still. While we were stopped, heartbeats were waiting unread, so that time proves nothing.
import type { Clock, Timer } from '../../proto/lib/clock.ts'

const tickMs = 100
/** Ordinary lateness of a timer; more is a stall and counts in full. */
const toleranceMs = 40

export class StallMeter {
  readonly #clock: Clock
  #stalledMs = 0
  #expectedMs: number
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#expectedMs = clock.monotonicMs()
  }

  /** Measures until the signal aborts. */
  start(signal: AbortSignal): void {
    this.#schedule()
    signal.addEventListener('abort', () => this.#timer?.cancel(), { once: true })
  }

  /** Monotonic ms without stalls; one that is going on is left out already. */
  nowMs(): number {
    return this.#clock.monotonicMs() - this.#stalledMs - this.#lateMs()
  }

  #lateMs(): number {
    if (this.#timer === undefined) return 0
    const lateMs = this.#clock.monotonicMs() - this.#expectedMs
    return lateMs > toleranceMs ? lateMs : 0
  }

  #schedule(): void {
    this.#expectedMs = this.#clock.monotonicMs() + tickMs
    this.#timer = this.#clock.setTimer(tickMs, () => {
      this.#stalledMs += this.#lateMs()
      this.#schedule()
    })
  }
}
