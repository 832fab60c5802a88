// What the rest of the manager sees of the store: views, updates, watches. Types only; replicated-store
// is the implementation, memory-store the same over a proposer without Raft.
import type { IndexName, Row, TableName, VersionedTable } from './tables.ts'

export type { IndexName, Row, TableName, VersionedTable } from './tables.ts'

/** A consistent state. Valid only while the callback that got it runs. */
export interface ReadTx {
  /** Cluster time. */
  readonly nowMs: number
  /** Store-wide version of the last change in this view. */
  readonly version: number
  get<T extends TableName>(table: T, id: string): Row<T> | undefined
  /** In order of creation. Do not change the table while iterating. */
  all<T extends TableName>(table: T): Iterable<Row<T>>
  find<T extends TableName>(table: T, index: IndexName<T>, key: string): Iterable<Row<T>>
  /** O(1) in a view, O(own changes) in an update. */
  count(table: TableName): number
}

/** A view that can be written to. Reads its own writes. */
export interface Tx extends ReadTx {
  /**
   * Adds a row and returns it as stored, with version, createdAtMs and updatedAtMs set.
   * Errors: ALREADY_EXISTS (id), NAME_CONFLICT (unique index).
   */
  create<T extends TableName>(table: T, row: Row<T>): Row<T>
  /**
   * Replaces a row and returns it as stored. `row.version` must be the stored one.
   * Errors: NOT_FOUND, OUT_OF_SEQUENCE, NAME_CONFLICT.
   */
  update<T extends VersionedTable>(table: T, row: Row<T>): Row<T>
  /** Errors: NOT_FOUND; OUT_OF_SEQUENCE when a version is given and is not the stored one. */
  remove(table: TableName, id: string, version?: number): void
}

export interface UpdateOptions {
  /** Made by the client. Within 10 minutes a repeat returns the first result and changes nothing. */
  readonly requestId?: string
  /** What the request is; a repeat of its id with another method is refused. */
  readonly method?: string
}

type ChangeOf<T extends TableName> =
  | { readonly kind: 'create'; readonly table: T; readonly object: Row<T> }
  | {
      readonly kind: 'update'
      readonly table: T
      readonly object: Row<T>
      readonly old: Row<T>
    }
  | { readonly kind: 'remove'; readonly table: T; readonly object: Row<T> }

/** One row that changed; of a removed row, `object` is what it was. */
export type Change<T extends TableName = TableName> = T extends TableName ? ChangeOf<T> : never

/** What one Raft entry changed, as far as the watcher asked for it. */
export interface Commit {
  /** Raft index. */
  readonly index: number
  /** Store-wide version after it. */
  readonly version: number
  /** Cluster time. */
  readonly nowMs: number
  /** In the order they were made; a row may occur more than once. */
  readonly changes: readonly Change[]
}

/** Rows of a table: all, those with these ids, or those with these index keys (before or after the change). */
export type WatchKeys<T extends TableName> =
  | 'all'
  | { readonly ids: readonly string[] }
  | { readonly index: IndexName<T>; readonly keys: readonly string[] }

export type WatchSelector = { readonly [T in TableName]?: WatchKeys<T> }

export interface WatchOptions {
  /** Ends the iteration without an error. */
  readonly signal: AbortSignal
  /** Commits that may wait; one more ends the iteration with WatchLagged. */
  readonly bufferMax: number
}

/** The watcher missed commits: it has to subscribe again and read everything it depends on. */
export class WatchLagged extends Error {
  constructor(reason: string) {
    super(`watch ended: ${reason}; read again`)
    this.name = 'WatchLagged'
  }
}

/** Rows one after another; to be read to the end or closed. */
export interface RowSource<R> {
  /** Undefined at the end. */
  next(): R | undefined
  close(): void
}

export interface Store {
  /** Raft index of the last applied entry. */
  readonly appliedIndex: number
  /** Runs fn on the applied state. Cheap: nothing is copied. */
  view<T>(fn: (tx: ReadTx) => T): T
  /**
   * Runs fn on the leader and resolves with its result once this node applied its changes. When fn throws, nothing
   * is changed and the promise rejects with what it threw. fn must be synchronous and make at most 200 changes; with
   * a requestId its result must be JSON.
   * Errors: NOT_LEADER (nothing was proposed, repeat it at the leader), OUTCOME_UNKNOWN (it may have been or may still be
   * applied), RESOURCE_EXHAUSTED (too large, or too many are waiting).
   */
  update<T>(fn: (tx: Tx) => T, options?: UpdateOptions): Promise<T>
  /**
   * The rows of a table as they are now, to be read bit by bit whatever is committed meanwhile: what changes before it was read
   * is kept until then.
   */
  rows<T extends TableName>(table: T): RowSource<Row<T>>
  /**
   * Commits from now on that touch the selection; subscribed when this returns, so that a view in the same tick
   * leaves no gap. For one consumer. Errors while iterating: WatchLagged.
   */
  watch(selector: WatchSelector, options: WatchOptions): AsyncIterable<Commit>
}
