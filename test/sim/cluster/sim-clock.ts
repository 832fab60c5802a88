// The clock of a simulated process: virtual time, a wall clock that may be wrong, timers that die with the process.
import type { SimProcess } from 'raft-ts/testing'
import type { Clock, Timer } from '../../../proto/lib/clock.ts'

const epochMs = 1_700_000_000_000

export class SimClock implements Clock {
  readonly #process: SimProcess
  readonly #wallMs: () => number

  /** `wallMs` is virtual time plus whatever this host's wall clock is off by. */
  constructor(process: SimProcess, wallMs: () => number) {
    this.#process = process
    this.#wallMs = wallMs
  }

  wallMs(): number {
    return Math.floor(epochMs + this.#wallMs())
  }

  monotonicMs(): number {
    return this.#process.monotonicMs()
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    return this.#process.setTimer(delayMs, fn)
  }
}
