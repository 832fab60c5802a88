// Whether a learner keeps up well enough to become a voter: the log is brought to it in rounds, each up to where the log
// ended when the round began. A round that takes less than an election time-out proves it. Pure; time is ticks.
// Source: thesis 4.2.1.
import type { PeerStatus } from '../core/config.ts'
import type { Index } from '../core/types.ts'

const roundsMax = 10
/** Election time-outs without progress after which the learner counts as not available. */
const stalledElectionsMax = 20
/** Snapshots begun in a row that brought nothing. */
const snapshotsMax = 3

export interface CatchUpView {
  readonly peer: Pick<PeerStatus, 'match' | 'state' | 'active' | 'silentTicks'>
  readonly lastIndex: Index
  readonly electionTicks: number
}

export type CatchUpStep =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'caught-up' }
  | { readonly kind: 'failed'; readonly reason: string }

export class CatchUp {
  /** Where the round leads. */
  #target: Index
  #rounds = 1
  #roundTicks = 0
  /** Highest index that was ever acknowledged. */
  #match: Index = 0
  #stalledTicks = 0
  #snapshots = 0
  #wasSnapshot = false

  constructor(lastIndex: Index) {
    this.#target = lastIndex
  }

  /** So many ticks have passed. */
  tick(ticks: number, view: CatchUpView): CatchUpStep {
    this.#roundTicks += ticks
    const stuck = this.#stuck(ticks, view)
    if (stuck !== undefined) return { kind: 'failed', reason: stuck }
    const { peer, lastIndex, electionTicks } = view
    // An acknowledgement may be old: only with a sign of life in this round does the learner keep up with anything.
    if (peer.match < this.#target || peer.silentTicks >= this.#roundTicks)
      return { kind: 'waiting' }
    if (this.#roundTicks <= electionTicks) return { kind: 'caught-up' }
    if (this.#rounds === roundsMax) {
      const reason = `after ${roundsMax} rounds it still takes longer than an election time-out to catch up`
      return { kind: 'failed', reason }
    }
    this.#rounds += 1
    this.#roundTicks = 0
    this.#target = lastIndex
    return { kind: 'waiting' }
  }

  /** Why it will never end. */
  #stuck(ticks: number, { peer, electionTicks }: CatchUpView): string | undefined {
    if (peer.match > this.#match) {
      this.#match = peer.match
      this.#stalledTicks = 0
      this.#snapshots = 0
    }
    const isSnapshot = peer.state === 'snapshot'
    if (isSnapshot && !this.#wasSnapshot) this.#snapshots += 1
    this.#wasSnapshot = isSnapshot
    if (this.#snapshots > snapshotsMax)
      return `it did not take in a snapshot in ${snapshotsMax} attempts`
    // While a snapshot is on its way nothing is acknowledged; its sender gives up by itself.
    this.#stalledTicks = isSnapshot && peer.active ? 0 : this.#stalledTicks + ticks
    if (this.#stalledTicks <= stalledElectionsMax * electionTicks) return undefined
    return peer.active ? 'it acknowledges nothing more' : 'it does not answer'
  }
}
