// The durable log of one node: appends with group commit, rotation, compaction by whole segments,
// and reads of what is durable. Opening is open-storage.ts; the state machine is not in here.
import type { ConfAt, LogReader } from '../core/config.ts'
import { entryBytes } from '../core/entry-cache.ts'
import type { Entry, HardState, Index, Term } from '../core/types.ts'
import { type Batch, encodeBatch } from './batch.ts'
import {
  appendAndSync,
  type Created,
  type Disk,
  type DiskFile,
  type Done,
  type Journal,
} from './disk.ts'
import { LogFailedError } from './errors.ts'
import type { Keyring } from './keyring.ts'
import type { LogIndex } from './log-index.ts'
import { PendingBatch } from './pending-batch.ts'
import { frameRecord, recordBytes } from './record.ts'
import { RecordReader } from './record-reader.ts'
import type { Segment } from './replay.ts'
import type { Sealer } from './seal.ts'
import { encodeSegmentHeader, type SegmentEnd, segmentHeaderBytes, segmentName } from './segment.ts'
import type { VoteCopy } from './vote-copy.ts'

/** Where to go on: what replayLog found. */
export interface LogStart {
  readonly index: LogIndex
  readonly segments: readonly Segment[]
  readonly previous: SegmentEnd | undefined
  readonly nextSequence: number
  readonly votes: VoteCopy
}

/** A segment grows in steps of this size: writing the zeros ahead costs little beside what it spares each flush. */
const journalStepBytes = 1024 * 1024

interface ActiveSegment {
  readonly file: DiskFile
  readonly keyId: number
  readonly sealer: Sealer
  end: SegmentEnd
}

/** The log and hard state of one member on disk: sealed, segmented, flushed in batches. */
export class DurableLog implements LogReader {
  readonly #disk: Disk
  readonly #keyring: Keyring
  readonly #segmentBytesMax: number
  readonly #journal: Journal
  readonly #index: LogIndex
  readonly #records: RecordReader
  readonly #votes: VoteCopy
  readonly #pending = new PendingBatch()
  /** All that count, ascending; the active one is last. */
  #segments: Segment[]
  #active: ActiveSegment | undefined
  /** Data key of the segment that is being begun. */
  #beginningKeyId: number | undefined
  /** What the next segment continues. */
  #previous: SegmentEnd | undefined
  #nextSequence: number
  #isFlushing = false
  #removals: Segment[] = []
  #isRemoving = false
  #closing: Done | undefined
  #failure: Error | undefined
  #appendedBytes: number
  #onRemoved: () => void = () => {}

  constructor(disk: Disk, keyring: Keyring, start: LogStart, segmentBytesMax: number) {
    this.#disk = disk
    this.#keyring = keyring
    this.#segmentBytesMax = segmentBytesMax
    const stepBytes = Math.min(journalStepBytes, segmentBytesMax)
    this.#journal = { stepBytes, bytesMax: segmentBytesMax }
    this.#index = start.index
    this.#segments = [...start.segments]
    this.#previous = start.previous
    this.#nextSequence = start.nextSequence
    this.#votes = start.votes
    this.#appendedBytes = this.bytes
    this.#records = new RecordReader(disk, keyring)
    for (const { sequence, keyId } of start.segments) this.#records.keyOf(sequence, keyId)
  }

  /** First durable entry that can be read; lastIndex + 1 when there is none. */
  get firstIndex(): Index {
    return this.#index.firstIndex
  }
  /** Last durable entry. */
  get lastIndex(): Index {
    return this.#index.lastIndex
  }
  /** The durable hard state. */
  get hardState(): HardState {
    return this.#index.hardState
  }
  /** Durable configuration entries, ascending. */
  get confs(): readonly ConfAt[] {
    return this.#index.confs
  }
  /** Bytes of all segments. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0)
  }
  /** Bytes ever appended, as far as known: rises with every flush and never falls. */
  get appendedBytes(): number {
    return this.#appendedBytes
  }
  /** Where the log ends; undefined while it is empty. */
  get end(): SegmentEnd | undefined {
    return this.#active?.end ?? this.#previous
  }

  /** Data keys that seal its segments, those that are being begun or removed included. */
  get keyIds(): ReadonlySet<number> {
    const keyIds = [...this.#segments, ...this.#removals].map(({ keyId }) => keyId)
    if (this.#beginningKeyId !== undefined) keyIds.push(this.#beginningKeyId)
    return new Set(keyIds)
  }

  /** Calls `listener` whenever a segment was removed. */
  onRemoved(listener: () => void): void {
    this.#onRemoved = listener
  }

  /** Takes nothing more: something else in the directory failed. */
  fail(err: Error): void {
    this.#failure ??= err
    this.#dropPending(err)
  }

  /**
   * Makes a batch durable; calls back in the order of the calls. All that is appended while a flush
   * is under way rides the next one. Errors: the disk's, once; LogFailedError ever after.
   */
  append(batch: Batch, done: Done): void {
    if (this.#failure !== undefined) {
      done(new LogFailedError(this.#failure))
      return
    }
    this.#pending.add(batch, done)
    this.#flush()
  }

  /** Remembers a hard state of which only the commit index changed: it rides the next flush. */
  note(hardState: HardState): void {
    if (this.#failure === undefined) this.#pending.add({ hardState, entries: [] }, undefined)
  }

  /** The entry's term, without reading the disk; undefined when the log has no such entry. */
  term(index: Index): Term | undefined {
    return this.#index.term(index)
  }

  /** Throws DamagedLogError, DiskError. */
  entries(from: Index, to: Index, maxBytes: number): readonly Entry[] {
    const found: Entry[] = []
    let bytes = 0
    let next = from
    while (next <= to) {
      const located = this.#index.locate(next)
      if (located === undefined) return found
      const until = Math.min(located.last, to)
      for (const entry of this.#records.entries(located.place, next, until)) {
        bytes += entryBytes(entry)
        if (bytes > maxBytes && found.length > 0) return found
        found.push(entry)
      }
      next = until + 1
    }
    return found
  }

  /** The entry after which the log's newest segments take at most `bytes`, whole segments counted; 0: all do. */
  indexKeeping(bytes: number): Index {
    let sum = 0
    for (const segment of this.#segments.toReversed()) {
      sum += segment.bytes
      if (sum > bytes) return this.#index.lastIn(segment.sequence) ?? 0
    }
    return 0
  }

  /** Deletes segments that hold nothing above `through`. Those entries can no longer be read. */
  compact(through: Index): void {
    while (this.#segments.length > 1) {
      const oldest = this.#segments[0] as Segment
      const last = this.#index.lastIn(oldest.sequence)
      if (last !== undefined && last > through) break
      this.#index.dropThrough(oldest.sequence)
      this.#segments.shift()
      this.#removals.push(oldest)
    }
    this.#removeNext()
  }

  /** Writes what waits and closes. `done` gets the first failure. */
  close(done: Done): void {
    this.#closing = done
    this.#flush()
  }

  #flush(): void {
    const isDue = this.#pending.isAwaited || this.#closing !== undefined
    if (this.#isFlushing || this.#failure !== undefined || !isDue || this.#pending.isEmpty) {
      this.#finish()
      return
    }
    this.#isFlushing = true
    const { batch, dones } = this.#pending.take()
    this.#writeWithVote(batch, (err) => {
      this.#isFlushing = false
      if (err === undefined) this.#settleVote()
      else this.#failure ??= err
      for (const done of dones) done(err)
      if (err !== undefined) this.#dropPending(err)
      this.#flush()
    })
  }

  /** Not at open, when the log's own tail is written anew before what only the copy holds. */
  #settleVote(): void {
    if (this.#votes.lacks(this.#index.hardState)) return
    this.#votes.settle((err) => this.fail(err))
  }

  /** A new term or vote goes into the copy too, at the same time; nobody is called back before both are durable. */
  #writeWithVote(batch: Batch, done: Done): void {
    const { hardState } = batch
    if (hardState === undefined || !this.#votes.lacks(hardState)) {
      this.#write(batch, done)
      return
    }
    let waiting = 2
    let failure: Error | undefined
    const both = (err?: Error): void => {
      failure ??= err
      waiting -= 1
      if (waiting === 0) done(failure)
    }
    this.#votes.write(hardState, both)
    this.#write(batch, both)
  }

  #write(batch: Batch, done: Done): void {
    const plain = encodeBatch(batch)
    const active = this.#active
    if (active !== undefined && this.#fits(active, plain.length)) {
      this.#writeRecord(active, { batch, plain }, done)
      return
    }
    this.#rotate((err, next) => {
      if (next === undefined) return done(err)
      const whole = { ...batch, hardState: batch.hardState ?? this.#index.hardState }
      this.#writeRecord(next, { batch: whole, plain: encodeBatch(whole) }, done)
    })
  }

  #fits({ keyId, end }: ActiveSegment, plainBytes: number): boolean {
    if (keyId !== this.#keyring.currentId) return false
    return end.offset + recordBytes(plainBytes) <= this.#segmentBytesMax
  }

  #writeRecord(
    active: ActiveSegment,
    record: { readonly batch: Batch; readonly plain: Uint8Array },
    done: Done,
  ): void {
    const last = record.batch.entries.at(-1)
    const place = {
      kind: 'log',
      index: last?.index ?? this.#index.lastIndex,
      term: last?.term ?? record.batch.hardState?.term ?? 0,
      part: 0,
    } as const
    const start = active.end
    const framed = frameRecord(active.sealer, place, record.plain, start.chain)
    appendAndSync(active.file, framed.bytes, (err) => {
      if (err !== undefined) return done(err)
      const { sequence, offset } = start
      const length = framed.bytes.length
      active.end = { sequence, offset: offset + length, chain: framed.chain }
      this.#appendedBytes += length
      const segment = this.#segments.length - 1
      this.#segments[segment] = { ...(this.#segments[segment] as Segment), bytes: offset + length }
      this.#index.apply(record.batch, { sequence, offset, length })
      done()
    })
  }

  /** Begins the next segment: its header is durable before any record follows. */
  #rotate(done: (err: Error | undefined, next: ActiveSegment | undefined) => void): void {
    const before = this.#active
    if (before !== undefined) {
      this.#active = undefined
      this.#previous = before.end
    }
    const sequence = this.#nextSequence
    const { currentId: keyId, current: sealer } = this.#keyring
    this.#beginningKeyId = keyId
    const { bytes, chain } = encodeSegmentHeader({
      sequence,
      keyId,
      previous: this.#previous,
      lastIndex: this.#index.lastIndex,
      lastTerm: this.#index.term(this.#index.lastIndex) ?? 0,
    })
    this.#nextSequence += 1
    closeQuietly(before?.file, () => {
      const created: Created = (createErr, file) => {
        if (file === undefined) return done(createErr, undefined)
        appendAndSync(file, bytes, (err) => {
          if (err !== undefined) return done(err, undefined)
          this.#active = {
            file,
            keyId,
            sealer,
            end: { sequence, offset: segmentHeaderBytes, chain },
          }
          this.#segments.push({ sequence, keyId, bytes: segmentHeaderBytes })
          this.#beginningKeyId = undefined
          this.#records.keyOf(sequence, keyId)
          done(undefined, this.#active)
        })
      }
      this.#disk.create(segmentName(sequence), created, this.#journal)
    })
  }

  /** Oldest first and one by one, so that a crash never leaves a hole between segments. */
  #removeNext(): void {
    const oldest = this.#removals[0]
    if (this.#isRemoving || oldest === undefined || this.#failure !== undefined) return
    this.#isRemoving = true
    this.#disk.remove(segmentName(oldest.sequence), (err) => {
      this.#isRemoving = false
      this.#removals.shift()
      if (err === undefined) this.#onRemoved()
      else this.fail(err)
      this.#removeNext()
      this.#finish()
    })
  }

  /** The file that failed is never written again: what it holds behind the last sync is unknown. */
  #dropPending(cause: Error): void {
    const { dones } = this.#pending.take()
    for (const done of dones) done(new LogFailedError(cause))
  }

  #finish(): void {
    const closing = this.#closing
    if (closing === undefined || this.#isFlushing || this.#isRemoving) return
    if (this.#failure === undefined && !this.#pending.isEmpty) return
    this.#closing = undefined
    closeQuietly(this.#active?.file, () => this.#votes.close(() => closing(this.#failure)))
  }
}

/** Closing makes nothing durable and its failure changes nothing: all that counts was synced. */
function closeQuietly(file: DiskFile | undefined, done: () => void): void {
  if (file === undefined) done()
  else file.close(() => done())
}
