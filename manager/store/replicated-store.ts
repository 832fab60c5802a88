// The store: the applied state behind views and watches, group commit in front of Raft. The Raft shell drives it through apply,
// startTerm, endTerm, snapshot and restore, in order and never concurrently.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { invariant } from '../../proto/lib/assert.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import { ClusterTime } from './cluster-time.ts'
import { decodeEntry } from './entry-codec.ts'
import { GroupCommit } from './group-commit.ts'
import type { Proposer, StoreEntry } from './proposer.ts'
import { createIntern, type Intern } from './row-codec.ts'
import { type Breathe, decodeSnapshot, encodeSnapshot } from './snapshot.ts'
import { State, StateReader } from './state.ts'
import type {
  Commit,
  ReadTx,
  Row,
  RowSource,
  Store,
  TableName,
  Tx,
  UpdateOptions,
  WatchOptions,
  WatchSelector,
} from './store.ts'
import { type CommitListener, WatchHub } from './watch-hub.ts'

/** About 5 ms of applying. */
const sliceBytes = 128 * 2 ** 10

export interface ReplicatedStoreDeps {
  readonly proposer: Proposer
  readonly clock: Clock
  readonly random: Random
  /** How a snapshot lets others run between slices; the event loop's next turn when left out. */
  readonly breathe?: Breathe
}

export class ReplicatedStore implements Store {
  readonly #state = new State()
  readonly #time: ClusterTime
  readonly #reader: ReadTx
  readonly #commits: GroupCommit
  readonly #hub: WatchHub
  readonly #breathe: Breathe
  readonly #intern: Intern = createIntern()
  #appliedIndex = 0

  constructor({ proposer, clock, random, breathe }: ReplicatedStoreDeps) {
    this.#time = new ClusterTime(clock)
    const nowMs = (): number => this.#time.nowMs()
    this.#reader = new StateReader(this.#state, nowMs)
    const origin = newId(random)
    this.#commits = new GroupCommit({ state: this.#state, proposer, clock, origin, nowMs })
    this.#hub = new WatchHub((table) => this.#state.table(table))
    this.#breathe = breathe ?? (async () => nextTurn())
  }

  get appliedIndex(): number {
    return this.#appliedIndex
  }

  /** Whether updates are taken. */
  get isLeader(): boolean {
    return this.#commits.isLeader
  }

  view<T>(fn: (tx: ReadTx) => T): T {
    return fn(this.#reader)
  }

  update<T>(fn: (tx: Tx) => T, options: UpdateOptions = {}): Promise<T> {
    return this.#commits.update(fn, options)
  }

  rows<T extends TableName>(table: T): RowSource<Row<T>> {
    return this.#state.table(table).walk()
  }

  watch(selector: WatchSelector, options: WatchOptions): AsyncIterable<Commit> {
    return this.#hub.watch(selector, options)
  }

  /**
   * Calls the listener within the application of each commit, before anybody can look at the state after it, and with undefined when
   * the state was replaced by a snapshot; the result ends that. Everything waits for it: it must be quick, and must not throw.
   */
  onCommit(listener: CommitListener): () => void {
    return this.#hub.listen(listener)
  }

  /**
   * Applies a committed entry; each index once, in order.
   * Errors: DATA_LOSS, UNSUPPORTED: this node cannot go on.
   */
  apply({ index, term, data }: StoreEntry): void {
    invariant(index > this.#appliedIndex, 'an entry was applied twice', {
      index,
      appliedIndex: this.#appliedIndex,
    })
    if (data.length > 0) this.#applyData(index, term, data)
    else this.#appliedIndex = index
  }

  /**
   * Applies a run of committed entries; when it is long, in slices that let others run, and then the promise holds back what
   * comes behind.
   */
  applyAll(entries: readonly StoreEntry[]): void | Promise<void> {
    let bytes = 0
    for (const [position, entry] of entries.entries()) {
      this.apply(entry)
      bytes += entry.data.length
      if (bytes < sliceBytes || position === entries.length - 1) continue
      const rest = entries.slice(position + 1)
      return this.#breathe().then(() => this.applyAll(rest))
    }
  }

  /** This node leads: call it once an entry of its own term was applied. */
  startTerm(term: number): void {
    this.#time.startTerm()
    this.#commits.startTerm(term)
  }

  /** This node leads no more. Waiting updates end with NOT_LEADER, proposed ones with OUTCOME_UNKNOWN. */
  endTerm(): void {
    this.#commits.endTerm()
  }

  /** The state as of now, in chunks of about 128 KiB that are encoded as they are read. */
  snapshot(): AsyncIterable<Uint8Array> {
    return encodeSnapshot(this.#state, this.#breathe)
  }

  /**
   * Replaces the state by a snapshot taken at that index; watches end with WatchLagged. Until it resolves the old state is served.
   * Errors: DATA_LOSS, UNSUPPORTED; the state is then as before.
   */
  async restore(index: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const restored = await decodeSnapshot(chunks, this.#breathe)
    this.endTerm()
    this.#state.replaceBy(restored)
    this.#time.committed(restored.stampMs, false)
    this.#appliedIndex = index
    this.#hub.endAll('the state was replaced by a snapshot')
  }

  #applyData(index: number, term: number, data: Uint8Array): void {
    const own = this.#commits.ownBatch(data)
    const entry = own ? { ...own.header, transactions: own.transactions } : this.#decode(data)
    this.#appliedIndex = index
    if (entry.term !== term || entry.baseVersion !== this.#state.version) {
      if (own !== undefined) this.#commits.voided(own, term)
      return
    }
    const changes = this.#state.apply(entry.transactions, entry.nowMs)
    this.#time.committed(this.#state.stampMs, own !== undefined)
    const { version, stampMs: nowMs } = this.#state
    if (changes.length > 0) this.#hub.publish({ index, version, nowMs, changes })
    if (own !== undefined) this.#commits.applied()
  }

  #decode(data: Uint8Array): ReturnType<typeof decodeEntry> {
    return decodeEntry(data, this.#intern)
  }
}
