// Reading the log back at open: which segments count, up to where, and what they hold. Decides
// between a torn tail, which is cut, and damage. Writes nothing.
import { type Batch, decodeBatch } from './batch.ts'
import { MalformedBytesError } from './bytes.ts'
import type { Disk } from './disk.ts'
import { DamagedLogError } from './errors.ts'
import type { Keyring } from './keyring.ts'
import { LogIndex } from './log-index.ts'
import { isBlank, openRecord, type ParsedRecord, parseRecord } from './record.ts'
import {
  parseSegmentHeader,
  type SegmentEnd,
  type SegmentHeader,
  segmentHeaderBytes,
  segmentName,
  segmentSequence,
} from './segment.ts'

/** A segment that counts. */
export interface Segment {
  readonly sequence: number
  /** Data key that seals it. */
  readonly keyId: number
  readonly bytes: number
}

export interface Replayed {
  /** Everything but `tail`. */
  readonly index: LogIndex
  /** Segments that count, ascending. */
  readonly segments: readonly Segment[]
  /**
   * The last record. It may only be in the page cache, so it is written anew into the next segment
   * before anyone relies on it; the segment it lies in then ends before it.
   */
  readonly tail: Batch | undefined
  /** What the next segment continues. */
  readonly previous: SegmentEnd | undefined
  /** Where the sound content ends, the tail included. Undefined: there is none. */
  readonly end: SegmentEnd | undefined
  /** Number of the next segment to create. */
  readonly nextSequence: number
  /** Files to remove before anything is written, in this order. */
  readonly discarded: readonly string[]
  /** Files that count no more once the tail is durable elsewhere. */
  readonly superseded: readonly string[]
  /** Only with `cutDamage`: what was cut. */
  readonly damage: DamagedLogError | undefined
}

interface Link {
  readonly sequence: number
  readonly header: SegmentHeader
  /** Where the chain of its records begins. */
  readonly chain: number
}

/** One record at its place. */
interface Located {
  readonly batch: Batch
  readonly start: SegmentEnd
  readonly end: SegmentEnd
}

/**
 * Throws DamagedLogError, ForeignLogError, DiskError. With `cutDamage` a damaged log is read up to
 * the damage instead, and `damage` says what was found.
 */
export function replayLog(disk: Disk, keyring: Keyring, cutDamage: boolean): Replayed {
  const replay = new LogReplay(disk, keyring)
  const damage = replay.read()
  if (damage !== undefined) {
    if (!cutDamage) throw damage
    replay.cut()
  }
  return replay.result(damage)
}

class LogReplay {
  readonly #disk: Disk
  readonly #keyring: Keyring
  readonly #sequences: readonly number[]
  #chain: Link[] = []
  #superseded: number[] = []
  #index = new LogIndex(0, 0)
  /** The last record read, held back until another follows. */
  #held: Located | undefined
  /** Where segments that do not count say that the one before them ended. */
  #claims: SegmentEnd[] = []
  /** Segments read to their end, or to the damage. */
  #read: Segment[] = []

  constructor(disk: Disk, keyring: Keyring) {
    this.#disk = disk
    this.#keyring = keyring
    this.#sequences = disk
      .list()
      .map(segmentSequence)
      .filter((sequence) => sequence !== undefined)
      .sort((a, b) => a - b)
  }

  /** Reads all that counts; returns the first damage met. */
  read(): DamagedLogError | undefined {
    const linkDamage = catchDamage(() => this.#link())
    return catchDamage(() => this.#readChain()) ?? linkDamage
  }

  /** After damage: only what was read before it counts. */
  cut(): void {
    const held = this.#held
    if (held !== undefined && this.#index.continues(held.batch)) {
      this.#chain = this.#chain.filter((link) => link.sequence <= held.start.sequence)
      return
    }
    const { hardState } = this.#index
    this.#held = undefined
    this.#chain = []
    this.#superseded = []
    this.#index = new LogIndex(0, 0)
    this.#index.setHardState(hardState)
  }

  result(damage: DamagedLogError | undefined): Replayed {
    const held = this.#held
    const last = this.#chain.at(-1)
    const chained = this.#chain.map((link) => link.sequence)
    const kept = new Set([...chained, ...this.#superseded])
    const isEmptied = held?.start.offset === segmentHeaderBytes
    const emptied = isEmptied && last !== undefined ? [last.sequence] : []
    const counted = new Set(chained.filter((sequence) => !emptied.includes(sequence)))
    return {
      index: this.#index,
      segments: this.#read.filter(({ sequence }) => counted.has(sequence)),
      tail: held?.batch,
      previous: isEmptied ? last?.header.previous : held?.start,
      end: held?.end,
      nextSequence: Math.max(0, ...kept) + 1,
      discarded: this.#sequences
        .filter((sequence) => !kept.has(sequence))
        .reverse()
        .map(segmentName),
      superseded: [...this.#superseded, ...emptied].map(segmentName),
      damage,
    }
  }

  /**
   * Finds the segments that continue one another. A newest segment without a sound record does not
   * count: what it was to begin with is still the end of the segment before.
   */
  #link(): void {
    const sequences = [...this.#sequences]
    while (sequences.length > 0 && this.#isUnproven(sequences.at(-1) as number)) sequences.pop()
    for (const sequence of sequences) this.#join(this.#readLink(sequence))
  }

  /** Whether the segment's header or first record was never made durable. Damage is not judged here. */
  #isUnproven(sequence: number): boolean {
    const name = segmentName(sequence)
    const content = this.#disk.read(name, 0, this.#disk.size(name))
    const header = parseSegmentHeader(content)
    if (header.kind !== 'header') {
      return header.kind === 'torn' && isBlank(content, segmentHeaderBytes, content.length)
    }
    const first = parseRecord(content, segmentHeaderBytes, header.chain)
    const isUnproven = first.kind === 'end' || first.kind === 'torn'
    if (isUnproven && header.header.previous !== undefined)
      this.#claims.push(header.header.previous)
    return isUnproven
  }

  #readLink(sequence: number): Link {
    const name = segmentName(sequence)
    const parsed = parseSegmentHeader(this.#disk.read(name, 0, segmentHeaderBytes))
    if (parsed.kind === 'damaged') throw new DamagedLogError(name, 0, parsed.reason)
    if (parsed.kind === 'torn') throw new DamagedLogError(name, 0, 'the segment header is missing')
    if (parsed.header.sequence !== sequence) {
      throw new DamagedLogError(name, 0, `its header is that of segment ${parsed.header.sequence}`)
    }
    return { sequence, header: parsed.header, chain: parsed.chain }
  }

  #join(link: Link): void {
    const previous = link.header.previous?.sequence ?? 0
    let popped: Link | undefined
    while ((this.#chain.at(-1)?.sequence ?? 0) > previous) {
      popped = this.#chain.pop() as Link
      this.#superseded.push(popped.sequence)
    }
    const found = this.#chain.at(-1)?.sequence
    const replaces = popped === undefined || (popped.header.previous?.sequence ?? 0) === previous
    if (!replaces || (found !== undefined && found !== previous)) {
      const name = segmentName(link.sequence)
      throw new DamagedLogError(name, 0, `segment ${previous}, which it continues, is missing`)
    }
    this.#chain.push(link)
  }

  #readChain(): void {
    const oldest = this.#chain[0]
    if (oldest === undefined) return
    const { lastIndex, lastTerm } = oldest.header
    this.#index = new LogIndex(lastIndex, lastIndex > 0 && lastTerm === 0 ? undefined : lastTerm)
    for (const [i, link] of this.#chain.entries()) {
      this.#readSegment(link, this.#chain[i + 1]?.header.previous)
    }
    if (this.#held !== undefined) this.#checkGap(this.#held)
    this.#checkClaims()
  }

  /** A header was begun only once all before it was durable, whether or not a record followed. */
  #checkClaims(): void {
    const last = this.#chain.at(-1)?.sequence
    const offset = this.#held?.end.offset ?? segmentHeaderBytes
    if (last === undefined || (this.#held?.end.sequence ?? last) !== last) return
    if (!this.#claims.some((claim) => claim.sequence === last && claim.offset > offset)) return
    const reason = 'records that were there when the next segment was begun are missing'
    throw new DamagedLogError(segmentName(last), offset, reason)
  }

  /** `limit`: where the next segment says that this one ends; undefined for the last one. */
  #readSegment(link: Link, limit: SegmentEnd | undefined): void {
    const name = segmentName(link.sequence)
    const content = this.#disk.read(name, 0, limit?.offset ?? this.#disk.size(name))
    let at: SegmentEnd = { sequence: link.sequence, offset: segmentHeaderBytes, chain: link.chain }
    const { sequence } = link
    const { keyId } = link.header
    const segment = this.#read.push({ sequence, keyId, bytes: content.length })
    while (true) {
      const parsed = parseRecord(content, at.offset, at.chain)
      if (parsed.kind === 'damaged') throw new DamagedLogError(name, at.offset, parsed.reason)
      if (parsed.kind !== 'record') break
      const end = { sequence: link.sequence, offset: parsed.end, chain: parsed.header.chain }
      this.#take({ batch: this.#decode(link, at.offset, parsed), start: at, end })
      at = end
    }
    this.#read[segment - 1] = { sequence, keyId, bytes: at.offset }
    if (limit === undefined) return
    if (limit.offset !== at.offset || limit.chain !== at.chain) {
      throw new DamagedLogError(
        name,
        at.offset,
        'records that the next segment continues are missing',
      )
    }
  }

  #decode(link: Link, offset: number, record: Extract<ParsedRecord, { kind: 'record' }>): Batch {
    const sealer = this.#keyring.sealer(link.header.keyId)
    try {
      return decodeBatch(openRecord(sealer, { kind: 'log', part: 0 }, record))
    } catch (err) {
      const reason =
        err instanceof MalformedBytesError ? err.message : 'a record does not open with its key'
      throw new DamagedLogError(segmentName(link.sequence), offset, reason, err)
    }
  }

  #take(next: Located): void {
    const before = this.#held
    if (before !== undefined) {
      this.#checkGap(before)
      const { sequence, offset } = before.start
      this.#index.apply(before.batch, { sequence, offset, length: before.end.offset - offset })
    }
    this.#held = next
  }

  #checkGap({ batch, start }: Located): void {
    if (this.#index.continues(batch)) return
    const name = segmentName(start.sequence)
    throw new DamagedLogError(
      name,
      start.offset,
      `entries after ${this.#index.lastIndex} are missing`,
    )
  }
}

function catchDamage(run: () => void): DamagedLogError | undefined {
  try {
    run()
    return undefined
  } catch (err) {
    if (err instanceof DamagedLogError) return err
    throw err
  }
}
