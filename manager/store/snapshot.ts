// Snapshots: the state as a stream of records, encoded and decoded in slices, so that a million tasks never hold up the loop.
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { StoreSnapshotRecord } from '../../proto/gen/tsswarm/v1/store.ts'
import {
  createIntern,
  type Intern,
  put,
  requestFromProto,
  requestToProto,
  unreadable,
  writeFromProto,
  writeToProto,
} from './row-codec.ts'
import { refuseHigherLevel, State } from './state.ts'
import { tableNames } from './tables.ts'

/** About 3 ms of encoding. */
const sliceBytes = 128 * 2 ** 10
/** About 5 ms of decoding and indexing. */
const sliceRecords = 1_000

/** Lets others run between two slices. */
export type Breathe = () => Promise<void>

type Record = NonNullable<StoreSnapshotRecord['kind']>

/**
 * The state as it is now. References are taken before this returns; rows never change in place, so that later
 * entries may be applied while the chunks are read.
 */
export function encodeSnapshot(state: State, breathe: Breathe): AsyncIterable<Uint8Array> {
  const { featureLevel, version, stampMs: nowMs } = state
  const tables = tableNames.map((table) => ({ table, rows: state.table(table).toArray() }))
  const requests = [...state.requests.values()]

  function* records(): Iterable<Record> {
    yield { $case: 'header', value: { featureLevel, version, nowMs } }
    let rowCount = 0
    for (const { table, rows } of tables) {
      rowCount += rows.length
      for (const row of rows) {
        yield { $case: 'row', value: writeToProto(put(table, row)) }
      }
    }
    for (const request of requests) {
      yield { $case: 'request', value: requestToProto(request, request.atMs) }
    }
    yield { $case: 'footer', value: { rows: rowCount, requests: requests.length } }
  }
  return encodeRecords(records(), breathe)
}

async function* encodeRecords(
  records: Iterable<Record>,
  breathe: Breathe,
): AsyncGenerator<Uint8Array, void, undefined> {
  let writer = new BinaryWriter()
  let bytes = 0
  for (const kind of records) {
    const encoded = StoreSnapshotRecord.encode({ kind }).finish()
    writer.bytes(encoded)
    bytes += encoded.length
    if (bytes < sliceBytes) continue
    yield writer.finish()
    writer = new BinaryWriter()
    bytes = 0
    await breathe()
  }
  yield writer.finish()
}

/**
 * The state that a snapshot holds.
 * Errors: DATA_LOSS when it is not whole or not readable, UNSUPPORTED when it is of a higher feature level.
 */
export async function decodeSnapshot(
  chunks: AsyncIterable<Uint8Array>,
  breathe: Breathe,
): Promise<State> {
  const loader = new Loader()
  let rest: Uint8Array = new Uint8Array(0)
  for await (const chunk of chunks) {
    const { records, rest: left } = splitRecords(join(rest, chunk))
    rest = left
    for (const [position, record] of records.entries()) {
      if (position % sliceRecords === sliceRecords - 1) await breathe()
      loader.add(record)
    }
    await breathe()
  }
  if (rest.length > 0) throw unreadable('a snapshot that ends within a record')
  return loader.finish()
}

class Loader {
  readonly #state = new State()
  readonly #intern: Intern = createIntern()
  #rows = 0
  #requests = 0
  #isStarted = false
  #isWhole = false

  add(bytes: Uint8Array): void {
    const { kind } = decodeRecord(bytes)
    if (this.#isStarted !== (kind?.$case !== 'header') || this.#isWhole) {
      throw unreadable('a snapshot with its records out of order')
    }
    switch (kind?.$case) {
      case 'header':
        refuseHigherLevel(kind.value.featureLevel)
        this.#isStarted = true
        this.#state.version = kind.value.version
        this.#state.stampMs = kind.value.nowMs
        return
      case 'row':
        this.#rows += 1
        this.#state.write(writeFromProto(kind.value, this.#intern))
        return
      case 'request':
        this.#requests += 1
        this.#state.requests.add({ ...requestFromProto(kind.value), atMs: kind.value.atMs })
        return
      case 'footer':
        this.#isWhole = kind.value.rows === this.#rows && kind.value.requests === this.#requests
        return
      case undefined:
        throw unreadable('a snapshot with a record of an unknown kind')
    }
  }

  finish(): State {
    if (!this.#isWhole) throw unreadable('a snapshot that is not whole')
    return this.#state
  }
}

function decodeRecord(bytes: Uint8Array): StoreSnapshotRecord {
  try {
    return StoreSnapshotRecord.decode(bytes)
  } catch (err) {
    throw unreadable('a record of a snapshot', err)
  }
}

/** Whole records, each with its length before it, and the bytes of a last one that is not whole yet. */
function splitRecords(bytes: Uint8Array): {
  readonly records: readonly Uint8Array[]
  readonly rest: Uint8Array
} {
  const records: Uint8Array[] = []
  let at = 0
  while (at < bytes.length) {
    const length = lengthAt(bytes, at)
    if (length === undefined || length.end + length.value > bytes.length) break
    records.push(bytes.subarray(length.end, length.end + length.value))
    at = length.end + length.value
  }
  return { records, rest: bytes.subarray(at) }
}

/** The varint at a position and where it ends; undefined while it is cut. */
function lengthAt(bytes: Uint8Array, at: number): { value: number; end: number } | undefined {
  const last = bytes.subarray(at, at + 5).findIndex((byte) => byte < 0x80)
  if (last < 0) {
    if (bytes.length - at >= 5) throw unreadable('a snapshot with a damaged length')
    return undefined
  }
  return { value: new BinaryReader(bytes.subarray(at)).uint32(), end: at + last + 1 }
}

function join(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length === 0) return right
  const joined = new Uint8Array(left.length + right.length)
  joined.set(left)
  joined.set(right, left.length)
  return joined
}
