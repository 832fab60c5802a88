// Entries and proposals as one ArrayBuffer each, allocated whole: only such a buffer may be
// transferred between threads (a pooled one would take its neighbours with it).
import { invariant } from '../../proto/lib/assert.ts'
import type { CommittedEntry } from './raft-handle.ts'

/** What is packed of an entry. */
export interface PackedEntry {
  readonly index: number
  readonly term: number
  readonly data: Uint8Array
}

const countBytes = 8
const entryHeadBytes = 16

/** Layout: count and first index, a head of term and length each, all data. */
export function packEntries(entries: readonly PackedEntry[]): ArrayBuffer {
  const first = entries[0]?.index ?? 0
  const dataBytes = entries.reduce((sum, entry) => sum + entry.data.length, 0)
  const buffer = new ArrayBuffer(2 * countBytes + entries.length * entryHeadBytes + dataBytes)
  const view = new DataView(buffer)
  const bytes = new Uint8Array(buffer)
  view.setFloat64(0, entries.length)
  view.setFloat64(countBytes, first)
  let headAt = 2 * countBytes
  let dataAt = headAt + entries.length * entryHeadBytes
  for (const [i, entry] of entries.entries()) {
    invariant(entry.index === first + i, 'packed entries are consecutive', { index: entry.index })
    view.setFloat64(headAt, entry.term)
    view.setFloat64(headAt + 8, entry.data.length)
    headAt += entryHeadBytes
    bytes.set(entry.data, dataAt)
    dataAt += entry.data.length
  }
  return buffer
}

/** The data are views into the buffer. */
export function unpackEntries(buffer: ArrayBuffer): readonly CommittedEntry[] {
  const view = new DataView(buffer)
  const count = view.getFloat64(0)
  const first = view.getFloat64(countBytes)
  const entries: CommittedEntry[] = []
  let dataAt = 2 * countBytes + count * entryHeadBytes
  for (let i = 0; i < count; i++) {
    const headAt = 2 * countBytes + i * entryHeadBytes
    const length = view.getFloat64(headAt + 8)
    const data = new Uint8Array(buffer, dataAt, length)
    entries.push({ index: first + i, term: view.getFloat64(headAt), data })
    dataAt += length
  }
  return entries
}

/** Proposals are numbered in the order of the calls, from `first` up. */
export function packProposals(first: number, proposals: readonly Uint8Array[]): ArrayBuffer {
  return packEntries(proposals.map((data, i) => ({ index: first + i, term: 0, data })))
}

/** Copies: a proposal lives on in the log's cache, and must not keep its neighbours there. */
export function unpackProposals(
  buffer: ArrayBuffer,
): readonly { readonly sequence: number; readonly data: Uint8Array }[] {
  return unpackEntries(buffer).map(({ index, data }) => ({
    sequence: index,
    data: new Uint8Array(data),
  }))
}

/** An ArrayBuffer of its own with these bytes, to be transferred. */
export function wholeBuffer(bytes: Uint8Array): ArrayBuffer {
  const buffer = new ArrayBuffer(bytes.length)
  new Uint8Array(buffer).set(bytes)
  return buffer
}
