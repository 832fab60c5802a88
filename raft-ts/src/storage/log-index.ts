// What the log holds, in memory: where each entry lies on disk, its term, the configurations and
// the hard state. Built by replaying batches in order, at open and after every flush. No I/O.
import type { ConfAt } from '../core/config.ts'
import type { Entry, HardState, Index, Term } from '../core/types.ts'
import type { Batch } from './batch.ts'

/** Where a record lies. */
export interface RecordPlace {
  readonly sequence: number
  readonly offset: number
  readonly length: number
}

interface Span {
  readonly place: RecordPlace
  readonly first: Index
  /** Lowered when a later batch truncates. */
  last: Index
}

interface TermRun {
  readonly from: Index
  readonly term: Term
}

export class LogIndex {
  #spans: Span[] = []
  #runs: TermRun[] = []
  #confs: ConfAt[] = []
  #hardState: HardState = { term: 0, vote: undefined, commit: 0 }
  #baseIndex: Index
  #baseTerm: Term | undefined
  #last: Index

  /** A log whose entries before and at baseIndex are elsewhere. */
  constructor(baseIndex: Index, baseTerm: Term | undefined) {
    this.#baseIndex = baseIndex
    this.#baseTerm = baseTerm
    this.#last = baseIndex
  }

  get firstIndex(): Index {
    return this.#baseIndex + 1
  }
  get lastIndex(): Index {
    return this.#last
  }
  get hardState(): HardState {
    return this.#hardState
  }
  /** Configuration entries, ascending. */
  get confs(): readonly ConfAt[] {
    return this.#confs
  }

  /** Whether the batch's entries follow the log, or what the batch makes of it, without a gap. */
  continues(batch: Batch): boolean {
    const first = batch.entries[0]
    return first === undefined || first.index <= (batch.base?.index ?? this.#last) + 1
  }

  /** Takes a batch that lies at `place`. It must continue the log. */
  apply(batch: Batch, place: RecordPlace): void {
    if (batch.base !== undefined) this.reset(batch.base.index, batch.base.term)
    if (batch.hardState !== undefined) this.#hardState = batch.hardState
    const first = batch.entries[0]
    if (first !== undefined) this.#extend(batch.entries, first.index, place)
  }

  /** Empties the log: the next entry follows `index`. Keeps the hard state. */
  reset(index: Index, term: Term | undefined): void {
    this.#spans = []
    this.#runs = []
    this.#confs = []
    this.#baseIndex = index
    this.#baseTerm = term
    this.#last = index
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState
  }

  /** The term of an entry, or of the base when it is known. Cost: logarithmic in changes of term. */
  term(index: Index): Term | undefined {
    if (index === this.#baseIndex) return this.#baseTerm
    if (index < this.#baseIndex || index > this.#last) return undefined
    return findLast(this.#runs, (run) => run.from <= index)?.term
  }

  /** The record that holds the entry, and the last entry of it that counts. */
  locate(index: Index): { readonly place: RecordPlace; readonly last: Index } | undefined {
    if (index <= this.#baseIndex || index > this.#last) return undefined
    const span = findLast(this.#spans, (at) => at.first <= index)
    return span === undefined ? undefined : { place: span.place, last: span.last }
  }

  /** Highest entry that lies in a segment up to this one; undefined when none does. */
  lastIn(sequence: number): Index | undefined {
    return findLast(this.#spans, (span) => span.place.sequence <= sequence)?.last
  }

  /** Forgets what lies in segments up to this one; their entries are all compacted. */
  dropThrough(sequence: number): void {
    const last = this.lastIn(sequence)
    this.#spans = this.#spans.filter((span) => span.place.sequence > sequence)
    if (last === undefined) return
    this.#baseTerm = this.term(last)
    this.#baseIndex = last
    this.#runs = this.#runs.filter((_, i) => {
      const next = this.#runs[i + 1]
      return next === undefined || next.from > last + 1
    })
    this.#confs = this.#confs.filter((at) => at.index > last)
  }

  #extend(entries: readonly Entry[], first: Index, place: RecordPlace): void {
    if (first <= this.#last) this.#truncateFrom(first)
    for (const entry of entries) {
      if (this.#runs.at(-1)?.term !== entry.term) {
        this.#runs.push({ from: entry.index, term: entry.term })
      }
      if (entry.kind === 'conf') this.#confs.push({ index: entry.index, conf: entry.conf })
    }
    this.#last = first + entries.length - 1
    this.#spans.push({ place, first, last: this.#last })
  }

  #truncateFrom(index: Index): void {
    while ((this.#spans.at(-1)?.first ?? 0) >= index) this.#spans.pop()
    const span = this.#spans.at(-1)
    if (span !== undefined) span.last = Math.min(span.last, index - 1)
    while ((this.#runs.at(-1)?.from ?? 0) >= index) this.#runs.pop()
    while ((this.#confs.at(-1)?.index ?? 0) >= index) this.#confs.pop()
    this.#last = index - 1
    if (this.#last >= this.#baseIndex) return
    // Only while replaying behind dropped segments: what lay before is in a snapshot.
    this.#baseIndex = this.#last
    this.#baseTerm = undefined
  }
}

/** The last element for which a condition holds that holds for a prefix of the list. */
function findLast<T>(list: readonly T[], holds: (item: T) => boolean): T | undefined {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(list[middle] as T)) low = middle + 1
    else high = middle
  }
  return list[low - 1]
}
