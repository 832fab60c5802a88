// One log alone, without peers: entries sealed, appended and made durable, one flush after another.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  defaultSegmentBytesMax,
  type Entry,
  openNodeDisk,
  openStorage,
  type Storage,
  type StorageOptions,
  systemRandomBytes,
} from 'raft-ts'
import { quantile, rounded } from './rounds.ts'

export interface AppendFigures {
  readonly entriesPerFlush: number
  readonly flushesPerSecond: number
  readonly entriesPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface AppendLoad {
  readonly entriesPerFlush: number
  readonly entryBytes: number
  readonly ms: number
}

/** Runs fn with a fresh directory, which is removed whatever comes. */
export async function inDirectory<T>(fn: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'tsswarm-bench-log-'))
  try {
    return await fn(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A member's directory under a fixed key, so that another process can open it again. */
export function openBenchStorage(
  directory: string,
  beginning?: StorageOptions['beginning'],
): Promise<Storage> {
  return new Promise((resolve, reject) => {
    openStorage(
      {
        disk: openNodeDisk(directory),
        kek: { id: 'bench', key: new Uint8Array(32).fill(7) },
        group: 'bench',
        randomBytes: systemRandomBytes,
        segmentBytesMax: defaultSegmentBytesMax,
        ...(beginning && { beginning }),
      },
      (err, storage) => {
        if (storage === undefined) reject(err)
        else resolve(storage)
      },
    )
  })
}

/** One flush after another, as the driver does under load. */
export async function benchAppends(load: AppendLoad): Promise<AppendFigures> {
  return await inDirectory(async (directory) => {
    const storage = await openBenchStorage(directory)
    const figures = await appendFor(storage, load)
    await closed(storage)
    return figures
  })
}

async function appendFor(storage: Storage, load: AppendLoad): Promise<AppendFigures> {
  const { entriesPerFlush, entryBytes, ms } = load
  const data = systemRandomBytes(entryBytes)
  const latencies: number[] = []
  const startMs = performance.now()
  let index = 0
  while (performance.now() - startMs < ms) {
    const entries = dataEntries(index + 1, entriesPerFlush, data)
    index += entriesPerFlush
    const sentMs = performance.now()
    await append(storage, entries)
    latencies.push(performance.now() - sentMs)
  }
  const seconds = (performance.now() - startMs) / 1000
  return {
    entriesPerFlush,
    flushesPerSecond: Math.round(latencies.length / seconds),
    entriesPerSecond: Math.round((latencies.length * entriesPerFlush) / seconds),
    p50Ms: rounded(quantile(latencies, 0.5)),
    p99Ms: rounded(quantile(latencies, 0.99)),
  }
}

/** Entries of term 1 from `first` on, all with the same bytes. */
export function dataEntries(first: number, count: number, data: Uint8Array): readonly Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    kind: 'data',
    term: 1,
    index: first + i,
    data,
  }))
}

/** Resolves when the entries are durable. */
export function append(storage: Storage, entries: readonly Entry[]): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.log.append({ entries }, (err) => (err === undefined ? resolve() : reject(err)))
  })
}

export function closed(storage: Storage): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.close((err) => (err === undefined ? resolve() : reject(err)))
  })
}
