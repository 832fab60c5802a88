// Which manager to try next: this very node's own first, else any, those that failed lately last.
import { type Random, randomInt } from '../proto/lib/random.ts'
import type { NodeId } from '../proto/objects/index.ts'
import type { ManagerAddress } from './state-records.ts'

export class ManagerPicker {
  readonly #random: Random
  readonly #self: NodeId
  /** Attempts that ended since the last good session, by address; only of managers that were offered last. */
  #failures = new Map<string, number>()

  constructor(random: Random, self: NodeId) {
    this.#random = random
    this.#self = self
  }

  /** Undefined when there are none. */
  pick(managers: readonly ManagerAddress[]): ManagerAddress | undefined {
    this.#failures = new Map(managers.map((manager) => [manager.address, this.failures(manager)]))
    const fewest = Math.min(...this.#failures.values())
    const best = managers.filter((manager) => this.failures(manager) === fewest)
    // A session with oneself cannot outlive the manager it is with, so no other agent suffers from that.
    const own = best.find((manager) => manager.nodeId === this.#self)
    return own ?? best[randomInt(this.#random, best.length)]
  }

  /** How often it failed in a row. */
  failures(manager: ManagerAddress): number {
    return this.#failures.get(manager.address) ?? 0
  }

  /** The attempt is over. Even after a good session another manager is tried first: this one just went away. */
  note(manager: ManagerAddress, wasGood: boolean): void {
    // What failed before a good session may be back; were it remembered, this one would not be the last to be tried.
    if (wasGood) this.#failures.clear()
    this.#failures.set(manager.address, this.failures(manager) + 1)
  }
}
