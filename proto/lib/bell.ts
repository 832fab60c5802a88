// Wakes one waiter: "look again", however often it was rung. Not a queue, it carries nothing.
import type { Clock } from './clock.ts'

export class Bell {
  #rung = false
  #wake: (() => void) | undefined

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Resolves once it was rung since the last wait, after delayMs (if given), or when the signal aborts. */
  async wait(clock: Clock, delayMs: number | undefined, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = delayMs === undefined ? undefined : clock.setTimer(delayMs, () => done())
        const done = (): void => {
          timer?.cancel()
          signal.removeEventListener('abort', done)
          this.#wake = undefined
          resolve()
        }
        signal.addEventListener('abort', done, { once: true })
        this.#wake = done
      })
    }
    this.#rung = false
  }
}
