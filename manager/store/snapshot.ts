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

/** About 1 ms of encoding. */
const sliceBytes = 32 * 2 ** 10
/** Their length is looked at after so many. */
const partRecords = 16
/** About 5 ms of decoding and indexing. */
const sliceRecords = 1_000

/** Lets others run between two slices. */
export type Breathe = () => Promise<void>

type Record = NonNullable<StoreSnapshotRecord['kind']>

/**
 * The state as it is now, whatever is applied while the chunks are read. O(1) until then. Read it to its end, or end it with the
 * iterator's `return`: until then the store keeps the old rows of what changes.
 */
export function encodeSnapshot(state: State, breathe: Breathe): AsyncIterable<Uint8Array> {
  const { featureLevel, version, stampMs: nowMs } = state
  const tables = tableNames.map((table) => ({ table, walk: state.table(table).walk() }))
  const requests = [...state.requests.values()]

  function* records(): Iterable<Record> {
    yield { $case: 'header', value: { featureLevel, version, nowMs } }
    let rows = 0
    for (const { table, walk } of tables) {
      for (let row = walk.next(); row !== undefined; row = walk.next()) {
        rows += 1
        yield { $case: 'row', value: writeToProto(put(table, row)) }
      }
    }
    for (const request of requests) {
      yield { $case: 'request', value: requestToProto(request, request.atMs) }
    }
    yield { $case: 'footer', value: { rows, requests: requests.length } }
  }
  const close = (): void => {
    for (const { walk } of tables) walk.close()
  }
  return closing(encodeRecords(records(), breathe), close)
}

/** A generator that was never begun runs no `finally` of its own. */
function closing(
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
  close: () => void,
): AsyncIterable<Uint8Array> {
  const iterator: AsyncIterator<Uint8Array, void, undefined> = {
    next: () => chunks.next(),
    return: () => {
      close()
      return chunks.return()
    },
  }
  return { [Symbol.asyncIterator]: () => iterator }
}

async function* encodeRecords(
  records: Iterable<Record>,
  breathe: Breathe,
): AsyncGenerator<Uint8Array, void, undefined> {
  // One writer for all: its buffer stays, and records are written in their place in it.
  const writer = new BinaryWriter()
  let parts: Uint8Array[] = []
  let bytes = 0
  let count = 0
  const cut = (): void => {
    const part = writer.finish()
    parts.push(part)
    bytes += part.length
  }
  for (const kind of records) {
    StoreSnapshotRecord.encode({ kind }, writer.fork()).join()
    count += 1
    if (count % partRecords !== 0) continue
    cut()
    if (bytes < sliceBytes) continue
    yield joined(parts, bytes)
    parts = []
    bytes = 0
    await breathe()
  }
  cut()
  yield joined(parts, bytes)
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
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
    const { records, rest: left } = splitRecords(
      rest.length === 0 ? chunk : joined([rest, chunk], rest.length + chunk.length),
    )
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
