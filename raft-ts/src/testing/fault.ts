// What can go wrong in a simulated cluster, as plain data: a run's faults are a script that can be written down,
// shortened and played again. No behaviour.
import type { ConfChangeStep, NodeId } from '../core/types.ts'
import type { DiskMoment, DiskWeather } from './virtual-file.ts'
import type { NetworkWeather } from './virtual-network.ts'

/** A member by id, or whoever leads when the fault strikes. */
export type Who = NodeId | 'leader'

/**
 * Where in its own code a member dies: at a moment of its disk, or when one message has left and the others of
 * the same step have not, or amid the pieces of a snapshot.
 */
export type CrashMoment = DiskMoment | 'send' | 'snapshot'

/** A crash that waits for its moment. */
export interface AimedCrash {
  readonly moment: CrashMoment
  /** So many such moments pass first. */
  readonly skip: number
  readonly downMs: number
}

/**
 * Strikes a new leader once so many of its appends have left: the others have what it began with in part, or not
 * at all.
 */
export interface Blow {
  readonly after: number
  /** `roll`: all others are connected again, and it alone is cut off. */
  readonly act: 'crash' | 'cut' | 'cut-out' | 'roll'
  readonly downMs: number
}

/** What strikes, with all that was drawn for it. */
export type Fault =
  /** Comes back after downMs. */
  | { readonly kind: 'crash'; readonly who: Who; readonly downMs: number }
  | ({ readonly kind: 'crash-at'; readonly who: Who } & AimedCrash)
  /** Whoever leads next is struck, and so are the leaders after it: one blow each. */
  | { readonly kind: 'ambush'; readonly blows: readonly Blow[] }
  /** Comes back one by one, downMs after one another. */
  | { readonly kind: 'crash-all'; readonly downMs: number }
  /** As SIGSTOP, then SIGCONT. */
  | { readonly kind: 'stop'; readonly who: Who; readonly forMs: number }
  | { readonly kind: 'cut'; readonly links: readonly (readonly [NodeId, NodeId])[] }
  /** Cuts a side off from the others: both ways, or only what it sends or receives. */
  | {
      readonly kind: 'cut-off'
      readonly who: Who
      readonly together: readonly NodeId[]
      readonly way: 'both' | 'in' | 'out'
    }
  | { readonly kind: 'heal' }
  | { readonly kind: 'network'; readonly weather: NetworkWeather }
  | { readonly kind: 'disk'; readonly who: Who; readonly weather: DiskWeather }
  /**
   * Flips a bit on one disk: in the copy of the vote, or anywhere else. With downMs the member crashes, and finds
   * it when it comes back.
   */
  | {
      readonly kind: 'rot'
      readonly who: Who
      readonly ofVote: boolean
      readonly downMs: number | undefined
    }
  | { readonly kind: 'skew'; readonly who: Who; readonly rate: number }
  /** Takes a snapshot and compacts. */
  | { readonly kind: 'compact'; readonly who: Who }
  /** Exchanges the key that seals the log, or the one that wraps it. */
  | { readonly kind: 'rotate-keys'; readonly who: Who; readonly which: 'data' | 'wrapping' }
  /** To whoever is best, when it names nobody. May be given up after a while. */
  | {
      readonly kind: 'transfer'
      readonly to: NodeId | undefined
      readonly abortAfterMs: number | undefined
    }
  /** How much a member should rather lead, as all are told. */
  | { readonly kind: 'prefer'; readonly who: NodeId; readonly priority: number }
  /** A membership change; its leader may crash amid it. */
  | {
      readonly kind: 'change'
      readonly steps: readonly ConfChangeStep[]
      readonly crash: AimedCrash | undefined
    }
  /** A member is made a voter once it has caught up. */
  | { readonly kind: 'promote'; readonly id: NodeId }
  /** A new member with an empty disk; members that were removed are taken away for good. */
  | {
      readonly kind: 'join'
      readonly id: NodeId
      /** `caught-up`: a voter once it has caught up. */
      readonly as: 'add-learner' | 'add-voter' | 'caught-up'
      readonly forgotten: readonly NodeId[]
    }
  /** All but one are lost for good, and that one begins a cluster of its own. */
  | { readonly kind: 'lose-quorum'; readonly survivor: NodeId }

/** A fault and its time. */
export type FaultStep = Fault & { readonly atMs: number }

/** All faults of a run, in order of time. */
export interface FaultScript {
  readonly steps: readonly FaultStep[]
  /** When faults end and peace begins. */
  readonly endMs: number
}
