// The ways in which a history can have come to be so far, without those that others are as good as.

/** One way: the state, and which of the pending operations have taken effect. */
export interface Configuration<State> {
  readonly state: State
  /** Bits of pending operations that will have returned. */
  readonly done: bigint
  /** Bits of operations of unknown outcome. */
  readonly maybe: bigint
}

/**
 * Of two ways with the same state and the same known operations done, the one that used fewer unknown ones
 * can do all that the other can: an unknown operation need not take effect. Only such smallest ways are kept.
 */
export class Configurations<State> {
  readonly #stateKey: (state: State) => string
  readonly #groups = new Map<string, Configuration<State>[]>()
  #size = 0

  constructor(stateKey: (state: State) => string) {
    this.#stateKey = stateKey
  }

  get size(): number {
    return this.#size
  }

  /** False: one that is as good was there. */
  add(configuration: Configuration<State>): boolean {
    const { state, done, maybe } = configuration
    const key = `${this.#stateKey(state)}|${done.toString(36)}`
    const group = this.#groups.get(key)
    if (group === undefined) {
      this.#groups.set(key, [configuration])
      this.#size += 1
      return true
    }
    if (group.some((other) => (other.maybe & maybe) === other.maybe)) return false
    const kept = group.filter((other) => (maybe & other.maybe) !== maybe)
    this.#size += kept.length + 1 - group.length
    kept.push(configuration)
    this.#groups.set(key, kept)
    return true
  }

  *[Symbol.iterator](): Generator<Configuration<State>, void, undefined> {
    for (const group of this.#groups.values()) yield* group
  }
}
