// What a member is started with, and what becomes of its requests. Data and interfaces only.
import type { RaftTuning } from '../core/config.ts'
import type { Index, NodeId, Note, Term } from '../core/types.ts'
import type { Leadership, ProposeOutcome, ReadOutcome } from '../driver/outcomes.ts'
import type { SnapshotPolicy } from '../driver/snapshot-maker.ts'
import type { KeyEncryptionKey } from '../storage/seal.ts'
import type { PeerNetwork } from './peer-network.ts'
import type { MemberStateMachine } from './plain-machine.ts'

/** What a member is started with. */
export interface MemberOptions<Result> {
  /** Unique in the cluster, and never used again after the member was removed. */
  readonly id: NodeId
  /** The member's own, of one process: the log in `log/`, the key in `raft.key` unless one is given. */
  readonly directory: string
  readonly network: PeerNetwork
  /** See plainStateMachine. */
  readonly stateMachine: MemberStateMachine<Result>
  /** The member ended by itself and takes no part any more; see the README on what to do about each error. */
  readonly onFailed: (err: Error) => void
  /**
   * The founding voters, the same list on each of them; without effect on a member that has a log.
   * Absent for a member that others will add.
   */
  readonly voters?: readonly NodeId[]
  /** Names the cluster: a directory of another one is refused. Default `raft`. */
  readonly cluster?: string
  /** Opens the data key of the log. Default: a key file in the directory, made when it is missing. */
  readonly key?: KeyEncryptionKey
  /**
   * `repair`: a damaged log is cut, and the member takes no part until its peers have mended it.
   * `force-new-cluster`: the quorum is lost for good, and this survivor becomes the only member; what
   * only the others held is lost, and they must never come back with their directories.
   */
  readonly recovery?: 'repair' | 'force-new-cluster'
  /** After so long a request is answered `lost` or `no-leader`. Default 10 s. */
  readonly requestTimeoutMs?: number
  /** Default 50. */
  readonly tickMs?: number
  readonly tuning?: Partial<RaftTuning>
  /** Proposals that wait to be applied; above it propose answers `busy`. Default 65,536. */
  readonly pendingProposalsMax?: number
  /** Who should rather lead: see DriverOptions.priorityOf. Default: all are equal. */
  readonly priorityOf?: (id: NodeId) => number
  readonly snapshotPolicy?: Partial<SnapshotPolicy>
  /** Roles and leaders, as they come. */
  readonly onLeadership?: (leadership: Leadership) => void
  /** Facts worth a log line. */
  readonly onNote?: (note: Note) => void
}

/** As ProposeOutcome, with what the state machine made of it. */
export type MemberProposeOutcome<Result> =
  | {
      readonly kind: 'committed'
      readonly index: Index
      readonly term: Term
      readonly result: Result
    }
  | Exclude<ProposeOutcome, { readonly kind: 'committed' }>

/** `ready`: what the function gave, from a state that holds all that was committed before the call. */
export type MemberReadOutcome<T> =
  | { readonly kind: 'ready'; readonly index: Index; readonly value: T }
  | Exclude<ReadOutcome, { readonly kind: 'ready' }>
