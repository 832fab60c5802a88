// Who watches what: each change is looked up once by table, id and index key, so that ten thousand watchers of one node each cost a
// commit nothing. A slow watcher loses its subscription, never the store its memory.
import { BoundedQueue } from '../../proto/lib/queue.ts'
import {
  type Change,
  type Commit,
  WatchLagged,
  type WatchOptions,
  type WatchSelector,
} from './store.ts'
import type { TableState } from './table-state.ts'
import { idOf, type TableName } from './tables.ts'

interface Watcher {
  readonly queue: BoundedQueue<Commit>
  readonly unsubscribe: () => void
  /** Changes of the commit being published. */
  pending: Change[] | undefined
}

/** Watchers of one table. */
interface Interest {
  readonly all: Set<Watcher>
  readonly byId: Map<string, Set<Watcher>>
  readonly byKey: Map<string, Map<string, Set<Watcher>>>
}

/** Must not throw, and has to be quick: everything waits for it. */
export type CommitListener = (commit: Commit | undefined) => void

type TableLookup = <T extends TableName>(table: T) => TableState<T>

export class WatchHub {
  readonly #interests = new Map<TableName, Interest>()
  readonly #watchers = new Set<Watcher>()
  readonly #listeners = new Set<CommitListener>()
  readonly #table: TableLookup

  /** `table` finds the keys of rows. */
  constructor(table: TableLookup) {
    this.#table = table
  }

  watch(selector: WatchSelector, { signal, bufferMax }: WatchOptions): AsyncIterable<Commit> {
    const queue = new BoundedQueue<Commit>(bufferMax)
    const leave: (() => void)[] = []
    const unsubscribe = (): void => {
      for (const fn of leave) fn()
      queue.close()
    }
    const watcher: Watcher = { queue, unsubscribe, pending: undefined }
    this.#subscribe(watcher, selector, leave)
    if (signal.aborted) unsubscribe()
    else signal.addEventListener('abort', unsubscribe, { once: true })
    leave.push(() => signal.removeEventListener('abort', unsubscribe))
    return iterate(queue, unsubscribe, signal)
  }

  /** Calls the listener within each commit, and with undefined when the state was replaced; the result ends that. */
  listen(listener: CommitListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  publish(commit: Commit): void {
    for (const listener of this.#listeners) listener(commit)
    if (this.#watchers.size === 0) return
    const touched: Watcher[] = []
    for (const change of commit.changes) {
      const interest = this.#interests.get(change.table)
      if (interest !== undefined) this.#collect(change, interest, touched)
    }
    for (const watcher of touched) {
      const changes = watcher.pending ?? []
      watcher.pending = undefined
      const isWhole = changes.length === commit.changes.length
      const offer = watcher.queue.offer(isWhole ? commit : { ...commit, changes })
      if (offer === 'full') end(watcher, 'its buffer is full')
    }
  }

  /** Ends all subscriptions: the state was replaced. */
  endAll(reason: string): void {
    for (const watcher of [...this.#watchers]) end(watcher, reason)
    for (const listener of this.#listeners) listener(undefined)
  }

  #subscribe(watcher: Watcher, selector: WatchSelector, leave: (() => void)[]): void {
    this.#watchers.add(watcher)
    leave.push(() => this.#watchers.delete(watcher))
    for (const [table, keys] of Object.entries(selector)) {
      const interest = this.#interest(table as TableName)
      if (keys === 'all') {
        interest.all.add(watcher)
        leave.push(() => interest.all.delete(watcher))
      } else if ('ids' in keys) join(interest.byId, keys.ids, watcher, leave)
      else join(nested(interest.byKey, keys.index), keys.keys, watcher, leave)
    }
  }

  #interest(table: TableName): Interest {
    let interest = this.#interests.get(table)
    if (interest === undefined) {
      interest = { all: new Set(), byId: new Map(), byKey: new Map() }
      this.#interests.set(table, interest)
    }
    return interest
  }

  #collect(change: Change, interest: Interest, touched: Watcher[]): void {
    collectFrom(interest.all, change, touched)
    if (interest.byId.size > 0) {
      const id = idOf(change.table, change.object)
      collectFrom(interest.byId.get(id), change, touched)
    }
    for (const [index, byKey] of interest.byKey) {
      if (byKey.size === 0) continue
      const state = this.#table(change.table) as TableState<TableName>
      const key = state.keyIn(index, change.object)
      if (key !== undefined) collectFrom(byKey.get(key), change, touched)
      const oldKey = change.kind === 'update' ? state.keyIn(index, change.old) : key
      if (oldKey !== undefined && oldKey !== key) collectFrom(byKey.get(oldKey), change, touched)
    }
  }
}

function collectFrom(watchers: Set<Watcher> | undefined, change: Change, touched: Watcher[]): void {
  if (watchers === undefined) return
  for (const watcher of watchers) {
    if (watcher.pending === undefined) {
      watcher.pending = [change]
      touched.push(watcher)
    } else if (watcher.pending.at(-1) !== change) watcher.pending.push(change)
  }
}

function end(watcher: Watcher, reason: string): void {
  watcher.queue.drain()
  watcher.queue.close(new WatchLagged(reason))
  watcher.unsubscribe()
}

function join(
  map: Map<string, Set<Watcher>>,
  keys: readonly string[],
  watcher: Watcher,
  leave: (() => void)[],
): void {
  for (const key of keys) {
    const set = map.get(key) ?? new Set()
    map.set(key, set.add(watcher))
    leave.push(() => {
      set.delete(watcher)
      if (set.size === 0 && map.get(key) === set) map.delete(key)
    })
  }
}

function nested<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V> {
  const inner = map.get(key) ?? new Map<string, V>()
  map.set(key, inner)
  return inner
}

function iterate(
  queue: BoundedQueue<Commit>,
  unsubscribe: () => void,
  signal: AbortSignal,
): AsyncIterable<Commit> {
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for await (const commit of queue) {
          if (signal.aborted) return
          yield commit
        }
      } finally {
        unsubscribe()
      }
    },
  }
}
