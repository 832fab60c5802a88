// The clock of a simulated process: virtual time, a wall clock that may be wrong, timers that die with the process.
import type { SimProcess } from 'raft-ts/testing'
import type { Clock, Timer } from '../../../proto/lib/clock.ts'

export class SimClock implements Clock {
  readonly #process: SimProcess
  readonly #wallMs: () => number

  /** `wallMs` is what this host's wall clock says, right or wrong. */
  constructor(process: SimProcess, wallMs: () => number) {
    this.#process = process
    this.#wallMs = wallMs
  }

  wallMs(): number {
    return Math.floor(this.#wallMs())
  }

  monotonicMs(): number {
    return this.#process.monotonicMs()
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    return this.#process.setTimer(delayMs, fn)
  }
}
