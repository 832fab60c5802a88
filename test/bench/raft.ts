// What the Raft log and three Raft processes on loopback do a second: real fsync, mTLS peers, 256-byte entries; beside
// it, in alternating rounds, etcd under a native load generator. Prints nothing; the caller does.
import { cpus, loadavg } from 'node:os'
import { etcdVersion, missingPackages } from './etcd/etcd-load.ts'
import {
  type CommitFigure,
  type CommitRounds,
  commitFigure,
  type LatencyFigure,
  latencyFigures,
} from './raft/figures.ts'
import { measureFloor } from './raft/floor.ts'
import { benchIdle, type IdleFigure } from './raft/idle.ts'
import { type AppendFigures, benchAppends } from './raft/log-alone.ts'
import { benchRecovery, type RecoveryFigure } from './raft/recovery.ts'
import { RoundTrip } from './raft/round-trip.ts'
import { median, quantile } from './raft/rounds.ts'
import { type CommitResult, EtcdSide, OurSide, type Side } from './raft/sides.ts'
import { type BenchContext, interruptible, throwIfAborted } from './side-by-side.ts'

const entryBytes = 256
const rounds = 5
const loadMs = 3_000
const warmUpMs = 1_000
const appendMs = 1_500
const idleMs = 10_000
/** Besides one. */
const concurrencies = [64, 1000] as const

export interface RaftFigures {
  /** Load is the one-minute average at the start: other work on the machine lengthens every figure. */
  readonly machine: { readonly cpus: number; readonly load: number }
  /** etcd's version, or why it was not measured. */
  readonly peer: string
  readonly entryBytes: number
  /** One log alone: sealed, appended, made durable. */
  readonly log: readonly AppendFigures[]
  /** Leader's main thread to its own apply, over three processes. */
  readonly commits: readonly CommitFigure[]
  readonly latency: readonly LatencyFigure[]
  /** Not judged: the client costs more than the servers. */
  readonly sameNodeClient: readonly NodeClientFigure[]
  readonly recovery: readonly RecoveryFigure[]
  readonly idle: readonly IdleFigure[]
}

export interface NodeClientFigure {
  readonly concurrency: number
  readonly perSecond: number
  readonly etcdPerSecond: number | undefined
  readonly p50Ms: number
  readonly etcdP50Ms: number | undefined
}

/** Takes about three minutes. Errors: CANCELLED by SIGINT, SIGTERM or SIGHUP when what was made is removed. */
export async function runRaftBench(context: BenchContext): Promise<RaftFigures> {
  const machine = { cpus: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(1)) }
  return await interruptible(async (signal) => {
    const log: AppendFigures[] = []
    for (const entriesPerFlush of [1, 16, 64, 256, 1024]) {
      throwIfAborted(signal)
      log.push(await benchAppends({ entriesPerFlush, entryBytes, ms: appendMs }))
    }
    const compared = await compare(context, signal)
    const recovery = [
      await benchRecovery({ entries: 1_000_000, entryBytes, entriesPerRecord: 64, rounds: 3 }),
    ]
    throwIfAborted(signal)
    return { machine, entryBytes, log, ...compared, recovery, idle: await benchIdle(idleMs) }
  })
}

type Compared = Pick<RaftFigures, 'peer' | 'commits' | 'latency' | 'sameNodeClient'>

async function compare(context: BenchContext, signal: AbortSignal): Promise<Compared> {
  const { peer, etcd } = await startEtcd(context)
  try {
    const ours = await OurSide.start()
    try {
      return { peer, ...(await measure({ ours, etcd }, signal)) }
    } finally {
      await ours.end()
    }
  } finally {
    await etcd?.end()
  }
}

async function startEtcd(
  context: BenchContext,
): Promise<{ readonly peer: string; readonly etcd: EtcdSide | undefined }> {
  if (!context.peer) return { peer: 'left out (--no-peer)', etcd: undefined }
  const missing = await missingPackages()
  if (missing.length > 0) {
    return { peer: `not installed (apt-get install ${missing.join(' ')})`, etcd: undefined }
  }
  const version = `etcd ${await etcdVersion()}`
  try {
    return { peer: version, etcd: await EtcdSide.start() }
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    return { peer: `${version}, not measured: ${why}`, etcd: undefined }
  }
}

async function measure(sides: Sides, signal: AbortSignal): Promise<Omit<Compared, 'peer'>> {
  // A member that serves has long been warm, and what it is compared with is measured warm.
  for (const side of [sides.ours, sides.etcd]) {
    await side?.commits({ proposers: 64, entryBytes, warmUpMs: 0, loadMs: 8_000 })
  }
  const { figure, latency } = await measureOneProposer(sides, signal)
  const commits = [figure]
  for (const proposers of concurrencies) {
    commits.push(commitFigure(await measureRounds(proposers, sides, signal)))
  }
  const sameNodeClient: NodeClientFigure[] = []
  for (const concurrency of [1, 64]) {
    throwIfAborted(signal)
    sameNodeClient.push(await measureNodeClient(sides, concurrency))
  }
  return { commits, latency, sameNodeClient }
}

interface Sides {
  readonly ours: Side
  readonly etcd: EtcdSide | undefined
}

/** Ours, etcd, ours, etcd …: what else the machine does falls on both. `before` comes before each pair. */
async function measureRounds(
  proposers: number,
  { ours, etcd }: Sides,
  signal: AbortSignal,
  before: () => Promise<void> = async () => {},
): Promise<CommitRounds> {
  const load = { proposers, entryBytes, warmUpMs, loadMs }
  const results: { ours: CommitResult[]; etcd: CommitResult[] } = { ours: [], etcd: [] }
  const etcdConnections = await etcd?.connections(load)
  for (let round = 0; round < rounds; round++) {
    throwIfAborted(signal)
    await before()
    results.ours.push(await ours.commits(load))
    if (etcd !== undefined) results.etcd.push(await etcd.commits(load))
  }
  return { proposers, ...results, etcdConnections }
}

/** In each round also what a commit is compared with. */
async function measureOneProposer(
  sides: Sides,
  signal: AbortSignal,
): Promise<{ readonly figure: CommitFigure; readonly latency: readonly LatencyFigure[] }> {
  const flushMs: number[] = []
  const roundTripMs: number[] = []
  const floorMs: number[] = []
  const roundTrip = await RoundTrip.open(entryBytes)
  try {
    const all = await measureRounds(1, sides, signal, async () => {
      flushMs.push((await benchAppends({ entriesPerFlush: 1, entryBytes, ms: appendMs })).p50Ms)
      roundTripMs.push(quantile(await roundTrip.measure(appendMs), 0.5))
      floorMs.push(quantile(await measureFloor(entryBytes, appendMs), 0.5))
    })
    const commitMs = all.ours.map(({ p50Ms }) => p50Ms)
    const latency = latencyFigures({ flushMs, roundTripMs, floorMs, commitMs })
    return { figure: commitFigure(all), latency }
  } finally {
    await roundTrip.end()
  }
}

async function measureNodeClient(
  { ours, etcd }: Sides,
  concurrency: number,
): Promise<NodeClientFigure> {
  const load = { concurrency, entryBytes, ms: 1_500 }
  const own = []
  const other = []
  for (let round = 0; round < 3; round++) {
    own.push(await ours.throughNode(load))
    if (etcd !== undefined) other.push(await etcd.throughNode(load))
  }
  return {
    concurrency,
    perSecond: median(own.map(({ perSecond }) => perSecond)),
    etcdPerSecond: etcd && median(other.map(({ perSecond }) => perSecond)),
    p50Ms: median(own.map(({ p50Ms }) => p50Ms)),
    etcdP50Ms: etcd && median(other.map(({ p50Ms }) => p50Ms)),
  }
}
