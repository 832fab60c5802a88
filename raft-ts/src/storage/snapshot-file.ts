// One snapshot in one file: a header, a record with its meta, the content in sealed chunks of equal
// size, and an end record with length and hash. The content is the caller's and is not looked at.
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { SnapshotMeta } from '../core/types.ts'
import { decodeSnapshotMeta, encodeSnapshotMeta } from './batch.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import type { Disk, DiskFile, Done } from './disk.ts'
import { DamagedLogError, ForeignLogError } from './errors.ts'
import type { Keyring } from './keyring.ts'
import { frameRecord, openRecord, parseRecord, recordBytes } from './record.ts'
import type { Sealer } from './seal.ts'
import { formatVersion } from './segment.ts'

/** Content of every chunk but the last. */
export const snapshotChunkBytes = 256 * 1024
/** A sync for so much content: one long flush at the end would hold up the log's own. */
const syncEveryBytes = 4 * 1024 * 1024

const magic = Buffer.from('rtssnap\0')
const headerBytes = 20
const endPlainBytes = 8 + 32
const endPart = 2 ** 32 - 1
/** The meta record's length is read first, from a piece of this size. */
const metaReadBytes = 64 * 1024

/** What a finished snapshot holds. */
export interface SnapshotContent {
  readonly totalBytes: number
  /** Hex SHA-256 of the content. */
  readonly hash: string
}

/** Writes one snapshot into a fresh file. One call at a time. */
export class SnapshotWriter {
  readonly meta: SnapshotMeta
  /** Data key that seals it. */
  readonly keyId: number
  readonly #file: DiskFile
  readonly #sealer: Sealer
  readonly #hash = createHash('sha256')
  #chain: number
  #part = 0
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #totalBytes = 0
  #unsyncedBytes = 0
  #failure: Error | undefined

  constructor(file: DiskFile, keyring: Keyring, meta: SnapshotMeta) {
    this.meta = meta
    this.#file = file
    this.keyId = keyring.currentId
    this.#sealer = keyring.current
    const header = encodeHeader(this.keyId)
    this.#chain = header.chain
    this.#append(header.bytes)
    this.#record(encodeSnapshotMeta(meta))
  }

  /** Content taken so far. */
  get totalBytes(): number {
    return this.#totalBytes
  }

  /** Takes the next bytes, which must not change any more; `done` may be called at once. */
  write(bytes: Uint8Array, done: Done): void {
    this.#hash.update(bytes)
    this.#totalBytes += bytes.length
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    this.#cut(snapshotChunkBytes)
    if (this.#failure !== undefined || this.#unsyncedBytes < syncEveryBytes) {
      done(this.#failure)
      return
    }
    this.#sync(done)
  }

  /** Writes the end; calls back when all is durable. The file is closed then. */
  finish(done: (err: Error | undefined, content: SnapshotContent | undefined) => void): void {
    this.#cut(1)
    const hash = this.#hash.digest()
    const end = new ByteWriter(endPlainBytes)
    end.u64(this.#totalBytes)
    end.bytes(hash)
    this.#part = endPart
    this.#record(end.buffer)
    this.#sync((err) => {
      this.#file.close(() => {
        if (err !== undefined) return done(err, undefined)
        done(undefined, { totalBytes: this.#totalBytes, hash: hash.toString('hex') })
      })
    })
  }

  /** Closes the unfinished file; removing it is the caller's. */
  abort(done: () => void): void {
    this.#file.close(() => done())
  }

  /** Seals chunks while at least `atLeast` bytes wait. */
  #cut(atLeast: number): void {
    if (this.#waitingBytes < atLeast) return
    const all = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting)
    let rest = all as Uint8Array
    while (rest.length >= atLeast && rest.length > 0) {
      this.#record(rest.subarray(0, snapshotChunkBytes))
      rest = rest.subarray(snapshotChunkBytes)
    }
    this.#waiting = rest.length === 0 ? [] : [rest]
    this.#waitingBytes = rest.length
  }

  #record(plain: Uint8Array): void {
    const { index, term } = this.meta
    const place = { kind: 'snapshot', index, term, part: this.#part } as const
    const framed = frameRecord(this.#sealer, place, plain, this.#chain)
    this.#chain = framed.chain
    this.#part += 1
    this.#append(framed.bytes)
  }

  #append(bytes: Uint8Array): void {
    this.#unsyncedBytes += bytes.length
    this.#file.append(bytes, (err) => {
      if (err !== undefined) this.#failure ??= err
    })
  }

  #sync(done: Done): void {
    this.#unsyncedBytes = 0
    this.#file.sync((err) => {
      if (err !== undefined) this.#failure ??= err
      done(this.#failure)
    })
  }
}

function encodeHeader(keyId: number): { readonly bytes: Buffer; readonly chain: number } {
  const writer = new ByteWriter(headerBytes)
  writer.bytes(magic)
  writer.u16(formatVersion)
  writer.u16(keyId)
  writer.u32(snapshotChunkBytes)
  const chain = crc32(writer.buffer.subarray(0, headerBytes - 4))
  writer.u32(chain)
  return { bytes: writer.buffer, chain }
}

/** Reads a finished snapshot, piece by piece, checking each. */
export class SnapshotReader implements SnapshotContent {
  readonly name: string
  readonly meta: SnapshotMeta
  /** Data key that seals it. */
  readonly keyId: number
  readonly totalBytes: number
  readonly hash: string
  readonly #disk: Disk
  readonly #sealer: Sealer
  readonly #chunkBytes: number
  readonly #firstChunk: number

  /** Checks header, meta and end. Throws DamagedLogError, ForeignLogError, DiskError. */
  constructor(disk: Disk, keyring: Keyring, name: string) {
    this.#disk = disk
    this.name = name
    const header = readHeader(disk, name)
    this.keyId = header.keyId
    this.#sealer = keyring.sealer(header.keyId)
    this.#chunkBytes = header.chunkBytes
    const start = disk.read(name, headerBytes, metaReadBytes)
    const record = parseRecord(start, 0, header.chain)
    if (record.kind !== 'record') throw this.#damaged(headerBytes, 'its meta cannot be read')
    this.#firstChunk = headerBytes + record.end
    try {
      this.meta = decodeSnapshotMeta(
        openRecord(this.#sealer, { kind: 'snapshot', part: 0 }, record),
      )
    } catch (err) {
      throw this.#damaged(headerBytes, 'its meta does not open with its key', err)
    }
    const endBytes = recordBytes(endPlainBytes)
    const end = new ByteReader(this.#open(disk.size(name) - endBytes, endBytes, endPart))
    this.totalBytes = end.u64()
    this.hash = end.bytes(32).toString('hex')
  }

  /** Content from offset, up to the end of the chunk that it lies in; empty at the end. Throws DamagedLogError, DiskError. */
  read(offset: number): Uint8Array {
    if (offset >= this.totalBytes) return new Uint8Array(0)
    const chunk = Math.floor(offset / this.#chunkBytes)
    const plainBytes = Math.min(this.#chunkBytes, this.totalBytes - chunk * this.#chunkBytes)
    const at = this.#firstChunk + chunk * recordBytes(this.#chunkBytes)
    const plain = this.#open(at, recordBytes(plainBytes), chunk + 1)
    return plain.subarray(offset - chunk * this.#chunkBytes)
  }

  /** Reads all of the content. Throws DamagedLogError, DiskError. */
  verify(): void {
    for (let offset = 0; offset < this.totalBytes; offset += this.#chunkBytes) this.read(offset)
  }

  #open(offset: number, length: number, part: number): Buffer {
    if (offset < this.#firstChunk) throw this.#damaged(offset, 'the file is too short')
    const parsed = parseRecord(this.#disk.read(this.name, offset, length), 0, undefined)
    if (parsed.kind !== 'record') throw this.#damaged(offset, 'a record cannot be read')
    try {
      const { index, term } = this.meta
      return this.#sealer.open(
        { kind: 'snapshot', index, term, part },
        parsed.header.nonce,
        parsed.body,
      )
    } catch (err) {
      throw this.#damaged(offset, 'a record does not open with its key', err)
    }
  }

  #damaged(offset: number, reason: string, cause?: unknown): DamagedLogError {
    return new DamagedLogError(this.name, offset, reason, cause)
  }
}

function readHeader(
  disk: Disk,
  name: string,
): { readonly keyId: number; readonly chunkBytes: number; readonly chain: number } {
  const bytes = disk.read(name, 0, headerBytes)
  if (bytes.length < headerBytes) throw new DamagedLogError(name, 0, 'the file is too short')
  const reader = new ByteReader(bytes)
  const isOurs = reader.bytes(magic.length).equals(magic)
  const version = reader.u16()
  const keyId = reader.u16()
  const chunkBytes = reader.u32()
  const chain = reader.u32()
  if (!isOurs || chain !== crc32(bytes.subarray(0, headerBytes - 4))) {
    throw new DamagedLogError(name, 0, 'the header does not match its checksum')
  }
  if (version <= formatVersion) return { keyId, chunkBytes, chain }
  throw new ForeignLogError(
    `snapshot ${name} has format ${version}, this program knows formats up to ${formatVersion}; ` +
      'run the version that wrote it, or a newer one',
  )
}
