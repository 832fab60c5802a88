// Raft entries of the store <-> bytes. The header comes first, so that a proposer recognises its own entry without decoding it.
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { StoreEntry, StoreTransaction } from '../../proto/gen/tsswarm/v1/store.ts'
import {
  type Intern,
  requestFromProto,
  requestToProto,
  unreadable,
  writeFromProto,
  writeToProto,
} from './row-codec.ts'
import { refuseHigherLevel, type Transaction } from './state.ts'

export interface EntryHeader {
  /** The cluster's level at which it is written: what a program must know to read it. */
  readonly featureLevel: number
  readonly origin: string
  readonly sequence: number
  /** Raft term in which it was proposed. */
  readonly term: number
  /** Store version it builds on. */
  readonly baseVersion: number
  readonly nowMs: number
}

export interface Entry extends EntryHeader {
  readonly transactions: readonly Transaction[]
}

/** Field 7, length-delimited. */
const transactionsTag = (7 << 3) | 2

export function encodeTransaction({ writes, request }: Transaction): Uint8Array {
  return StoreTransaction.encode({
    changes: writes.map(writeToProto),
    request: request && requestToProto(request, 0),
  }).finish()
}

/** `transactions` are encoded ones, in order; none makes a bare header. */
export function encodeEntry(header: EntryHeader, transactions: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter()
  StoreEntry.encode({ ...header, transactions: [] }, writer)
  for (const bytes of transactions) writer.uint32(transactionsTag).bytes(bytes)
  return writer.finish()
}

/**
 * Errors: DATA_LOSS when it cannot be read, UNSUPPORTED when it was written at a higher feature level.
 */
export function decodeEntry(data: Uint8Array, intern: Intern): Entry {
  const proto = decodeProto(data)
  refuseHigherLevel(proto.featureLevel)
  const transactions = proto.transactions.map(({ changes, request }) => ({
    writes: changes.map((change) => writeFromProto(change, intern)),
    request: request && requestFromProto(request),
  }))
  const { featureLevel, origin, sequence, term, baseVersion, nowMs } = proto
  return { featureLevel, origin, sequence, term, baseVersion, nowMs, transactions }
}

/** Whether the entry is that proposal. Reads no further than the header. */
export function isEntryOf(data: Uint8Array, { origin, sequence }: EntryHeader): boolean {
  const reader = new BinaryReader(data)
  let isOrigin = false
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === 2) isOrigin = reader.string() === origin
    else if (field === 3) return isOrigin && Number(reader.uint64()) === sequence
    else if (field > 3) return false
    else reader.skip(wireType)
  }
  return false
}

function decodeProto(data: Uint8Array): StoreEntry {
  try {
    return StoreEntry.decode(data)
  } catch (err) {
    throw unreadable('an entry', err)
  }
}
