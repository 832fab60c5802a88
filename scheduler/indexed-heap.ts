// A binary heap of small integers with two keys each, whose keys may change: the least (first, then second, then the
// number itself) is on top. Knows nothing of nodes.

export class IndexedHeap {
  #size = 0
  readonly #items: Int32Array
  /** Where an id is in #items; -1 when absent. */
  readonly #places: Int32Array
  readonly #first: Float64Array
  readonly #second: Float64Array

  /** For ids from 0 to capacity - 1. */
  constructor(capacity: number) {
    this.#items = new Int32Array(capacity)
    this.#places = new Int32Array(capacity).fill(-1)
    this.#first = new Float64Array(capacity)
    this.#second = new Float64Array(capacity)
  }

  get size(): number {
    return this.#size
  }

  has(id: number): boolean {
    return (this.#places[id] ?? -1) >= 0
  }

  /** The id on top; -1 when empty. */
  top(): number {
    return this.#size === 0 ? -1 : (this.#items[0] ?? -1)
  }

  firstKey(id: number): number {
    return this.#first[id] ?? 0
  }

  secondKey(id: number): number {
    return this.#second[id] ?? 0
  }

  /** Adds an absent id, without putting it in order: call `order` after the last one. O(1). */
  append(id: number, first: number, second: number): void {
    this.#first[id] = first
    this.#second[id] = second
    this.#items[this.#size] = id
    this.#places[id] = this.#size
    this.#size += 1
  }

  /** Adds an absent id to a heap that is in order. O(log size). */
  add(id: number, first: number, second: number): void {
    this.append(id, first, second)
    this.#rise(this.#size - 1)
  }

  /** Puts everything in order. O(size). */
  order(): void {
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  /** Gives a present id new keys. O(log size). */
  set(id: number, first: number, second: number): void {
    this.#first[id] = first
    this.#second[id] = second
    const at = this.#places[id] ?? -1
    if (!this.#rise(at)) this.#sink(at)
  }

  /** Takes a present id out. O(log size). */
  remove(id: number): void {
    const at = this.#places[id] ?? -1
    this.#places[id] = -1
    this.#size -= 1
    if (at === this.#size) return
    const moved = this.#items[this.#size] ?? 0
    this.#items[at] = moved
    this.#places[moved] = at
    if (!this.#rise(at)) this.#sink(at)
  }

  #less(a: number, b: number): boolean {
    const firstA = this.#first[a] ?? 0
    const firstB = this.#first[b] ?? 0
    if (firstA !== firstB) return firstA < firstB
    const secondA = this.#second[a] ?? 0
    const secondB = this.#second[b] ?? 0
    // The same answer whatever the heap went through: a forecast must make the choice that the real one will.
    return secondA === secondB ? a < b : secondA < secondB
  }

  #rise(from: number): boolean {
    const id = this.#items[from] ?? 0
    let at = from
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = this.#items[above] ?? 0
      if (!this.#less(id, parent)) break
      this.#items[at] = parent
      this.#places[parent] = at
      at = above
    }
    if (at === from) return false
    this.#items[at] = id
    this.#places[id] = at
    return true
  }

  #sink(from: number): void {
    const id = this.#items[from] ?? 0
    let at = from
    while (true) {
      let below = 2 * at + 1
      if (below >= this.#size) break
      const right = below + 1
      if (right < this.#size && this.#less(this.#items[right] ?? 0, this.#items[below] ?? 0)) {
        below = right
      }
      const child = this.#items[below] ?? 0
      if (!this.#less(child, id)) break
      this.#items[at] = child
      this.#places[child] = at
      at = below
    }
    this.#items[at] = id
    this.#places[id] = at
  }
}
