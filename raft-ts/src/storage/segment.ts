// Names and headers of the log's segment files. A header says where the previous segment counts
// up to, so that a torn tail stays where it is and is skipped ever after: no file is truncated.
import { crc32 } from 'node:zlib'
import type { Index, Term } from '../core/types.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { ForeignLogError } from './errors.ts'
import { isBlank } from './record.ts'

export const segmentHeaderBytes = 72
/** Written in every file. What each version holds is in the README, "Format on disk". */
export const formatVersion = 2

const magic = Buffer.from('rtslog\0\0')

/** The end of what counts in a segment. */
export interface SegmentEnd {
  readonly sequence: number
  readonly offset: number
  readonly chain: number
}

export interface SegmentHeader {
  readonly sequence: number
  /** Data key that seals this file. */
  readonly keyId: number
  /** Where the previous segment ends; undefined in the very first one. */
  readonly previous: SegmentEnd | undefined
  /** The log's last entry when this segment was begun. */
  readonly lastIndex: Index
  /** 0 when it is not known. */
  readonly lastTerm: Term
}

export type ParsedHeader =
  | { readonly kind: 'header'; readonly header: SegmentHeader; readonly chain: number }
  | { readonly kind: 'torn' }
  | { readonly kind: 'damaged'; readonly reason: string }

export function segmentName(sequence: number): string {
  return `log-${String(sequence).padStart(12, '0')}`
}

/** The number in a segment's name; undefined for other files. */
export function segmentSequence(name: string): number | undefined {
  const match = /^log-(\d{12})$/.exec(name)
  return match?.[1] === undefined ? undefined : Number(match[1])
}

/** `chain` is where the chain of the segment's records begins. */
export function encodeSegmentHeader(header: SegmentHeader): {
  readonly bytes: Buffer
  readonly chain: number
} {
  const writer = new ByteWriter(segmentHeaderBytes)
  writer.bytes(magic)
  writer.u16(formatVersion)
  writer.u16(header.keyId)
  writer.u64(header.sequence)
  writer.u64(header.previous?.sequence ?? 0)
  writer.u64(header.previous?.offset ?? 0)
  writer.u32(header.previous?.chain ?? 0)
  writer.u64(header.lastIndex)
  writer.u64(header.lastTerm)
  const filler = segmentHeaderBytes - 4 - writer.position
  writer.bytes(new Uint8Array(filler))
  const chain = crc32(writer.buffer.subarray(0, segmentHeaderBytes - 4))
  writer.u32(chain)
  return { bytes: writer.buffer, chain }
}

/** Throws ForeignLogError for a format that is newer than this program. */
export function parseSegmentHeader(content: Uint8Array): ParsedHeader {
  if (content.length < segmentHeaderBytes) return { kind: 'torn' }
  if (isBlank(content, 0, segmentHeaderBytes)) return { kind: 'torn' }
  const reader = new ByteReader(content.subarray(0, segmentHeaderBytes))
  const isOurs = reader.bytes(magic.length).equals(magic)
  const version = reader.u16()
  const chain = crc32(content.subarray(0, segmentHeaderBytes - 4))
  const sum = new ByteReader(content.subarray(segmentHeaderBytes - 4, segmentHeaderBytes)).u32()
  if (!isOurs || sum !== chain) {
    return { kind: 'damaged', reason: 'the segment header does not match its checksum' }
  }
  if (version > formatVersion) {
    throw new ForeignLogError(
      `a log segment has format ${version}, this program knows formats up to ${formatVersion}; ` +
        'run the version that wrote it, or a newer one',
    )
  }
  return { kind: 'header', header: readFields(reader), chain }
}

function readFields(reader: ByteReader): SegmentHeader {
  const keyId = reader.u16()
  const sequence = reader.u64()
  const previous = { sequence: reader.u64(), offset: reader.u64(), chain: reader.u32() }
  return {
    sequence,
    keyId,
    previous: previous.sequence === 0 ? undefined : previous,
    lastIndex: reader.u64(),
    lastTerm: reader.u64(),
  }
}
