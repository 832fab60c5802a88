// Virtual time: everything that happens is an event, run one after another in order of time.
import { SimRandom } from './random.ts'

/** What is to happen at a moment of virtual time. */
export interface SimEvent {
  readonly atMs: number
  readonly order: number
  /** Undefined: it was cancelled. */
  run: (() => void) | undefined
}

/** Time and chance of one simulation. */
export class World {
  readonly random: SimRandom
  readonly #seed: number
  #nowMs = 0
  #scheduled = 0
  #events = 0
  /** A binary heap by (atMs, order). */
  readonly #heap: SimEvent[] = []

  constructor(seed: number) {
    this.#seed = seed
    this.random = new SimRandom(seed)
  }

  /** Chance for one part of the simulation: the same whatever the others draw. */
  stream(name: string): SimRandom {
    return SimRandom.named(this.#seed, name)
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** How many events have run. */
  get events(): number {
    return this.#events
  }

  /** Runs fn after a delay; equal times run in the order of scheduling. */
  after(delayMs: number, run: () => void): SimEvent {
    this.#scheduled += 1
    const event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#scheduled, run }
    this.#heap.push(event)
    this.#up(this.#heap.length - 1)
    return event
  }

  /** The event does not happen any more. */
  cancel(event: SimEvent): void {
    event.run = undefined
  }

  /** Runs the next event not after `untilMs`. False: there is none, and it is `untilMs` now (if finite). */
  step(untilMs: number): boolean {
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) {
        if (Number.isFinite(untilMs)) this.#nowMs = Math.max(this.#nowMs, untilMs)
        return false
      }
      this.#pop()
      if (next.run === undefined) continue
      this.#nowMs = next.atMs
      this.#events += 1
      next.run()
      return true
    }
  }

  #pop(): void {
    const last = this.#heap.pop()
    if (last === undefined || this.#heap.length === 0) return
    this.#heap[0] = last
    this.#down(0)
  }

  #up(start: number): void {
    let at = start
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#swapIfBefore(at, parent)) return
      at = parent
    }
  }

  #down(start: number): void {
    let at = start
    for (;;) {
      const left = 2 * at + 1
      const right = left + 1
      const child = this.#isBefore(right, left) ? right : left
      if (!this.#swapIfBefore(child, at)) return
      at = child
    }
  }

  #isBefore(one: number, other: number): boolean {
    const a = this.#heap[one]
    const b = this.#heap[other]
    if (a === undefined || b === undefined) return false
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
  }

  #swapIfBefore(one: number, other: number): boolean {
    if (!this.#isBefore(one, other)) return false
    const a = this.#heap[one]
    const b = this.#heap[other]
    if (a === undefined || b === undefined) return false
    this.#heap[one] = b
    this.#heap[other] = a
    return true
  }
}
