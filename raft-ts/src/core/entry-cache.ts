// The log's newest entries in memory: a contiguous run that ends at the last entry.
import { invariant, present } from './assert.ts'
import type { Entry, Index } from './types.ts'

/** What an entry is counted as against a bound in bytes: its content and what it costs besides. */
export function entryBytes(entry: Entry): number {
  if (entry.kind === 'data') return entry.data.length + 32
  const { voters, outgoing, learners, learnersNext } = entry.conf
  return 32 + 32 * (voters.length + outgoing.length + learners.length + learnersNext.length)
}

/** Takes a dropped entry's place until the front is cut, so that its bytes are free at once. */
const dropped: Entry = { kind: 'data', term: 0, index: 0, data: new Uint8Array(0) }

export class EntryCache {
  #entries: Entry[] = []
  /** Position of the first live entry: the front is cut lazily. */
  #head = 0
  #first: Index
  #bytes = 0

  /** An empty run; the first entry pushed has index `next`. */
  constructor(next: Index) {
    this.#first = next
  }

  /** Index of the first entry held; last + 1 when empty. */
  get first(): Index {
    return this.#first
  }

  get last(): Index {
    return this.#first + this.#entries.length - this.#head - 1
  }

  get bytes(): number {
    return this.#bytes
  }

  get(index: Index): Entry | undefined {
    if (index < this.#first) return undefined
    return this.#entries[this.#head + index - this.#first]
  }

  push(entry: Entry): void {
    invariant(entry.index === this.last + 1, 'entries are contiguous', {
      index: entry.index,
      last: this.last,
    })
    this.#entries.push(entry)
    this.#bytes += entryBytes(entry)
  }

  /** Drops all from index on; the next entry pushed has this index. */
  truncateFrom(index: Index): void {
    if (index <= this.#first) {
      this.reset(index)
      return
    }
    while (this.last >= index) this.#bytes -= entryBytes(present(this.#entries.pop(), 'entry'))
  }

  /** Drops the oldest entries, none above `through`, until the bound holds. */
  trim(bytesMax: number, through: Index): void {
    while (this.#bytes > bytesMax && this.#first <= Math.min(through, this.last)) this.#shift()
    this.#cutFront()
  }

  /** Drops all up to and including index. */
  dropThrough(index: Index): void {
    while (this.#first <= Math.min(index, this.last)) this.#shift()
    this.#cutFront()
  }

  reset(next: Index): void {
    this.#entries = []
    this.#head = 0
    this.#first = next
    this.#bytes = 0
  }

  /** Entries from..to (both held), cut before bytesMax is exceeded but at least one. */
  slice(from: Index, to: Index, bytesMax: number): readonly Entry[] {
    const start = this.#head + from - this.#first
    const endMax = this.#head + to - this.#first + 1
    let bytes = 0
    let end = start
    while (end < endMax) {
      bytes += entryBytes(present(this.#entries[end], 'entry'))
      if (bytes > bytesMax && end > start) break
      end += 1
    }
    return this.#entries.slice(start, end)
  }

  #shift(): void {
    this.#bytes -= entryBytes(present(this.#entries[this.#head], 'entry'))
    this.#entries[this.#head] = dropped
    this.#head += 1
    this.#first += 1
  }

  #cutFront(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#head)
    this.#head = 0
  }
}
