// Candidates of the classes that were asked for lately, so that placing one task in a large cluster does not ask every
// node again.
import { Candidates } from './candidates.ts'
import type { ClusterIndex } from './cluster-index.ts'
import type { Demand, Strategy } from './demand.ts'
import { rankOf } from './rank.ts'

/** Classes kept, and nodes kept in all of them together. */
const classesMax = 64
const nodesMax = 2_000_000

export class CandidatePool {
  readonly #index: ClusterIndex
  /** Least lately used first. */
  readonly #byClass = new Map<string, Candidates>()

  constructor(index: ClusterIndex) {
    this.#index = index
  }

  /** Candidates for the demand, up to date. `random` in [0, 1), also for later. */
  take(demand: Demand, strategy: Strategy, random: () => number): Candidates {
    const key = `${strategy} ${demand.classKey}`
    const known = this.#byClass.get(key)
    this.#byClass.delete(key)
    const candidates =
      known?.catchUp() === true
        ? known
        : new Candidates(this.#index, demand, rankOf(strategy, random))
    this.#byClass.set(key, candidates)
    const most = Math.min(
      classesMax,
      Math.max(1, Math.floor(nodesMax / (this.#index.capacity + 1))),
    )
    for (const oldest of this.#byClass.keys()) {
      if (this.#byClass.size <= most) break
      this.#byClass.delete(oldest)
    }
    return candidates
  }
}
