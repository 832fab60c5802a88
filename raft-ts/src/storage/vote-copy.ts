// A second copy of term and vote, in a file of its own, for the one thing that peers cannot give back to
// a member whose log is damaged: what it promised. Not sealed: it must be readable without any key.
//
// Records of one sector each, the last one counts; whole once its checksum fits:
//   magic 4 | CRC 4 | format 2 | flags 1 | group 4 | term 8 | length 2 | vote | zeros
//
// A record is written twice: when the vote is given, in parallel with the log's own, and again,
// marked as settled, when both are durable. So a log that is behind a settled record has lost a write.
import { crc32 } from 'node:zlib'
import type { HardState, NodeId, Term } from '../core/types.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { appendAndSync, type Disk, type DiskFile, type Done } from './disk.ts'
import { DamagedLogError, ForeignLogError } from './errors.ts'
import { isBlank } from './record.ts'
import { formatVersion } from './segment.ts'

export const voteName = 'vote'
const voteNewName = 'vote.new'
/** The file is begun anew when it is larger: about 64 votes. */
const fileBytesMax = 64 * 1024

const sectorBytes = 512
const magic = Buffer.from('rVot')
const crcFrom = 8
const headerBytes = 25
const settledFlag = 1
/** Longer member ids cannot be voted for. */
export const voteBytesMax = sectorBytes - headerBytes

/** What a member promised: no other vote in this term, none in an older one. */
export interface Ballot {
  readonly term: Term
  readonly vote: NodeId | undefined
}

/** What the file holds. */
export type FoundCopy =
  | {
      readonly kind: 'found'
      readonly newest: Ballot
      /** The newest that was durable in the log too; undefined when none is known. */
      readonly settled: Ballot | undefined
    }
  | { readonly kind: 'missing' }
  | { readonly kind: 'damaged'; readonly damage: DamagedLogError }

/** Whether `other` promises more. */
export function isBehind(ballot: Ballot, other: Ballot): boolean {
  if (ballot.term !== other.term) return ballot.term < other.term
  return ballot.vote === undefined && other.vote !== undefined
}

/** Two votes in one term. */
export function contradicts(ballot: Ballot, other: Ballot): boolean {
  const isVoted = ballot.vote !== undefined && other.vote !== undefined
  return ballot.term === other.term && isVoted && ballot.vote !== other.vote
}

function isSame(ballot: Ballot, other: Ballot): boolean {
  return ballot.term === other.term && ballot.vote === other.vote
}

/** Reads the copy. Throws ForeignLogError, DiskError. */
export function readVoteCopy(disk: Disk, group: string): FoundCopy {
  if (!disk.list().includes(voteName)) return { kind: 'missing' }
  const content = disk.read(voteName, 0, disk.size(voteName))
  let newest: Ballot | undefined
  let settled: Ballot | undefined
  for (let at = 0; at + sectorBytes <= content.length; at += sectorBytes) {
    const sector = content.subarray(at, at + sectorBytes)
    // Of two appends that were under way when the machine stopped, the first may be the blank one.
    if (isBlank(sector, 0, sectorBytes)) continue
    const record = decodeRecord(sector, group)
    if (record === undefined) {
      const damage = new DamagedLogError(voteName, at, 'a record does not match its checksum')
      return { kind: 'damaged', damage }
    }
    // Flushes follow one another: whoever voted again had the vote before in the log.
    if (newest !== undefined && isBehind(newest, record.ballot)) settled = newest
    if (newest === undefined || !isBehind(record.ballot, newest)) newest = record.ballot
    if (record.isSettled) settled = record.ballot
  }
  if (newest !== undefined) return { kind: 'found', newest, settled }
  return { kind: 'damaged', damage: new DamagedLogError(voteName, 0, 'it holds no record') }
}

function encodeRecord(group: string, ballot: Ballot, isSettled: boolean): Buffer {
  const vote = Buffer.from(ballot.vote ?? '')
  if (vote.length > voteBytesMax) {
    throw new RangeError(`a member id has at most ${voteBytesMax} bytes, not ${vote.length}`)
  }
  const writer = new ByteWriter(sectorBytes)
  writer.bytes(magic)
  writer.u32(0)
  writer.u16(formatVersion)
  writer.u8(isSettled ? settledFlag : 0)
  writer.u32(crc32(group))
  writer.u64(ballot.term)
  writer.u16(vote.length)
  writer.bytes(vote)
  writer.bytes(new Uint8Array(sectorBytes - writer.position))
  writer.buffer.writeUInt32BE(crc32(writer.buffer.subarray(crcFrom)), 4)
  return writer.buffer
}

/** Undefined when it is not whole. Throws ForeignLogError. */
function decodeRecord(
  sector: Uint8Array,
  group: string,
): { readonly ballot: Ballot; readonly isSettled: boolean } | undefined {
  const reader = new ByteReader(sector)
  const isOurs = reader.bytes(magic.length).equals(magic)
  if (!isOurs || reader.u32() !== crc32(sector.subarray(crcFrom))) return undefined
  const version = reader.u16()
  if (version > formatVersion) {
    throw new ForeignLogError(
      `the copy of the vote has format ${version}, this program knows formats up to ` +
        `${formatVersion}; run the version that wrote it, or a newer one`,
    )
  }
  const flags = reader.u8()
  if (reader.u32() !== crc32(group)) {
    throw new ForeignLogError(
      `the file ${voteName} in the Raft directory is of another group than ${group}; ` +
        'it was copied from another directory: remove it or restore the whole directory',
    )
  }
  const term = reader.u64()
  const vote = reader.bytes(reader.u16()).toString()
  const ballot = { term, vote: vote === '' ? undefined : vote }
  return { ballot, isSettled: (flags & settledFlag) !== 0 }
}

/** Writes the copy. One call at a time, `settle` excepted, which nobody has to wait for. */
export class VoteCopy {
  readonly #disk: Disk
  readonly #group: string
  #newest: Ballot = { term: 0, vote: undefined }
  #isSettled = false
  #file: DiskFile | undefined
  #bytes = 0

  constructor(disk: Disk, group: string) {
    this.#disk = disk
    this.#group = group
  }

  /** Begins the file anew. `settled` is what the log holds durably; the same as `newest`, or older. */
  begin(newest: Ballot, settled: Ballot, done: Done): void {
    const isSettled = isSame(newest, settled)
    const records = [encodeRecord(this.#group, settled, true)]
    if (!isSettled) records.push(encodeRecord(this.#group, newest, false))
    this.#replace(Buffer.concat(records), (err) => {
      if (err !== undefined) return done(err)
      this.#newest = newest
      this.#isSettled = isSettled
      done()
    })
  }

  /** Whether this hard state promises something that the copy does not hold. */
  lacks({ term, vote }: HardState): boolean {
    return term !== this.#newest.term || vote !== this.#newest.vote
  }

  /** Makes a ballot durable. Errors: the disk's; RangeError for an id that is too long. */
  write({ term, vote }: Ballot, done: Done): void {
    const ballot = { term, vote }
    const written = (err?: Error): void => {
      if (err === undefined) {
        this.#newest = ballot
        this.#isSettled = false
      }
      done(err)
    }
    try {
      const record = encodeRecord(this.#group, ballot, false)
      const file = this.#file
      if (file !== undefined && this.#bytes < fileBytesMax) this.#append(file, record, written)
      else this.begin(ballot, this.#newest, done)
    } catch (err) {
      done(err as Error)
    }
  }

  /** The log holds the newest ballot durably. Calls back only with an error. */
  settle(onFailed: (err: Error) => void): void {
    const file = this.#file
    if (this.#isSettled || file === undefined) return
    this.#isSettled = true
    this.#append(file, encodeRecord(this.#group, this.#newest, true), (err) => {
      if (err !== undefined) onFailed(err)
    })
  }

  close(done: () => void): void {
    if (this.#file === undefined) done()
    else this.#file.close(() => done())
  }

  #append(file: DiskFile, bytes: Uint8Array, done: Done): void {
    this.#bytes += bytes.length
    appendAndSync(file, bytes, done)
  }

  #replace(bytes: Uint8Array, done: Done): void {
    const disk = this.#disk
    disk.remove(voteNewName, (removeErr) => {
      if (removeErr !== undefined) return done(removeErr)
      disk.create(voteNewName, (createErr, file) => {
        if (file === undefined) return done(createErr ?? new Error('no file'))
        appendAndSync(file, bytes, (writeErr) => {
          if (writeErr !== undefined) return done(writeErr)
          disk.rename(voteNewName, voteName, (renameErr) => {
            if (renameErr !== undefined) return done(renameErr)
            const before = this.#file
            this.#file = file
            this.#bytes = bytes.length
            if (before === undefined) done()
            else before.close(() => done())
          })
        })
      })
    })
  }
}
