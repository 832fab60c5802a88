// Waits for whoever leads next, lets so many of its first appends leave, and strikes: what a new leader begins
// with then reaches few. Source of the plot: Raft paper figure 8.
import type { Term } from '../core/types.ts'

export class Ambush<Leader> {
  #waiting: { readonly after: number; readonly spring: (leader: Leader) => void } | undefined
  /** Leaders of this term and earlier ones pass. */
  #passed: Term = 0
  #sent = 0

  /** For the first leader of a term above `passed`. Nothing happens while another is laid. */
  lay(passed: Term, after: number, spring: (leader: Leader) => void): void {
    if (this.#waiting !== undefined) return
    this.#waiting = { after, spring }
    this.#passed = passed
    this.#sent = 0
  }

  lift(): void {
    this.#waiting = undefined
  }

  /** A leader is about to send an append. */
  met(leader: Leader, term: Term): void {
    const waiting = this.#waiting
    if (waiting === undefined || term <= this.#passed) return
    if (this.#sent < waiting.after) {
      this.#sent += 1
      return
    }
    this.#waiting = undefined
    waiting.spring(leader)
  }
}
