// What a RaftNode is built from and what it shows of itself. Data and interfaces only.
import type {
  ConfState,
  Entry,
  HardState,
  Index,
  NodeId,
  Role,
  SnapshotMeta,
  Term,
} from './types.ts'

/** Synchronous reads of the durable log. The core asks only for entries it was told are durable. */
export interface LogReader {
  /** The term of a durable entry (or of the newest snapshot's index); undefined when it was compacted. */
  term(index: Index): Term | undefined
  /**
   * Durable entries from `from` to `to`, both included, ascending, cut before `maxBytes` by entryBytes is
   * exceeded but at least one. Empty when `from` was compacted.
   */
  entries(from: Index, to: Index, maxBytes: number): readonly Entry[]
}

/** A configuration and the index of the entry that brought it. */
export interface ConfAt {
  readonly index: Index
  readonly conf: ConfState
}

/** What storage found on disk. */
export interface RestoredState {
  readonly hardState: HardState
  /** The newest complete snapshot; absent: none was ever made. */
  readonly snapshot?: SnapshotMeta
  /** First readable entry; lastIndex + 1 when there is none. May be at or below snapshot.index. */
  readonly firstIndex: Index
  /** Last entry, or snapshot.index when none follows it; 0 for an empty log. */
  readonly lastIndex: Index
  /** Configuration entries after snapshot.index up to lastIndex, ascending. */
  readonly confs: readonly ConfAt[]
  /** Up to where the caller's state machine already is: usually snapshot.index, or 0. */
  readonly applied: Index
  /**
   * The log was damaged and cut: entries acknowledged before may be missing. The node neither votes nor
   * campaigns until it again holds all that was committed.
   */
  readonly repairing: boolean
}

/** The bounds and time-outs, in ticks, messages and bytes. */
export interface RaftTuning {
  /** A follower campaigns after this many ticks without a leader, up to twice as many (randomized). */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** Entries of one append message. */
  readonly messageBytesMax: number
  /** Unacknowledged append messages to one peer. */
  readonly inflightMessagesMax: number
  readonly inflightBytesMax: number
  /**
   * Entries not yet durable or not yet committed; above it propose answers busy. A follower takes no more than
   * this beyond what its disk has flushed.
   */
  readonly pendingBytesMax: number
  /** Durable entries kept in memory for slow peers. */
  readonly cacheBytesMax: number
  /** Committed entries handed out and not yet reported by applied(). */
  readonly applyingBytesMax: number
  /** Reads waiting for their round. */
  readonly pendingReadsMax: number
  readonly preVote: boolean
  readonly checkQuorum: boolean
}

/** What a driver uses for tuning that it is not given. */
export const defaultRaftTuning: RaftTuning = {
  electionTicks: 10,
  heartbeatTicks: 2,
  messageBytesMax: 512 * 1024,
  inflightMessagesMax: 64,
  inflightBytesMax: 4 * 1024 * 1024,
  pendingBytesMax: 16 * 1024 * 1024,
  cacheBytesMax: 16 * 1024 * 1024,
  applyingBytesMax: 16 * 1024 * 1024,
  pendingReadsMax: 65_536,
  preVote: true,
  checkQuorum: true,
}

/** What a RaftNode begins with. */
export interface RaftConfig extends RaftTuning {
  readonly id: NodeId
  readonly restored: RestoredState
  readonly log: LogReader
  /** A float in [0, 1). */
  readonly random: () => number
  /**
   * Who should rather lead; the same on every node, as far as possible. A voter waits up to two election time-outs
   * longer than those of higher priority, and a leader hands over to an able one. Default: all are equal.
   * It never decides who may lead: a voter of the lowest priority leads when no other does.
   */
  readonly priorityOf?: (id: NodeId) => number
}

/** How a leader sends to a peer: one message at a time, pipelined, or not while a snapshot is on its way. */
export type ProgressState = 'probe' | 'replicate' | 'snapshot'

/** A leader's view of one peer. */
export interface PeerStatus {
  readonly id: NodeId
  readonly learner: boolean
  readonly state: ProgressState
  /** Highest index known to be durable there. */
  readonly match: Index
  /** Next index to send. */
  readonly next: Index
  /** Heard from within the last election time-out. */
  readonly active: boolean
  /** Ticks since its last answer in this leadership, or since it was added. */
  readonly silentTicks: number
  readonly inflightMessages: number
}

/** A live view of a node: it shows the present, and every look costs hardly anything. */
export interface NodeView {
  readonly role: Role
  readonly leader: NodeId | undefined
  readonly term: Term
  readonly vote: NodeId | undefined
  readonly commit: Index
  readonly firstIndex: Index
  readonly lastIndex: Index
  /** The configuration that holds, and the index of the newest one in the log. */
  readonly conf: ConfState
  readonly confIndex: Index
  readonly isRepairing: boolean
  /** Term of the entry at index; undefined when it is compacted or beyond the end. */
  termAt(index: Index): Term | undefined
}

/** What a node shows of itself at one moment. */
export interface Status {
  readonly id: NodeId
  readonly role: Role
  readonly term: Term
  readonly vote: NodeId | undefined
  readonly leader: NodeId | undefined
  readonly commit: Index
  readonly applied: Index
  readonly firstIndex: Index
  readonly lastIndex: Index
  /** Highest index durable here. */
  readonly stable: Index
  /** The configuration that holds now, and the entry that brought it. */
  readonly conf: ConfState
  readonly confIndex: Index
  readonly transferringTo: NodeId | undefined
  /** Still being repaired: see RestoredState.repairing. */
  readonly repairing: boolean
  /** Bytes that count against pendingBytesMax. */
  readonly pendingBytes: number
  /** Empty unless leader. */
  readonly peers: readonly PeerStatus[]
}
