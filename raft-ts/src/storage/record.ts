// Framing of sealed records in a file, and the judgement of what is wrong with one that does not
// read: a torn tail (an ordinary crash) or damage. Used by log segments and snapshots alike.
//
//   magic 4 | header CRC 4 | chain CRC 4 | length 4 | nonce 12 | index 8 | term 8 | sealed body
//
// The header CRC covers all of the header behind it, so that a length is trusted before it is
// used. The chain CRC covers length..body and continues the previous record's, so that a record
// that is missing or comes twice is noticed.
import { crc32 } from 'node:zlib'
import { nonceBytes, tagBytes } from './aead.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import type { Place, Sealer } from './seal.ts'

export const recordHeaderBytes = 44
/** A record's body is never longer; a header that says so is not one. */
export const recordBodyBytesMax = 256 * 1024 * 1024

const magic = 0x72_52_65_63
const magicBytes = Buffer.from([0x72, 0x52, 0x65, 0x63])
const sectorBytes = 512
/** Where what the header CRC covers begins: behind the magic and the CRC itself. */
const headerCrcFrom = 8
/** Where what the chain CRC covers begins. */
const chainFrom = 12

export interface RecordHeader {
  readonly chain: number
  readonly length: number
  readonly nonce: Buffer
  readonly index: number
  readonly term: number
}

export type ParsedRecord =
  | {
      readonly kind: 'record'
      readonly header: RecordHeader
      readonly body: Buffer
      /** Offset behind the record. */
      readonly end: number
    }
  | { readonly kind: 'end' }
  /** An append that was under way when the machine stopped. */
  | { readonly kind: 'torn' }
  | { readonly kind: 'damaged'; readonly reason: string }

/** Bytes that a record with this much plain content takes in the file. */
export function recordBytes(plainBytes: number): number {
  return recordHeaderBytes + plainBytes + tagBytes
}

/** Seals and frames one record. `chain` continues the previous record's. */
export function frameRecord(
  sealer: Sealer,
  place: Place,
  plain: Uint8Array,
  previousChain: number,
): { readonly bytes: Buffer; readonly chain: number } {
  const { nonce, parts } = sealer.seal(place, plain)
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const writer = new ByteWriter(recordHeaderBytes + length)
  writer.u32(magic)
  writer.u32(0)
  writer.u32(0)
  writer.u32(length)
  writer.bytes(nonce)
  writer.u64(place.index)
  writer.u64(place.term)
  for (const part of parts) writer.bytes(part)
  const bytes = writer.buffer
  const chain = crc32(bytes.subarray(chainFrom), previousChain)
  bytes.writeUInt32BE(chain, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(headerCrcFrom, recordHeaderBytes)), 4)
  return { bytes, chain }
}

/**
 * Reads the record at offset of a file's content. `previousChain` undefined: the chain is not
 * checked (a single record read from its middle).
 */
export function parseRecord(
  content: Uint8Array,
  offset: number,
  previousChain: number | undefined,
): ParsedRecord {
  const file = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  if (offset === file.length) return { kind: 'end' }
  const header = readHeader(file, offset)
  if (header === undefined) return judgeHeader(file, offset)
  const end = offset + recordHeaderBytes + header.length
  if (end > file.length) return judgeTail(file, offset + recordHeaderBytes, 'the record is cut off')
  const chain =
    previousChain === undefined
      ? header.chain
      : crc32(file.subarray(offset + chainFrom, end), previousChain)
  if (chain !== header.chain) return judgeBody(file, offset, end)
  return { kind: 'record', header, body: file.subarray(offset + recordHeaderBytes, end), end }
}

/** Opens a record's body. Throws when it is not what was sealed. */
export function openRecord(
  sealer: Sealer,
  place: Pick<Place, 'kind' | 'part'>,
  record: { readonly header: RecordHeader; readonly body: Buffer },
): Buffer {
  const { index, term, nonce } = record.header
  return sealer.open({ ...place, index, term }, nonce, record.body)
}

/** Undefined unless a whole, sound header stands there. */
function readHeader(file: Buffer, offset: number): RecordHeader | undefined {
  if (offset + recordHeaderBytes > file.length) return undefined
  if (file.readUInt32BE(offset) !== magic) return undefined
  const sum = crc32(file.subarray(offset + headerCrcFrom, offset + recordHeaderBytes))
  if (file.readUInt32BE(offset + 4) !== sum) return undefined
  const reader = new ByteReader(file.subarray(offset + 8, offset + recordHeaderBytes))
  const chain = reader.u32()
  const length = reader.u32()
  if (length < tagBytes || length > recordBodyBytesMax) return undefined
  return { chain, length, nonce: reader.bytes(nonceBytes), index: reader.u64(), term: reader.u64() }
}

/** No sound header: torn when it ends early or a sector of it was never written. */
function judgeHeader(file: Buffer, offset: number): ParsedRecord {
  const end = offset + recordHeaderBytes
  if (end > file.length) return judgeTail(file, offset, 'a header is cut off')
  if (!hasBlankSector(file, offset, end)) {
    return { kind: 'damaged', reason: 'the header does not match its checksum' }
  }
  return judgeTail(file, offset, 'a header is blank')
}

/** A whole body that does not match: torn when a sector of it was never written and nothing but zeros follows. */
function judgeBody(file: Buffer, offset: number, end: number): ParsedRecord {
  if (hasBlankSector(file, offset, end) && isBlank(file, end, file.length)) return { kind: 'torn' }
  return { kind: 'damaged', reason: 'the content does not match its checksum' }
}

/** Only one append is ever under way, so a torn one has no other record behind it. */
function judgeTail(file: Buffer, from: number, what: string): ParsedRecord {
  let at = file.indexOf(magicBytes, from)
  while (at !== -1) {
    if (readHeader(file, at) !== undefined) {
      return { kind: 'damaged', reason: `${what}, but records follow at byte ${at}` }
    }
    at = file.indexOf(magicBytes, at + 1)
  }
  return { kind: 'torn' }
}

/** Whether the part of from..end that lies in one sector of the file is all zeros, for any sector. */
function hasBlankSector(file: Buffer, from: number, end: number): boolean {
  let at = from
  while (at < end) {
    const next = Math.min(end, (Math.floor(at / sectorBytes) + 1) * sectorBytes)
    if (isBlank(file, at, next)) return true
    at = next
  }
  return false
}

/** Whether all bytes of from..end are zero. */
export function isBlank(file: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at++) if (file[at] !== 0) return false
  return true
}
