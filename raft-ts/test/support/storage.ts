// Opens storage on a disk in memory and runs its operations to the end.
import {
  type ConfState,
  type Entry,
  type HardState,
  openStorage,
  type Storage,
  type StorageOptions,
} from 'raft-ts'
import type { MemoryDisk } from './memory-disk.ts'

export const testKek = { id: 'test', key: new Uint8Array(32).fill(7) }

export const aConf = (voters: readonly string[]): ConfState => ({
  voters,
  outgoing: [],
  learners: [],
  learnersNext: [],
})

export const anEntry = (index: number, term = 1, text = `entry ${index}`): Entry => ({
  kind: 'data',
  term,
  index,
  data: Buffer.from(text),
})

/** Entries from..to of one term. */
export const someEntries = (from: number, to: number, term = 1): readonly Entry[] =>
  Array.from({ length: to - from + 1 }, (_, i) => anEntry(from + i, term))

export const aHardState = (hardState: Partial<HardState> = {}): HardState => ({
  term: 1,
  vote: undefined,
  commit: 0,
  ...hardState,
})

export function storageOptions(
  disk: MemoryDisk,
  options: Partial<StorageOptions> = {},
): StorageOptions {
  let byte = 0
  return {
    disk,
    kek: testKek,
    group: 'group',
    randomBytes: (length) =>
      Uint8Array.from({ length }, () => {
        byte = (byte * 31 + 17) & 0xff
        return byte
      }),
    segmentBytesMax: 4096,
    ...options,
  }
}

/** The storage, or the error with which opening failed. */
export function tryOpen(disk: MemoryDisk, options: Partial<StorageOptions> = {}): Storage | Error {
  let result: Storage | Error = new Error('opening never ended')
  openStorage(storageOptions(disk, options), (err, storage) => {
    result = storage ?? err ?? new Error('neither storage nor error')
  })
  disk.run()
  return result
}

export function open(disk: MemoryDisk, options: Partial<StorageOptions> = {}): Storage {
  const result = tryOpen(disk, options)
  if (result instanceof Error) throw result
  return result
}

/** Appends and waits; returns the error if there was one. */
export function append(
  disk: MemoryDisk,
  storage: Storage,
  entries: readonly Entry[],
  hardState?: HardState,
): Error | undefined {
  let result: Error | undefined = new Error('the append never ended')
  storage.log.append({ entries, ...(hardState && { hardState }) }, (err) => {
    result = err
  })
  disk.run()
  return result
}

export function close(disk: MemoryDisk, storage: Storage): Error | undefined {
  let result: Error | undefined = new Error('closing never ended')
  storage.close((err) => {
    result = err
  })
  disk.run()
  return result
}

/** All entries that the log holds, as text: `index/term content`. */
export function contentOf(storage: Storage): readonly string[] {
  const { log } = storage
  if (log.lastIndex < log.firstIndex) return []
  return log
    .entries(log.firstIndex, log.lastIndex, Number.POSITIVE_INFINITY)
    .map((entry) => textOf(entry))
}

export function textOf(entry: Entry): string {
  const content =
    entry.kind === 'data' ? Buffer.from(entry.data).toString() : JSON.stringify(entry.conf)
  return `${entry.index}/${entry.term} ${content}`
}

/** Nothing that was not synced is left. */
export const powerCut = { keep: () => 0 }
/** The process died, the machine did not. */
export const processCrash = { keep: (_: string, unsynced: number) => unsynced }
