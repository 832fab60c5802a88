// The plain content of one log record: what one flush makes durable. Encoding only; sealing is
// seal.ts, framing is record.ts.
import type { ConfState, Entry, HardState, Index, SnapshotMeta, Term } from '../core/types.ts'
import { ByteReader, ByteWriter, MalformedBytesError, stringBytes, u64Bytes } from './bytes.ts'

/** Where a log begins anew: everything before it is in a snapshot. */
export interface LogBase {
  readonly index: Index
  readonly term: Term
}

/** Takes effect in this order: base, hard state, entries. */
export interface Batch {
  /** The log was replaced by a snapshot that ends here. */
  readonly base?: LogBase
  readonly hardState?: HardState
  /** Consecutive; the first one's index truncates what the log holds from there on. */
  readonly entries: readonly Entry[]
}

const hasBase = 1
const hasHardState = 2
const dataEntry = 0
const confEntry = 1

/** Bytes that encodeBatch will take. */
export function batchBytes(batch: Batch): number {
  let size = 1 + 4
  if (batch.base !== undefined) size += 2 * u64Bytes
  if (batch.hardState !== undefined) {
    size += 2 * u64Bytes + stringBytes(batch.hardState.vote ?? '')
  }
  if (batch.entries.length > 0) size += u64Bytes
  for (const entry of batch.entries) size += entryBytes(entry)
  return size
}

function entryBytes(entry: Entry): number {
  const content = entry.kind === 'data' ? entry.data.length : confBytes(entry.conf)
  return 1 + u64Bytes + 4 + content
}

export function encodeBatch(batch: Batch): Buffer {
  const writer = new ByteWriter(batchBytes(batch))
  const flags = (batch.base ? hasBase : 0) | (batch.hardState ? hasHardState : 0)
  writer.u8(flags)
  if (batch.base !== undefined) {
    writer.u64(batch.base.index)
    writer.u64(batch.base.term)
  }
  if (batch.hardState !== undefined) {
    writer.u64(batch.hardState.term)
    writer.u64(batch.hardState.commit)
    writer.string(batch.hardState.vote ?? '')
  }
  writer.u32(batch.entries.length)
  const first = batch.entries[0]
  if (first !== undefined) writer.u64(first.index)
  for (const entry of batch.entries) writeEntry(writer, entry)
  return writer.buffer
}

function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.u8(entry.kind === 'data' ? dataEntry : confEntry)
  writer.u64(entry.term)
  if (entry.kind === 'data') {
    writer.u32(entry.data.length)
    writer.bytes(entry.data)
    return
  }
  writer.u32(confBytes(entry.conf))
  writeConf(writer, entry.conf)
}

/** Entries' data are views into `bytes`. Throws MalformedBytesError. */
export function decodeBatch(bytes: Uint8Array): Batch {
  const reader = new ByteReader(bytes)
  const flags = reader.u8()
  const base = flags & hasBase ? { index: reader.u64(), term: reader.u64() } : undefined
  const hardState = flags & hasHardState ? readHardState(reader) : undefined
  const count = reader.u32()
  const first = count > 0 ? reader.u64() : 0
  const entries: Entry[] = []
  for (let i = 0; i < count; i++) entries.push(readEntry(reader, first + i))
  if (reader.remaining > 0) throw new MalformedBytesError(`${reader.remaining} bytes too many`)
  return {
    ...(base === undefined ? {} : { base }),
    ...(hardState === undefined ? {} : { hardState }),
    entries,
  }
}

function readHardState(reader: ByteReader): HardState {
  const term = reader.u64()
  const commit = reader.u64()
  const vote = reader.string()
  return { term, commit, vote: vote === '' ? undefined : vote }
}

function readEntry(reader: ByteReader, index: Index): Entry {
  const kind = reader.u8()
  const term = reader.u64()
  const content = reader.bytes(reader.u32())
  if (kind === dataEntry) return { kind: 'data', term, index, data: content }
  if (kind !== confEntry) throw new MalformedBytesError(`unknown kind of entry: ${kind}`)
  return { kind: 'conf', term, index, conf: readConf(new ByteReader(content)) }
}

function idLists(conf: ConfState): readonly (readonly string[])[] {
  return [conf.voters, conf.outgoing, conf.learners, conf.learnersNext]
}

function confBytes(conf: ConfState): number {
  let size = 0
  for (const ids of idLists(conf)) {
    size += 4
    for (const id of ids) size += stringBytes(id)
  }
  return size
}

function writeConf(writer: ByteWriter, conf: ConfState): void {
  for (const ids of idLists(conf)) {
    writer.u32(ids.length)
    for (const id of ids) writer.string(id)
  }
}

function readConf(reader: ByteReader): ConfState {
  const ids = (): readonly string[] => {
    const count = reader.u32()
    const list: string[] = []
    for (let i = 0; i < count; i++) list.push(reader.string())
    return list
  }
  return { voters: ids(), outgoing: ids(), learners: ids(), learnersNext: ids() }
}

export function encodeSnapshotMeta(meta: SnapshotMeta): Buffer {
  const writer = new ByteWriter(2 * u64Bytes + confBytes(meta.conf))
  writer.u64(meta.index)
  writer.u64(meta.term)
  writeConf(writer, meta.conf)
  return writer.buffer
}

/** Throws MalformedBytesError. */
export function decodeSnapshotMeta(bytes: Uint8Array): SnapshotMeta {
  const reader = new ByteReader(bytes)
  return { index: reader.u64(), term: reader.u64(), conf: readConf(reader) }
}
