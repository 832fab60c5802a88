// What kind of run a seed gives: size, pace of faults, bounds. Seeds differ, so that no kind of trouble is always
// the same distance from the next.
import type { RaftTuning } from '../core/config.ts'
import type { SnapshotPolicy } from '../driver/snapshot-maker.ts'
import { SimRandom } from './random.ts'

export interface RunPlan {
  /** Founding voters. */
  readonly nodes: number
  readonly faultPauseMs: number
  /** Mean time between two requests. */
  readonly requestPauseMs: number
  /** When all but one member are lost for good; undefined: never. */
  readonly lossAtMs: number | undefined
  /** Faults strike mostly at new leaders. */
  readonly isHunt: boolean
  /** Members are of different priority. */
  readonly isRanked: boolean
  readonly tuning: Partial<RaftTuning>
  readonly snapshotPolicy: SnapshotPolicy
  /** Records are sealed as in earnest; otherwise by a cheap stand-in. */
  readonly hasRealCipher: boolean
}

/** Bounds that are met all the time: one entry a message, few under way, logs read back from disk. */
const tightBounds: Partial<RaftTuning> = {
  messageBytesMax: 256,
  inflightMessagesMax: 4,
  inflightBytesMax: 8192,
  pendingBytesMax: 8000,
  cacheBytesMax: 4000,
  applyingBytesMax: 2000,
  pendingReadsMax: 8,
}

/** A leader keeps a little for those who are slow, so that both ways to catch up come about. */
const keepingLogs: SnapshotPolicy = { logBytes: 8000, entriesKept: 20, logBytesMax: 12_000 }
/** Whoever is behind gets a snapshot. */
const shortLogs: SnapshotPolicy = { logBytes: 3000, entriesKept: 3, logBytesMax: 4500 }

/** The plan of a seed whose faults end at `faultsMs`. */
export function planOf(seed: number, faultsMs: number): RunPlan {
  const random = SimRandom.named(seed, 'plan')
  const isSmall = random.chance(0.1)
  const faultPauseMs = random.pick([100, 250, 500]) ?? 250
  const isTight = random.chance(0.5)
  const hasNoPreVote = random.chance(0.1)
  const isLost = random.chance(0.06)
  const isHunt = random.chance(0.35)
  const requestPauseMs = random.pick([100, 200, 400]) ?? 200
  const hasRealCipher = random.chance(0.25)
  const isRanked = random.chance(0.4)
  const hasShortLogs = random.chance(0.5)
  const lossAtMs = faultsMs * random.between(0.3, 0.7)
  return {
    nodes: isSmall ? 3 : 5,
    faultPauseMs,
    requestPauseMs,
    lossAtMs: isLost && !isSmall ? Math.round(lossAtMs) : undefined,
    isHunt,
    isRanked,
    hasRealCipher,
    snapshotPolicy: hasShortLogs ? shortLogs : keepingLogs,
    tuning: {
      ...(isTight && tightBounds),
      ...(hasNoPreVote && { preVote: false }),
      ...(isHunt ? { electionTicks: 5 } : { heartbeatTicks: 2 + random.below(3) }),
      // Old entries reach the others one by one, and not all at once.
      ...(isHunt && random.chance(0.8) && { messageBytesMax: 40, inflightMessagesMax: 2 }),
    },
  }
}
