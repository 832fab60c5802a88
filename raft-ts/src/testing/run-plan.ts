// What kind of run a seed gives: size, pace of faults, bounds. Seeds differ, so that no kind of trouble is always
// the same distance from the next.
import type { RaftTuning } from '../core/config.ts'
import { SimRandom } from './random.ts'

export interface RunPlan {
  /** Founding voters. */
  readonly nodes: number
  readonly faultPauseMs: number
  /** When all but one member are lost for good; undefined: never. */
  readonly lossAtMs: number | undefined
  /** Faults strike mostly at new leaders. */
  readonly isHunt: boolean
  readonly tuning: Partial<RaftTuning>
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

/** The plan of a seed whose faults end at `faultsMs`. */
export function planOf(seed: number, faultsMs: number): RunPlan {
  const random = SimRandom.named(seed, 'plan')
  const isSmall = random.chance(0.1)
  const faultPauseMs = random.pick([100, 250, 500]) ?? 250
  const isTight = random.chance(0.5)
  const hasNoPreVote = random.chance(0.1)
  const isLost = random.chance(0.06)
  const isHunt = random.chance(0.3)
  const lossAtMs = faultsMs * random.between(0.3, 0.7)
  return {
    nodes: isSmall ? 3 : 5,
    faultPauseMs,
    lossAtMs: isLost && !isSmall ? Math.round(lossAtMs) : undefined,
    isHunt,
    tuning: {
      ...(isTight && tightBounds),
      ...(hasNoPreVote && { preVote: false }),
      ...(isHunt ? { electionTicks: 5 } : { heartbeatTicks: 2 + random.below(3) }),
      ...(isHunt && random.chance(0.7) && { messageBytesMax: 40 }),
    },
  }
}
