// The rows of a table as they were at one moment, read bit by bit while the table goes on changing. Copying a million
// references at once would hold up the loop for 100 ms; this keeps only what changes before it was read.

/** What a table keeps of a row. */
export interface Walked<R> {
  row: R
  /** Rises with every row that the table ever got. */
  readonly born: number
}

export class TableWalk<R> {
  /** In order of birth; sees what is born later, too. */
  readonly #live: Iterator<Walked<R>>
  /** The first one that was not there at the beginning. */
  readonly #endBorn: number
  /** The last one that was read. */
  #readBorn = -1
  #isAtEnd = false
  /** As they were, of those that changed or went before they were read. */
  readonly #kept = new Map<Walked<R>, R>()
  readonly #onEnd: (walk: TableWalk<R>) => void

  /** `onEnd`: the walk needs to hear of changes no more. */
  constructor(live: Iterator<Walked<R>>, endBorn: number, onEnd: (walk: TableWalk<R>) => void) {
    this.#live = live
    this.#endBorn = endBorn
    this.#onEnd = onEnd
  }

  /** The table is about to replace or remove that row. */
  changes(cell: Walked<R>): void {
    if (cell.born <= this.#readBorn || cell.born >= this.#endBorn) return
    if (!this.#kept.has(cell)) this.#kept.set(cell, cell.row)
  }

  /** The next row: in order of creation, those that were removed meanwhile last. Undefined at the end. */
  next(): R | undefined {
    return this.#isAtEnd ? this.#nextRemoved() : this.#nextLive()
  }

  /** Lets go of everything; the end does the same. */
  close(): void {
    this.#isAtEnd = true
    this.#kept.clear()
    this.#onEnd(this)
  }

  #nextLive(): R | undefined {
    const { done, value: cell } = this.#live.next()
    if (done === true || cell.born >= this.#endBorn) {
      this.#isAtEnd = true
      this.#onEnd(this)
      return this.#nextRemoved()
    }
    this.#readBorn = cell.born
    if (this.#kept.size === 0) return cell.row
    const kept = this.#kept.get(cell)
    this.#kept.delete(cell)
    return kept ?? cell.row
  }

  #nextRemoved(): R | undefined {
    for (const [cell, row] of this.#kept) {
      this.#kept.delete(cell)
      return row
    }
    return undefined
  }
}
