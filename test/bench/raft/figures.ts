// The rows of the Raft benchmark, made of rounds of ours and, where it was measured, of etcd's. Pure.
import { median, rounded } from './rounds.ts'
import type { CommitResult } from './sides.ts'

/** Rounds of one concurrency on both sides; etcd's are empty where it was not measured. */
export interface CommitRounds {
  readonly proposers: number
  readonly ours: readonly CommitResult[]
  readonly etcd: readonly CommitResult[]
  readonly etcdConnections: number | undefined
}

export interface CommitFigure {
  readonly proposers: number
  /** Medians of the rounds, as is all that follows. */
  readonly perSecond: number
  readonly etcdPerSecond: number | undefined
  /** Ours by etcd's: 2 says that ours commits twice as many. */
  readonly ratio: number | undefined
  readonly goalRatio: number | undefined
  readonly p50Ms: number
  readonly p99Ms: number
  readonly etcdP50Ms: number | undefined
  readonly etcdP99Ms: number | undefined
  /** Processor time of the leader's process by commit: what a busy machine does not lengthen. */
  readonly leaderCpuMicros: number
  readonly etcdLeaderCpuMicros: number | undefined
  readonly roundsPerSecond: string
  readonly etcdRoundsPerSecond: string | undefined
  readonly etcdConnections: number | undefined
  /** What was not committed, by outcome; left out when all was. */
  readonly others: string | undefined
}

export interface LatencyFigure {
  readonly what: string
  readonly p50Ms: number
  readonly roundsMs: string | undefined
}

const goals: Readonly<Record<number, number>> = { 64: 2, 1000: 2 }

export function commitFigure(rounds: CommitRounds): CommitFigure {
  const { proposers, ours, etcd, etcdConnections } = rounds
  const of = (results: readonly CommitResult[], pick: (result: CommitResult) => number): number =>
    rounded(median(results.map(pick)))
  const ofEtcd = (pick: (result: CommitResult) => number): number | undefined =>
    etcd.length === 0 ? undefined : of(etcd, pick)
  const perSecond = of(ours, (result) => result.perSecond)
  const etcdPerSecond = ofEtcd((result) => result.perSecond)
  return {
    proposers,
    perSecond: Math.round(perSecond),
    etcdPerSecond: etcdPerSecond === undefined ? undefined : Math.round(etcdPerSecond),
    ratio: etcdPerSecond === undefined ? undefined : rounded(perSecond / etcdPerSecond),
    goalRatio: etcdPerSecond === undefined ? undefined : goals[proposers],
    p50Ms: of(ours, (result) => result.p50Ms),
    p99Ms: of(ours, (result) => result.p99Ms),
    etcdP50Ms: ofEtcd((result) => result.p50Ms),
    etcdP99Ms: ofEtcd((result) => result.p99Ms),
    leaderCpuMicros: of(ours, (result) => result.leaderCpuMicros),
    etcdLeaderCpuMicros: ofEtcd((result) => result.leaderCpuMicros),
    roundsPerSecond: inWords(ours),
    etcdRoundsPerSecond: etcd.length === 0 ? undefined : inWords(etcd),
    etcdConnections,
    others: othersInWords([...ours, ...etcd]),
  }
}

export interface OneProposer {
  readonly flushMs: readonly number[]
  readonly roundTripMs: readonly number[]
  /** The same without any Raft. */
  readonly floorMs: readonly number[]
  readonly commitMs: readonly number[]
}

const latencyGoal = 1.5

/** One commit beside what it cannot do without: one flush and one round trip. */
export function latencyFigures(one: OneProposer): readonly LatencyFigure[] {
  const row = (what: string, rounds: readonly number[]): LatencyFigure => ({
    what,
    p50Ms: rounded(median(rounds)),
    roundsMs: rounds.map(rounded).join(' '),
  })
  const least = median(one.flushMs) + median(one.roundTripMs)
  const commit = median(one.commitMs)
  return [
    row('one flush of one entry', one.flushMs),
    row('one round trip between two processes', one.roundTripMs),
    row('one entry durable on a majority, without Raft', one.floorMs),
    row('one commit, one proposer', one.commitMs),
    {
      what: `commit by flush + round trip: ${rounded(commit / least)} (goal ${latencyGoal})`,
      p50Ms: rounded(latencyGoal * least),
      roundsMs: undefined,
    },
    {
      what: `commit by the same without Raft: ${rounded(commit / median(one.floorMs))}`,
      p50Ms: rounded(median(one.floorMs)),
      roundsMs: undefined,
    },
  ]
}

function inWords(results: readonly CommitResult[]): string {
  return results.map(({ perSecond }) => Math.round(perSecond)).join(' ')
}

function othersInWords(results: readonly CommitResult[]): string | undefined {
  const all = new Map<string, number>()
  for (const { others } of results) {
    for (const [kind, count] of Object.entries(others)) all.set(kind, (all.get(kind) ?? 0) + count)
  }
  if (all.size === 0) return undefined
  return [...all].map(([kind, count]) => `${kind}: ${count}`).join(', ')
}
