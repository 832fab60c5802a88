// One update callback's transaction: reads its own writes through the overlay, checks versions and names, and can be rolled back alone.
import { SwarmError } from '../../proto/errors.ts'
import { InvariantError } from '../../proto/lib/assert.ts'
import type { Overlay, OverlayEntry } from './overlay.ts'
import { refuseHigherLevel } from './state.ts'
import type { Tx, VersionedTable } from './store.ts'
import { type IndexName, idOf, type Row, type TableName, tables } from './tables.ts'

export const changesMax = 200

export interface Versioned {
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

export class Transaction implements Tx {
  readonly nowMs: number
  /** What its rows get. */
  readonly #nextVersion: number
  readonly #overlay: Overlay
  readonly #entries: OverlayEntry[] = []
  #isOpen = true

  constructor(overlay: Overlay, nowMs: number) {
    this.#overlay = overlay
    this.nowMs = nowMs
    this.#nextVersion = overlay.version + 1
  }

  get version(): number {
    return this.#entries.length === 0 ? this.#nextVersion - 1 : this.#nextVersion
  }

  get<T extends TableName>(table: T, id: string): Row<T> | undefined {
    this.#checkOpen()
    return this.#overlay.get(table, id)
  }

  all<T extends TableName>(table: T): Iterable<Row<T>> {
    this.#checkOpen()
    return this.#overlay.all(table)
  }

  find<T extends TableName>(table: T, index: IndexName<T>, key: string): Iterable<Row<T>> {
    this.#checkOpen()
    return this.#overlay.find(table, index, key)
  }

  count(table: TableName): number {
    this.#checkOpen()
    return this.#overlay.count(table)
  }

  create<T extends TableName>(table: T, row: Row<T>): Row<T> {
    this.#checkOpen()
    const id = idOf(table, row)
    const before = this.#overlay.entries(table).get(id)
    if (this.#overlay.under(table, id, before) !== undefined) {
      throw new SwarmError(
        'ALREADY_EXISTS',
        `${tables[table].noun} ${id} exists already; choose another id or update it`,
        { details: { table, id } },
      )
    }
    this.#checkNames(table, id, row)
    const stamped = this.#stamped(table, row, this.nowMs)
    this.#write(table, id, stamped, before)
    return stamped
  }

  update<T extends VersionedTable>(table: T, row: Row<T>): Row<T> {
    this.#checkOpen()
    const id = idOf(table, row)
    const before = this.#overlay.entries(table).get(id)
    const old = existing(table, id, this.#overlay.under(table, id, before))
    checkVersion(table, old, row.version)
    if (table === 'cluster') checkLevel(old as Row<'cluster'>, row as Row<'cluster'>)
    this.#checkNames(table, id, row)
    const stamped = this.#stamped(table, row, (old as Versioned).createdAtMs)
    this.#write(table, id, stamped, before)
    return stamped
  }

  remove(table: TableName, id: string, version?: number): void {
    this.#checkOpen()
    const before = this.#overlay.entries(table).get(id)
    const old = existing(table, id, this.#overlay.under(table, id, before))
    if (version !== undefined) checkVersion(table, old, version)
    this.#write(table, id, undefined, before)
  }

  /** Ends it and returns what it wrote, a row once. */
  commit(): readonly OverlayEntry[] {
    this.#isOpen = false
    return this.#entries
  }

  /** Ends it and leaves the overlay as it was. */
  rollback(): void {
    this.#isOpen = false
    for (const entry of this.#entries.reverse()) this.#overlay.undo(entry)
  }

  #checkNames<T extends TableName>(table: T, id: string, row: Row<T>): void {
    const state = this.#overlay.state.table(table)
    for (const index of state.uniqueIndexes) {
      const key = state.keyIn(index, row)
      if (key === undefined) continue
      for (const other of this.#overlay.find(table, index as IndexName<T>, key)) {
        if (idOf(table, other) !== id) throw nameConflict(table, other)
      }
    }
  }

  #stamped<T extends TableName>(table: T, row: Row<T>, createdAtMs: number): Row<T> {
    if (!tables[table].versioned) return row
    return { ...row, version: this.#nextVersion, createdAtMs, updatedAtMs: this.nowMs }
  }

  #write<T extends TableName>(
    table: T,
    id: string,
    row: Row<T> | undefined,
    before: OverlayEntry<T> | undefined,
  ): void {
    if (before?.owner === this) {
      before.row = row
      return
    }
    if (this.#entries.length >= changesMax) throw tooManyChanges()
    const entry: OverlayEntry<T> = { owner: this, table, id, before, row }
    this.#overlay.entries(table).set(id, entry)
    this.#entries.push(entry as unknown as OverlayEntry)
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw new InvariantError('a transaction was used after its callback ended')
  }
}

function existing<T extends TableName>(table: T, id: string, row: Row<T> | undefined): Row<T> {
  if (row !== undefined) return row
  throw new SwarmError(
    'NOT_FOUND',
    `${tables[table].noun} ${id} does not exist; it may have been removed`,
    { details: { table, id } },
  )
}

function checkVersion<T extends TableName>(table: T, old: Row<T>, version: number): void {
  const stored = (old as Partial<Versioned>).version
  if (stored === undefined || stored === version) return
  throw new SwarmError(
    'OUT_OF_SEQUENCE',
    `update out of sequence: ${describe(table, old)} was changed meanwhile (version ${version} was given, ${stored} is current); read it again and repeat`,
    { details: { table, id: idOf(table, old), given: version, current: stored } },
  )
}

function nameConflict<T extends TableName>(table: T, other: Row<T>): SwarmError {
  const text = `name conflicts with an existing object: ${describe(table, other)} has this name; choose another`
  return new SwarmError('NAME_CONFLICT', text, { details: { table, id: idOf(table, other) } })
}

function checkLevel(old: Row<'cluster'>, row: Row<'cluster'>): void {
  refuseHigherLevel(row.featureLevel)
  if (row.featureLevel >= old.featureLevel) return
  throw new SwarmError(
    'FAILED_PRECONDITION',
    `cluster ${old.id}: the feature level cannot be lowered from ${old.featureLevel} to ${row.featureLevel}; keep it`,
  )
}

function tooManyChanges(): SwarmError {
  return new SwarmError(
    'RESOURCE_EXHAUSTED',
    `one update may change at most ${changesMax} objects; split it into several`,
  )
}

function describe<T extends TableName>(table: T, row: Row<T>): string {
  const { noun, label } = tables[table]
  const name = (label as (row: Row<T>) => string)(row)
  const id = idOf(table, row)
  return name === id ? `${noun} ${id}` : `${noun} "${name}" (${id})`
}
