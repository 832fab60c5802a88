// What the Raft log and three Raft processes on loopback do a second: real fsync, mTLS peers, 256-byte entries.
// Prints nothing; the caller does.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  defaultSegmentBytesMax,
  type Entry,
  openNodeDisk,
  openStorage,
  type Storage,
  systemRandomBytes,
} from 'raft-ts'
import { MemberProcesses } from '../support/raft-members.ts'

const entryBytes = 256
const loadMs = 4_000
const warmUpMs = 1_000
const appendMs = 1_500

export interface AppendFigures {
  readonly entriesPerFlush: number
  readonly flushesPerSecond: number
  readonly entriesPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface CommitFigures {
  readonly proposers: number
  readonly commitsPerSecond: number
  /** Processor time that one commit costs the leader's process. */
  readonly leaderCpuMicros: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Proposals that were not committed, by outcome. */
  readonly others: Readonly<Record<string, number>>
}

export interface RaftFigures {
  readonly entryBytes: number
  /** One log alone: sealed, appended, fdatasynced. */
  readonly log: readonly AppendFigures[]
  /** Leader's main thread to its own apply, over three processes. */
  readonly cluster: readonly CommitFigures[]
}

/** Takes about 25 seconds. */
export async function runRaftBench(): Promise<RaftFigures> {
  const log: AppendFigures[] = []
  for (const entriesPerFlush of [1, 16, 64, 256, 1024]) log.push(await benchLog(entriesPerFlush))
  return { entryBytes, log, cluster: await benchCluster([1, 64, 1000]) }
}

async function benchLog(entriesPerFlush: number): Promise<AppendFigures> {
  const directory = mkdtempSync(join(tmpdir(), 'tsswarm-bench-log-'))
  try {
    const storage = await open(directory)
    const figures = await appendFor(storage, entriesPerFlush)
    await new Promise<void>((resolve) => storage.close(() => resolve()))
    return figures
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function open(directory: string): Promise<Storage> {
  return new Promise((resolve, reject) => {
    openStorage(
      {
        disk: openNodeDisk(directory),
        kek: { id: 'bench', key: systemRandomBytes(32) },
        group: 'bench',
        randomBytes: systemRandomBytes,
        segmentBytesMax: defaultSegmentBytesMax,
      },
      (err, storage) => {
        if (storage === undefined) reject(err)
        else resolve(storage)
      },
    )
  })
}

/** One flush after another, as the driver does under load. */
async function appendFor(storage: Storage, entriesPerFlush: number): Promise<AppendFigures> {
  const data = systemRandomBytes(entryBytes)
  const latencies: number[] = []
  const startMs = performance.now()
  let index = 0
  while (performance.now() - startMs < appendMs) {
    const entries: Entry[] = []
    for (let i = 0; i < entriesPerFlush; i++) {
      index += 1
      entries.push({ kind: 'data', term: 1, index, data })
    }
    const sentMs = performance.now()
    await new Promise<void>((resolve, reject) => {
      storage.log.append({ entries }, (err) => (err === undefined ? resolve() : reject(err)))
    })
    latencies.push(performance.now() - sentMs)
  }
  const seconds = (performance.now() - startMs) / 1000
  latencies.sort((a, b) => a - b)
  const at = (part: number): number => round(latencies[Math.floor(latencies.length * part)] ?? 0)
  return {
    entriesPerFlush,
    flushesPerSecond: Math.round(latencies.length / seconds),
    entriesPerSecond: Math.round((latencies.length * entriesPerFlush) / seconds),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  }
}

async function benchCluster(concurrencies: readonly number[]): Promise<readonly CommitFigures[]> {
  const cluster = await MemberProcesses.create(3)
  try {
    await cluster.found()
    const figures: CommitFigures[] = []
    for (const proposers of concurrencies) {
      const leader = await cluster.leader()
      await leader.load(proposers, warmUpMs, entryBytes)
      const result = await leader.load(proposers, loadMs, entryBytes)
      const { committed = 0, ...others } = result.outcomes
      figures.push({
        proposers,
        commitsPerSecond: Math.round((committed * 1000) / result.ms),
        leaderCpuMicros: Math.round((result.cpuMs * 1000) / Math.max(1, committed)),
        p50Ms: round(result.p50Ms),
        p99Ms: round(result.p99Ms),
        others,
      })
    }
    return figures
  } finally {
    await cluster.end()
  }
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}
