// Reads entries back from the log's segments, for peers that are behind. Keeps the last record
// opened, because a peer that catches up asks for one piece after another.
import type { Entry, Index } from '../core/types.ts'
import { decodeBatch } from './batch.ts'
import { MalformedBytesError } from './bytes.ts'
import type { Disk } from './disk.ts'
import { DamagedLogError } from './errors.ts'
import type { Keyring } from './keyring.ts'
import type { RecordPlace } from './log-index.ts'
import { openRecord, parseRecord } from './record.ts'
import { segmentName } from './segment.ts'

export class RecordReader {
  readonly #disk: Disk
  readonly #keyring: Keyring
  readonly #keyIds = new Map<number, number>()
  #last: { readonly place: RecordPlace; readonly entries: readonly Entry[] } | undefined

  constructor(disk: Disk, keyring: Keyring) {
    this.#disk = disk
    this.#keyring = keyring
  }

  /** Says which data key seals a segment. */
  keyOf(sequence: number, keyId: number): void {
    this.#keyIds.set(sequence, keyId)
  }

  /** Entries first..last of the record at place. Throws DamagedLogError, DiskError. */
  entries(place: RecordPlace, first: Index, last: Index): readonly Entry[] {
    if (this.#last?.place !== place) this.#last = { place, entries: this.#open(place) }
    const { entries } = this.#last
    const from = first - (entries[0]?.index ?? first)
    const found = entries.slice(from, from + last - first + 1)
    if (found[0]?.index === first && found.at(-1)?.index === last) return found
    throw damaged(place, `it does not hold the entries ${first} to ${last}`)
  }

  #open(place: RecordPlace): readonly Entry[] {
    const name = segmentName(place.sequence)
    const parsed = parseRecord(this.#disk.read(name, place.offset, place.length), 0, undefined)
    if (parsed.kind !== 'record') throw damaged(place, 'the record can no longer be read')
    const sealer = this.#keyring.sealer(this.#keyIds.get(place.sequence) ?? 0)
    try {
      return decodeBatch(openRecord(sealer, { kind: 'log', part: 0 }, parsed)).entries
    } catch (err) {
      const isMalformed = err instanceof MalformedBytesError
      throw damaged(place, isMalformed ? err.message : 'a record does not open with its key', err)
    }
  }
}

function damaged(place: RecordPlace, reason: string, cause?: unknown): DamagedLogError {
  return new DamagedLogError(segmentName(place.sequence), place.offset, reason, cause)
}
