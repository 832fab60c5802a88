// When the kernel is compared with what it should be: soon after a foreign change, some time after one that may be our own
// echo, and every minute whatever happens.
import { type Clock, type Timer, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { MonitorOptions } from './host-watch.ts'

const compareMs = 60_000
/** What is in doubt is compared so much later, at a twentieth of a core at most. */
const doubtMs = 1_500
const doubtShare = 20
/** Between comparisons: as long as one takes, within these bounds. So a storm of changes costs half a core. */
const pauseMinMs = 200
const pauseMaxMs = 1_000

export class ComparisonBell {
  readonly #clock: Clock
  #isRung = false
  #settleMs = 0
  #doubt: Timer | undefined
  #tookMs = 0
  #wake: () => void = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** For a monitor; `settleMs`: how long its changes take to be complete. */
  onChange(settleMs: number): MonitorOptions['onChange'] {
    return (concern) => {
      if (concern === 'foreign') this.ring(settleMs)
      else this.#ringLater()
    }
  }

  /** A comparison is due when this time has passed. */
  ring(afterMs: number): void {
    this.#isRung = true
    this.#settleMs = Math.max(this.#settleMs, afterMs)
    this.#wake()
  }

  /** Until a comparison is due, or the signal aborts. It answers all that rang before. */
  async wait(signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal)
    this.#wake = () => controller.abort()
    if (!this.#isRung) await wait(this.#clock, compareMs, controller.signal)
    if (this.#isRung) await wait(this.#clock, this.#settleMs, signal)
    this.#wake = () => {}
    this.#isRung = false
    this.#settleMs = 0
    this.close()
    release()
  }

  /** After a comparison that began then: leaves the processor to others. */
  async pause(startedMs: number, signal: AbortSignal): Promise<void> {
    this.#tookMs = this.#clock.monotonicMs() - startedMs
    await wait(this.#clock, Math.min(pauseMaxMs, Math.max(pauseMinMs, this.#tookMs)), signal)
  }

  close(): void {
    this.#doubt?.cancel()
    this.#doubt = undefined
  }

  /** Those in doubt that come meanwhile share one comparison. */
  #ringLater(): void {
    const waitMs = Math.min(compareMs, Math.max(doubtMs, doubtShare * this.#tookMs))
    this.#doubt ??= this.#clock.setTimer(waitMs, () => this.ring(0))
  }
}
