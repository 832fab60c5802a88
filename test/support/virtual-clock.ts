// A clock that only moves when told to, for tests of everything that waits.
import type { Clock, Timer } from '../../proto/lib/clock.ts'

interface Due {
  readonly atMs: number
  readonly order: number
  readonly fn: () => void
}

/** Lets everything that waits on promises (not on time) go on. */
export async function settle(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export class VirtualClock implements Clock {
  /** Wall time minus monotonic time. */
  wallOffsetMs = 1_700_000_000_000
  #nowMs = 0
  #order = 0
  readonly #timers = new Set<Due>()

  wallMs(): number {
    return Math.floor(this.#nowMs + this.wallOffsetMs)
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    this.#order += 1
    const due = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order, fn }
    this.#timers.add(due)
    return { cancel: () => this.#timers.delete(due) }
  }

  /** Moves on by that much, firing each timer at its own time and settling after each. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    for (let due = this.#next(endMs); due !== undefined; due = this.#next(endMs)) {
      // After a stall a timer fires late.
      this.#nowMs = Math.max(this.#nowMs, due.atMs)
      this.#timers.delete(due)
      due.fn()
      await settle()
    }
    this.#nowMs = Math.max(this.#nowMs, endMs)
  }

  /** Jumps: timers that became due meanwhile all fire late, at the new time. A stalled process looks like this. */
  async stall(ms: number): Promise<void> {
    this.#nowMs += ms
    await this.advance(0)
  }

  /** Moves on step by step until the condition holds; throws after limitMs. */
  async until(holds: () => boolean, limitMs: number, what: string): Promise<void> {
    const endMs = this.#nowMs + limitMs
    await settle()
    while (!holds()) {
      const due = this.#next(endMs)
      if (due === undefined) throw new Error(`not within ${limitMs} ms: ${what}`)
      await this.advance(Math.max(0, due.atMs - this.#nowMs))
    }
  }

  #next(endMs: number): Due | undefined {
    let next: Due | undefined
    for (const due of this.#timers) {
      if (due.atMs > endMs) continue
      const isSooner =
        next === undefined ||
        due.atMs < next.atMs ||
        (due.atMs === next.atMs && due.order < next.order)
      if (isSooner) next = due
    }
    return next
  }
}
