// The replicated state, and the one way it changes: by applying transactions. Deterministic; leader, followers and restored nodes run the same code.
import { SwarmError } from '../../proto/errors.ts'
import { featureLevel } from '../../proto/objects/feature-level.ts'
import { RequestTable } from './request-table.ts'
import type { Change, ReadTx } from './store.ts'
import { TableState } from './table-state.ts'
import { type IndexName, type Row, type TableName, tableNames } from './tables.ts'

/** A row as it is to be; undefined: it is to go. */
export type Write<T extends TableName = TableName> = T extends TableName
  ? { readonly table: T; readonly id: string; readonly row: Row<T> | undefined }
  : never

export interface RequestResult {
  readonly id: string
  readonly method: string
  readonly resultJson: string | undefined
}

export interface Transaction {
  readonly writes: readonly Write[]
  readonly request: RequestResult | undefined
}

type TableStates = { readonly [T in TableName]: TableState<T> }

export class State {
  requests = new RequestTable()
  version = 0
  /** Stamp of the last entry. */
  stampMs = 0
  #tables: TableStates

  constructor() {
    this.#tables = Object.fromEntries(
      tableNames.map((name) => [name, new TableState(name)]),
    ) as unknown as TableStates
  }

  table<T extends TableName>(name: T): TableState<T> {
    return this.#tables[name] as unknown as TableState<T>
  }

  /**
   * The cluster's level: entries and snapshots are written at it, so that managers which do not know a higher one yet
   * can read them. 0 before there is a cluster.
   */
  get featureLevel(): number {
    for (const cluster of this.table('cluster').rows()) return cluster.featureLevel
    return 0
  }

  /**
   * Applies what one entry holds and returns what it changed.
   * Errors: UNSUPPORTED when the cluster has moved to a feature level this program does not know.
   */
  apply(transactions: readonly Transaction[], nowMs: number): readonly Change[] {
    const changes: Change[] = []
    this.stampMs = Math.max(this.stampMs, nowMs)
    for (const { writes, request } of transactions) {
      this.version += 1
      for (const write of writes) {
        const change = this.write(write)
        if (change !== undefined) changes.push(change)
      }
      if (request !== undefined) this.requests.add({ ...request, atMs: this.stampMs })
    }
    return changes
  }

  /** Becomes the other state, which must not be used any more. */
  replaceBy(other: State): void {
    this.requests = other.requests
    this.version = other.version
    this.stampMs = other.stampMs
    this.#tables = other.#tables
  }

  /** One write; undefined when it removed what was not there. */
  write({ table, id, row }: Write): Change | undefined {
    const state = this.table(table)
    if (row === undefined) {
      const object = state.remove(id)
      return object && ({ kind: 'remove', table, object } as Change)
    }
    if (table === 'cluster') refuseHigherLevel((row as Row<'cluster'>).featureLevel)
    const old = state.put(id, row)
    if (old === undefined) return { kind: 'create', table, object: row } as Change
    return { kind: 'update', table, object: row, old } as Change
  }
}

/** Errors: UNSUPPORTED. */
export function refuseHigherLevel(level: number): void {
  if (level <= featureLevel) return
  throw new SwarmError(
    'UNSUPPORTED',
    `the cluster is at feature level ${level}, this program knows ${featureLevel}: upgrade tsswarm on this manager`,
    { details: { level, known: featureLevel } },
  )
}

/** Reads of the applied state. */
export class StateReader implements ReadTx {
  readonly #state: State
  readonly #nowMs: () => number

  constructor(state: State, nowMs: () => number) {
    this.#state = state
    this.#nowMs = nowMs
  }

  get nowMs(): number {
    return this.#nowMs()
  }

  get version(): number {
    return this.#state.version
  }

  get<T extends TableName>(table: T, id: string): Row<T> | undefined {
    return this.#state.table(table).get(id)
  }

  all<T extends TableName>(table: T): Iterable<Row<T>> {
    return this.#state.table(table).rows()
  }

  find<T extends TableName>(table: T, index: IndexName<T>, key: string): Iterable<Row<T>> {
    return this.#state.table(table).find(index, key)
  }

  count(table: TableName): number {
    return this.#state.table(table).size
  }
}
