// How often leadership is handed over by itself: ever less often while that leads to nothing. Counts ticks, knows no peers.

/** Between two attempts this doubles, up to so many election time-outs. */
const backoffElectionsMax = 64
/** An attempt this many election time-outs ago is forgotten. */
const memoryElections = 2 * backoffElectionsMax

/** Attempts to hand over, of all leaderships of this node: a preferred voter that keeps failing is asked less often. */
export class HandOvers {
  #attempts = 0
  #ticks = 0

  tick(): void {
    this.#ticks += 1
  }

  /** Whether the next attempt may be made. */
  isDue(electionTicks: number): boolean {
    if (this.#attempts === 0) return true
    const elections = Math.min(2 ** (this.#attempts + 2), backoffElectionsMax)
    return this.#ticks >= elections * electionTicks
  }

  attempted(electionTicks: number): void {
    const isLongAgo = this.#ticks >= memoryElections * electionTicks
    this.#attempts = isLongAgo ? 1 : this.#attempts + 1
    this.#ticks = 0
  }
}
