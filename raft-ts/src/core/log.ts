// The log as the state machine sees it: durable entries behind a LogReader, the newest in memory, and the
// cursors over them. Knows nothing of roles or peers.
//
//   compacted | firstIndex ... applied <= applying <= commit ... last
//                              stable <= handed <= last
import { invariant, present } from './assert.ts'
import type { LogReader, RaftTuning, RestoredState } from './config.ts'
import { EntryCache, entryBytes } from './entry-cache.ts'
import { rules } from './rules.ts'
import { shiftWhile } from './shift-while.ts'
import type { Entry, Index, SnapshotMeta, Term } from './types.ts'

/** A Ready that is being made durable. */
interface Flight {
  readonly sequence: number
  /** The log is durable up to here once it is done; lowered when those entries are truncated. */
  last: Index
}

export class RaftLog {
  readonly #reader: LogReader
  readonly #tuning: RaftTuning
  readonly #cache: EntryCache
  #firstIndex: Index
  /** Term at firstIndex - 1, when known. */
  #floorTerm: Term | undefined
  #snapshot: SnapshotMeta | undefined
  #commit: Index
  #stable: Index
  #handed: Index
  #applying: Index
  #applied: Index
  /** Entries up to here no longer count as pending: durable and committed. */
  #settled: Index
  #pendingBytes = 0
  /** Bytes of the entries after #stable. */
  #unstableBytes = 0
  #flights: Flight[] = []
  #applies: { readonly index: Index; readonly bytes: number }[] = []
  #applyingBytes = 0

  constructor(reader: LogReader, tuning: RaftTuning, restored: RestoredState) {
    const { snapshot, lastIndex, hardState, repairing } = restored
    const snapshotIndex = snapshot?.index ?? 0
    invariant(lastIndex >= snapshotIndex, 'the log reaches to the snapshot', {
      lastIndex,
      snapshotIndex,
    })
    invariant(repairing || hardState.commit <= lastIndex, 'committed entries are in the log', {
      commit: hardState.commit,
      lastIndex,
    })
    this.#reader = reader
    this.#tuning = tuning
    this.#cache = new EntryCache(lastIndex + 1)
    this.#firstIndex = restored.firstIndex
    this.#snapshot = snapshot
    this.#commit = Math.max(Math.min(hardState.commit, lastIndex), snapshotIndex)
    this.#stable = lastIndex
    this.#handed = lastIndex
    this.#settled = lastIndex
    this.#applied = Math.max(restored.applied, snapshotIndex)
    this.#applying = this.#applied
    invariant(this.#applied <= this.#commit, 'only committed entries were applied', {
      applied: this.#applied,
      commit: this.#commit,
    })
  }

  get firstIndex(): Index {
    return this.#firstIndex
  }
  get lastIndex(): Index {
    return this.#cache.last
  }
  get lastTerm(): Term {
    const term = this.term(this.lastIndex)
    invariant(term !== undefined, 'the last term is known', { lastIndex: this.lastIndex })
    return term
  }
  get commit(): Index {
    return this.#commit
  }
  /** Highest index durable here. */
  get stable(): Index {
    return this.#stable
  }
  get applied(): Index {
    return this.#applied
  }
  /** Newest snapshot saved here or received. */
  get snapshot(): SnapshotMeta | undefined {
    return this.#snapshot
  }
  /** Bytes of entries that are not yet both durable here and committed. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Bytes of entries that are not yet durable here, committed or not. */
  get unstableBytes(): number {
    return this.#unstableBytes
  }

  /** The term of the entry at index; undefined when compacted or beyond the end. */
  term(index: Index): Term | undefined {
    if (index === 0) return 0
    if (index > this.lastIndex) return undefined
    const cached = this.#cache.get(index)
    if (cached !== undefined) return cached.term
    if (index === this.#snapshot?.index) return this.#snapshot.term
    if (index === this.#firstIndex - 1) return this.#floorTerm
    return index < this.#firstIndex ? undefined : this.#reader.term(index)
  }

  /** Whether the candidate's log is at least as complete as this one. Source: Raft paper 5.4.1. */
  isUpToDate(lastIndex: Index, lastTerm: Term): boolean {
    const ownTerm = this.lastTerm
    return lastTerm > ownTerm || (lastTerm === ownTerm && lastIndex >= this.lastIndex)
  }

  /**
   * Entries from..to, cut before bytesMax is exceeded but at least one. Undefined when `from` was compacted.
   * May read from storage what memory no longer holds.
   */
  entries(from: Index, to: Index, bytesMax: number): readonly Entry[] | undefined {
    invariant(from <= to && to <= this.lastIndex, 'entries are within the log', { from, to })
    if (from < this.#firstIndex) return undefined
    if (from >= this.#cache.first) return this.#cache.slice(from, to, bytesMax)
    const older = this.#reader.entries(from, Math.min(to, this.#cache.first - 1), bytesMax)
    if (older.length === 0) return undefined
    invariant(older[0]?.index === from, 'storage returns the entries asked for', { from })
    return older
  }

  /** Leader: appends to the end. */
  push(entry: Entry): void {
    const bytes = entryBytes(entry)
    this.#cache.push(entry)
    this.#pendingBytes += bytes
    this.#unstableBytes += bytes
  }

  /**
   * Whether a follower may take these entries into memory: its leader may send faster than its disk flushes.
   * What it has already costs nothing, and without anything unflushed there is always room, so that it gets on.
   */
  hasRoomFor(entries: readonly Entry[]): boolean {
    const room = this.#tuning.pendingBytesMax - this.#unstableBytes
    if (this.#unstableBytes === 0 || sumBytes(entries) <= room) return true
    const added = entries.filter((entry) => !rules.holds(this.term(entry.index), entry.term))
    return added.length === 0 || sumBytes(added) <= room
  }

  /**
   * Follower: appends the entries that follow a matching one, truncating a conflicting suffix.
   * Returns those that were new. Source: Raft paper figure 2, AppendEntries 3 and 4.
   */
  merge(entries: readonly Entry[]): readonly Entry[] {
    const newFrom = entries.findIndex((entry) => !rules.holds(this.term(entry.index), entry.term))
    if (newFrom === -1) return []
    const added = entries.slice(newFrom)
    const first = present(added[0], 'entry')
    if (first.index <= this.lastIndex) this.#truncateFrom(first.index)
    for (const entry of added) this.push(entry)
    return added
  }

  /**
   * The highest index at or below `index` whose term is not above `term`: where a log with this term at that
   * index may still agree. Cost: one term lookup a step. Returns its term too, 0 when it is unknown.
   */
  findByTerm(index: Index, term: Term): { readonly index: Index; readonly term: Term } {
    let at = Math.min(index, this.lastIndex)
    while (at > 0) {
      const found = this.term(at)
      if (found === undefined) return { index: at, term: 0 }
      if (found <= term) return { index: at, term: found }
      at -= 1
    }
    return { index: 0, term: 0 }
  }

  /** Raises the commit index. Returns whether it rose. */
  commitTo(index: Index): boolean {
    if (index <= this.#commit) return false
    invariant(index <= this.lastIndex, 'committed entries are in the log', { index })
    this.#commit = index
    this.#settle()
    return true
  }

  /** Replaces the whole log by a snapshot. */
  restore(meta: SnapshotMeta): void {
    invariant(meta.index > this.#commit, 'a snapshot only moves forward', { index: meta.index })
    this.#cache.reset(meta.index + 1)
    this.#firstIndex = meta.index + 1
    this.#floorTerm = meta.term
    this.#snapshot = meta
    this.#commit = meta.index
    this.#handed = meta.index
    this.#applying = meta.index
    this.#settled = meta.index
    this.#pendingBytes = 0
    this.#unstableBytes = 0
    // Nothing of the new log is durable yet, whatever flushes under way report.
    this.#stable = 0
    for (const flight of this.#flights) flight.last = 0
  }

  /** Newer snapshot of the own state machine. */
  saved(meta: SnapshotMeta): void {
    invariant(meta.index <= this.#applied, 'a snapshot holds only what was applied', {
      index: meta.index,
      applied: this.#applied,
    })
    if (meta.index > (this.#snapshot?.index ?? 0)) this.#snapshot = meta
  }

  /** Entries up to and including index can no longer be read. */
  compact(index: Index): void {
    if (index < this.#firstIndex) return
    invariant(index <= (this.#snapshot?.index ?? 0), 'a snapshot covers what is compacted', {
      index,
      snapshot: this.#snapshot?.index,
    })
    this.#floorTerm = this.term(index)
    this.#firstIndex = index + 1
    this.#cache.dropThrough(index)
  }

  get hasUnhanded(): boolean {
    return this.#handed < this.lastIndex
  }

  /** Entries not yet handed to storage. */
  takeUnhanded(): readonly Entry[] {
    if (!this.hasUnhanded) return []
    const from = this.#handed + 1
    this.#handed = this.lastIndex
    return this.#cache.slice(from, this.lastIndex, Number.POSITIVE_INFINITY)
  }

  /** Remembers that the Ready with this sequence carries the log up to its present end. */
  handedIn(sequence: number): void {
    this.#flights.push({ sequence, last: this.lastIndex })
  }

  /** All up to this sequence is durable. */
  persisted(sequence: number): void {
    for (const flight of shiftWhile(this.#flights, (at) => at.sequence <= sequence)) {
      this.#stabilize(flight.last)
    }
    this.#settle()
  }

  get hasCommitted(): boolean {
    if (this.#applyingBytes >= this.#tuning.applyingBytesMax) return false
    return this.#applying < Math.min(this.#commit, this.#stable)
  }

  /** The next entries to apply: committed, durable, within the bound of what is being applied. */
  takeCommitted(): readonly Entry[] {
    if (!this.hasCommitted) return []
    const room = this.#tuning.applyingBytesMax - this.#applyingBytes
    const to = Math.min(this.#commit, this.#stable)
    const taken = this.entries(this.#applying + 1, to, room)
    invariant(taken !== undefined, 'entries are compacted only after they were applied', { to })
    const bytes = sumBytes(taken)
    this.#applying += taken.length
    this.#applies.push({ index: this.#applying, bytes })
    this.#applyingBytes += bytes
    return rules.inOrder(taken)
  }

  appliedTo(index: Index): void {
    invariant(index <= this.#applying, 'only what was handed out is applied', {
      index,
      applying: this.#applying,
    })
    this.#applied = Math.max(this.#applied, index)
    const done = shiftWhile(this.#applies, (apply) => apply.index <= index)
    for (const { bytes } of done) this.#applyingBytes -= bytes
  }

  #truncateFrom(index: Index): void {
    invariant(index > this.#commit, 'committed entries are never truncated', {
      index,
      commit: this.#commit,
    })
    for (let at = Math.max(index, this.#settled + 1); at <= this.lastIndex; at++) {
      this.#pendingBytes -= entryBytes(present(this.#cache.get(at), 'entry'))
    }
    for (let at = Math.max(index, this.#stable + 1); at <= this.lastIndex; at++) {
      this.#unstableBytes -= entryBytes(present(this.#cache.get(at), 'entry'))
    }
    this.#cache.truncateFrom(index)
    this.#handed = Math.min(this.#handed, index - 1)
    this.#stable = Math.min(this.#stable, index - 1)
    this.#settled = Math.min(this.#settled, index - 1)
    for (const flight of this.#flights) flight.last = Math.min(flight.last, index - 1)
  }

  #stabilize(last: Index): void {
    // After a restore, entries at and below the snapshot were never in this log.
    for (let at = Math.max(this.#stable + 1, this.#cache.first); at <= last; at++) {
      this.#unstableBytes -= entryBytes(present(this.#cache.get(at), 'entry'))
    }
    this.#stable = Math.max(this.#stable, last)
  }

  #settle(): void {
    const settled = Math.min(this.#commit, this.#stable)
    for (let at = this.#settled + 1; at <= settled; at++) {
      this.#pendingBytes -= entryBytes(present(this.#cache.get(at), 'entry'))
    }
    this.#settled = Math.max(this.#settled, settled)
    this.#cache.trim(this.#tuning.cacheBytesMax, this.#settled)
  }
}

function sumBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entryBytes(entry), 0)
}
