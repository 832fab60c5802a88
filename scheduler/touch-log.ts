// Which nodes changed, in order, so that whoever keeps something derived of nodes can catch up instead of starting anew.

const entriesMax = 100_000

export class TouchLog {
  /** Position of the first kept entry. */
  #start = 0
  #nodes: number[] = []

  /** The position after the last entry. */
  get end(): number {
    return this.#start + this.#nodes.length
  }

  add(node: number): void {
    if (this.#nodes.length >= entriesMax) {
      this.#start = this.end
      this.#nodes = []
    }
    this.#nodes.push(node)
  }

  /** How many entries came since the position; undefined when they are not all kept. */
  countSince(position: number): number | undefined {
    return position < this.#start ? undefined : this.end - position
  }

  /** The entries from the position on; a node may occur more than once. */
  *since(position: number): Iterable<number> {
    for (let at = position - this.#start; at < this.#nodes.length; at++) {
      yield this.#nodes[at] ?? 0
    }
  }
}
