// What transactions wrote that is not applied yet, over the applied state. Not a transaction: see transaction.ts.
import type { RequestResult, State } from './state.ts'
import { type IndexName, idOf, type Row, type TableName, tableNames } from './tables.ts'

/** A row as some transaction left it; undefined: removed. Changed in place by that transaction only. */
export interface OverlayEntry<T extends TableName = TableName> {
  readonly owner: object
  readonly table: T
  readonly id: string
  /** What the overlay held before; undefined: nothing. Forgotten once the transaction is through, lest a chain grows. */
  before: OverlayEntry<T> | undefined
  row: Row<T> | undefined
}

type Entries<T extends TableName> = Map<string, OverlayEntry<T>>

export class Overlay {
  readonly state: State
  /** Version and stamp after the last transaction of the overlay. */
  version = 0
  stampMs = 0
  readonly requests = new Map<string, RequestResult>()
  readonly #entries: { readonly [T in TableName]: Entries<T> }

  constructor(state: State) {
    this.state = state
    this.#entries = {
      cluster: new Map(),
      nodes: new Map(),
      services: new Map(),
      taskSpecs: new Map(),
      tasks: new Map(),
      removedNodes: new Map(),
      networks: new Map(),
      secrets: new Map(),
      configs: new Map(),
      accesses: new Map(),
      stackRevisions: new Map(),
      registryLogins: new Map(),
    }
    this.reset()
  }

  entries<T extends TableName>(table: T): Entries<T> {
    return this.#entries[table] as Entries<T>
  }

  /** Forgets everything that is not applied. */
  reset(): void {
    for (const table of tableNames) this.#entries[table].clear()
    this.requests.clear()
    this.version = this.state.version
    this.stampMs = this.state.stampMs
  }

  /** An entry was applied: the state has it, unless a later transaction has written the row again. */
  settle(entry: OverlayEntry): void {
    const entries = this.entries(entry.table)
    if (entries.get(entry.id) === entry) entries.delete(entry.id)
  }

  /** The state is put back to before this entry, the last one of its row. */
  undo({ table, id, before }: OverlayEntry): void {
    const entries = this.entries(table)
    if (before === undefined) entries.delete(id)
    else entries.set(id, before)
  }

  get<T extends TableName>(table: T, id: string): Row<T> | undefined {
    return this.under(table, id, this.entries(table).get(id))
  }

  /** The row when the overlay's entry of it is known. */
  under<T extends TableName>(
    table: T,
    id: string,
    entry: OverlayEntry<T> | undefined,
  ): Row<T> | undefined {
    return entry === undefined ? this.state.table(table).get(id) : entry.row
  }

  *all<T extends TableName>(table: T): Iterable<Row<T>> {
    const entries = this.entries(table)
    const state = this.state.table(table)
    for (const [id, row] of state.entries()) {
      const entry = entries.get(id)
      if (entry === undefined) yield row
      else if (entry.row !== undefined) yield entry.row
    }
    for (const { id, row } of entries.values()) {
      if (row !== undefined && state.get(id) === undefined) yield row
    }
  }

  /** O(rows found + rows of the overlay). */
  *find<T extends TableName>(table: T, index: IndexName<T>, key: string): Iterable<Row<T>> {
    const entries = this.entries(table)
    const state = this.state.table(table)
    for (const row of state.find(index, key)) if (!entries.has(idOf(table, row))) yield row
    for (const { row } of entries.values()) {
      if (row !== undefined && state.keyIn(index, row) === key) yield row
    }
  }

  count(table: TableName): number {
    const state = this.state.table(table)
    let count = state.size
    for (const { id, row } of this.entries(table).values()) {
      if (state.get(id) !== undefined) count -= row === undefined ? 1 : 0
      else count += row === undefined ? 0 : 1
    }
    return count
  }
}
