// One table in memory: rows by id, and indexes from keys to rows. Knows nothing of transactions.
// A row sits in a cell that stays while the row is replaced; indexes hold cells, and a cell knows its places in them, so that
// replacing a row costs one look-up, and moving it to another key is O(1) without hashing ids again.
import { invariant } from '../../proto/lib/assert.ts'
import { TableWalk } from './table-walk.ts'
import { type Row, type TableName, tables } from './tables.ts'

/** Its place in the bucket of each index lies in fields of its own: a million arrays would cost the collector half as much again. */
class Cell<R> {
  row: R
  readonly born: number
  place0 = 0
  place1 = 0
  place2 = 0
  place3 = 0
  place4 = 0

  constructor(row: R, born: number) {
    this.row = row
    this.born = born
  }
}

type Place = 'place0' | 'place1' | 'place2' | 'place3' | 'place4'
const places: readonly Place[] = ['place0', 'place1', 'place2', 'place3', 'place4']

/** The cells of a key. Most keys of `bySlot` have one, which needs no array. */
type Bucket<R> = Cell<R> | Cell<R>[]

interface Index<R> {
  readonly name: string
  /** Where a cell keeps its place in this index. */
  readonly place: Place
  readonly of: readonly (keyof R)[]
  readonly key: (row: R) => string | undefined
  readonly unique: boolean
  readonly buckets: Map<string, Bucket<R>>
}

export class TableState<T extends TableName> {
  /** Names of the indexes in which a key may occur once. */
  readonly uniqueIndexes: readonly string[]
  readonly #cells = new Map<string, Cell<Row<T>>>()
  readonly #walks = new Set<TableWalk<Row<T>>>()
  #births = 0
  readonly #indexes: readonly Index<Row<T>>[]

  constructor(table: T) {
    this.#indexes = indexesOf(table)
    this.uniqueIndexes = this.#indexes.filter(({ unique }) => unique).map(({ name }) => name)
  }

  get size(): number {
    return this.#cells.size
  }

  get(id: string): Row<T> | undefined {
    return this.#cells.get(id)?.row
  }

  /** In order of creation. */
  *entries(): Iterable<readonly [string, Row<T>]> {
    for (const [id, { row }] of this.#cells) yield [id, row]
  }

  /** In order of creation. */
  *rows(): Iterable<Row<T>> {
    for (const { row } of this.#cells.values()) yield row
  }

  /** The rows of this moment, to be read while the table changes. O(1); must be read to its end or closed. */
  walk(): TableWalk<Row<T>> {
    const walk = new TableWalk(this.#cells.values(), this.#births, (ended) => {
      this.#walks.delete(ended)
    })
    this.#walks.add(walk)
    return walk
  }

  /** Rows with this key, in no particular order. */
  *find(indexName: string, key: string): Iterable<Row<T>> {
    const bucket = this.#index(indexName).buckets.get(key)
    if (bucket === undefined) return
    if (bucket instanceof Cell) yield bucket.row
    else for (const { row } of bucket) yield row
  }

  /** The key of a row in an index. */
  keyIn(indexName: string, row: Row<T>): string | undefined {
    return this.#index(indexName).key(row)
  }

  /** Adds or replaces a row and returns what it replaced. */
  put(id: string, row: Row<T>): Row<T> | undefined {
    const cell = this.#cells.get(id)
    if (cell === undefined) {
      const added = new Cell(row, this.#births)
      this.#births += 1
      this.#cells.set(id, added)
      for (const index of this.#indexes) insert(index, index.key(row), added)
      return undefined
    }
    const old = cell.row
    this.#tellWalks(cell)
    cell.row = row
    for (const index of this.#indexes) {
      if (sameFields(index, old, row)) continue
      erase(index, index.key(old), cell)
      insert(index, index.key(row), cell)
    }
    return old
  }

  /** Removes a row and returns it. */
  remove(id: string): Row<T> | undefined {
    const cell = this.#cells.get(id)
    if (cell === undefined) return undefined
    this.#tellWalks(cell)
    this.#cells.delete(id)
    for (const index of this.#indexes) erase(index, index.key(cell.row), cell)
    return cell.row
  }

  #tellWalks(cell: Cell<Row<T>>): void {
    if (this.#walks.size === 0) return
    for (const walk of this.#walks) walk.changes(cell)
  }

  #index(name: string): Index<Row<T>> {
    for (const index of this.#indexes) if (index.name === name) return index
    invariant(false, 'the table has no such index', { name })
  }
}

function indexesOf<T extends TableName>(table: T): readonly Index<Row<T>>[] {
  return Object.entries(tables[table].indexes).map(([name, def], position) => {
    const { of, key } = def as unknown as Pick<Index<Row<T>>, 'of' | 'key'>
    const unique = 'unique' in def && def.unique === true
    const place = places[position]
    invariant(place !== undefined, 'a table has more indexes than a cell has places', { table })
    return { name, place, of, key, unique, buckets: new Map() }
  })
}

function sameFields<R>(index: Index<R>, old: R, row: R): boolean {
  for (const field of index.of) if (old[field] !== row[field]) return false
  return true
}

function insert<R>(index: Index<R>, key: string | undefined, cell: Cell<R>): void {
  if (key === undefined) return
  const bucket = index.buckets.get(key)
  if (bucket === undefined) {
    index.buckets.set(key, cell)
    cell[index.place] = 0
  } else if (bucket instanceof Cell) {
    index.buckets.set(key, [bucket, cell])
    cell[index.place] = 1
  } else cell[index.place] = bucket.push(cell) - 1
}

/** The last cell of the bucket takes the place of the erased one. */
function erase<R>(index: Index<R>, key: string | undefined, cell: Cell<R>): void {
  if (key === undefined) return
  const bucket = index.buckets.get(key)
  const place = cell[index.place]
  if (bucket instanceof Cell) {
    invariant(bucket === cell, 'an index holds another row under the key', { key })
    index.buckets.delete(key)
    return
  }
  invariant(bucket?.[place] === cell, 'an index does not hold the row in its place', { key, place })
  const last = bucket.pop() as Cell<R>
  if (last !== cell) {
    bucket[place] = last
    last[index.place] = place
  }
  if (bucket.length === 0) index.buckets.delete(key)
}
