// Who has an address. Two may claim one for a while, when it moves on: the one that came last has it, and when that goes,
// the one before. Pure.
export class Claims {
  readonly #claims = new Map<string, Set<string>>()

  add(key: string, id: string): void {
    const ids = this.#claims.get(key) ?? new Set()
    // Again to the end.
    ids.delete(id)
    this.#claims.set(key, ids.add(id))
  }

  remove(key: string, id: string): void {
    const ids = this.#claims.get(key)
    ids?.delete(id)
    if (ids?.size === 0) this.#claims.delete(key)
  }

  holder(key: string): string | undefined {
    const ids = this.#claims.get(key)
    return ids === undefined ? undefined : [...ids].at(-1)
  }
}
