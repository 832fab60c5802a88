// What this node mended by itself since its daemon started: counted, and the newest kept. What healing is so quick about
// that an audit would never see it shows here.
import type { Clock } from '../../proto/lib/clock.ts'
import type { Difference } from './difference.ts'
import type { About } from './provenance.ts'

export interface MendedOne {
  readonly atMs: number
  readonly difference: Difference
  readonly about: About
}

/** Kept; of one comparison the first ones. */
const lastMax = 20

export class HealingRecord {
  readonly #clock: Clock
  readonly #sinceMs: number
  #comparisons = 0
  #mended = 0
  #last: readonly MendedOne[] = []

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  /** After each comparison that nothing but the passing of time or a foreign change called for. */
  note(mended: readonly { readonly difference: Difference; readonly about: About }[]): void {
    const atMs = this.#clock.monotonicMs()
    this.#comparisons += 1
    this.#mended += mended.length
    const fresh = mended.slice(0, lastMax).map((one) => ({ ...one, atMs }))
    this.#last = [...fresh, ...this.#last].slice(0, lastMax)
  }

  get comparisons(): number {
    return this.#comparisons
  }

  get mended(): number {
    return this.#mended
  }

  /** The newest first, with how long ago. */
  last(): readonly (MendedOne & { readonly agoMs: number })[] {
    const nowMs = this.#clock.monotonicMs()
    return this.#last.map((one) => ({ ...one, agoMs: Math.round(nowMs - one.atMs) }))
  }

  forMs(): number {
    return Math.round(this.#clock.monotonicMs() - this.#sinceMs)
  }
}
