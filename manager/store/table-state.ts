// One table in memory: rows by id, and indexes from keys to rows. Knows nothing of transactions.
// A row sits in a cell that stays while the row is replaced; indexes hold cells, and a cell knows its places in them, so that
// replacing a row costs one look-up, and moving it to another key is O(1) without hashing ids again.
import { invariant } from '../../proto/lib/assert.ts'
import { type Row, type TableName, tables } from './tables.ts'

class Cell<R> {
  row: R
  /** Its place in the bucket of each index. */
  readonly at: number[]

  constructor(row: R, indexCount: number) {
    this.row = row
    this.at = new Array<number>(indexCount).fill(0)
  }
}

/** The cells of a key. Most keys of `bySlot` have one, which needs no array. */
type Bucket<R> = Cell<R> | Cell<R>[]

interface Index<R> {
  readonly name: string
  /** Where a cell keeps its place in this index. */
  readonly position: number
  readonly of: readonly (keyof R)[]
  readonly key: (row: R) => string | undefined
  readonly unique: boolean
  readonly buckets: Map<string, Bucket<R>>
}

export class TableState<T extends TableName> {
  /** Names of the indexes in which a key may occur once. */
  readonly uniqueIndexes: readonly string[]
  readonly #cells = new Map<string, Cell<Row<T>>>()
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
      const added = new Cell(row, this.#indexes.length)
      this.#cells.set(id, added)
      for (const index of this.#indexes) insert(index, index.key(row), added)
      return undefined
    }
    const old = cell.row
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
    this.#cells.delete(id)
    for (const index of this.#indexes) erase(index, index.key(cell.row), cell)
    return cell.row
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
    return { name, position, of, key, unique, buckets: new Map() }
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
    cell.at[index.position] = 0
  } else if (bucket instanceof Cell) {
    index.buckets.set(key, [bucket, cell])
    cell.at[index.position] = 1
  } else cell.at[index.position] = bucket.push(cell) - 1
}

/** The last cell of the bucket takes the place of the erased one. */
function erase<R>(index: Index<R>, key: string | undefined, cell: Cell<R>): void {
  if (key === undefined) return
  const bucket = index.buckets.get(key)
  const place = cell.at[index.position] ?? 0
  if (bucket instanceof Cell) {
    invariant(bucket === cell, 'an index holds another row under the key', { key })
    index.buckets.delete(key)
    return
  }
  invariant(bucket?.[place] === cell, 'an index does not hold the row in its place', { key, place })
  const last = bucket.pop() as Cell<R>
  if (last !== cell) {
    bucket[place] = last
    last.at[index.position] = place
  }
  if (bucket.length === 0) index.buckets.delete(key)
}
