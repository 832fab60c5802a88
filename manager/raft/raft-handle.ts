// How the rest of the manager sees Raft: propose, read, apply, membership. Types only; the
// implementations are raft-thread (a worker thread) and in-process-raft (for simulation).

/** A member's Raft id: a random string made for each join, never reused. Not the node's certified id. */
export type RaftId = string

/**
 * What became of a proposal.
 * `committed`: durable on a quorum, and already given to StateMachine.apply here.
 * `not-leader`: nothing was proposed; try at `leader`.
 * `busy`: nothing was proposed, too much is in flight or leadership is being handed over; try again later.
 * `lost`: proposed, then leadership or the Raft thread went away: it may or may not be applied some day.
 */
export type ProposeOutcome =
  | { readonly kind: 'committed'; readonly index: number; readonly term: number }
  | { readonly kind: 'not-leader'; readonly leader: RaftId | undefined }
  | { readonly kind: 'busy' }
  | { readonly kind: 'lost' }

/**
 * `ready`: this node's state machine has applied everything that was committed anywhere before the
 * call; a view taken in the same tick is linearizable. `index` is the index that was reached.
 * `no-leader`: the quorum could not be asked in time; try again or elsewhere.
 */
export type ReadOutcome =
  | { readonly kind: 'ready'; readonly index: number }
  | { readonly kind: 'no-leader' }

/** What a store needs in order to write and to read. */
export interface Proposer {
  /**
   * Replicates bytes. The caller must not change `data` afterwards. Never rejects.
   * A `committed` promise resolves after StateMachine.apply returned for that very entry.
   */
  propose(data: Uint8Array): Promise<ProposeOutcome>
  /** A linearizable read point without a log write, on any member. Never rejects. */
  readIndex(): Promise<ReadOutcome>
}

export interface CommittedEntry {
  readonly index: number
  readonly term: number
  /** What was proposed. Empty for an entry that carries none (a new leader's first, a membership change): it only moves the index. */
  readonly data: Uint8Array
}

/** Where a snapshot stands in the log. */
export interface SnapshotPoint {
  readonly index: number
  readonly term: number
}

/** The replicated state, owned by the caller. Its methods never run concurrently, snapshot streams excepted. */
export interface StateMachine {
  /**
   * Applies consecutive entries in log order; each index comes once. A promise holds the next batch back.
   * Throwing ends the handle: the state would no longer be the log's.
   */
  apply(entries: readonly CommittedEntry[]): void | Promise<void>
  /**
   * The state as of the last applied entry. References are taken before this returns, chunks are
   * encoded as they are read (further entries may be applied meanwhile). Any chunk size. So it cannot be an
   * async generator itself: the body of one runs only when the first chunk is read.
   */
  snapshot(): AsyncIterable<Uint8Array>
  /** Replaces the whole state by a snapshot; entries after `at` follow through apply. */
  restore(at: SnapshotPoint, chunks: AsyncIterable<Uint8Array>): Promise<void>
}

/**
 * This member's part. `leader` is announced only after an entry of its own term was applied here, so
 * work may begin at once; any other role follows only after every outstanding proposal was settled.
 */
export interface Leadership {
  readonly role: 'follower' | 'candidate' | 'leader'
  readonly leader: RaftId | undefined
  readonly term: number
}

export interface Members {
  readonly voters: readonly RaftId[]
  /** Voters of the old configuration while a change is under way; empty otherwise. */
  readonly outgoing: readonly RaftId[]
  readonly learners: readonly RaftId[]
}

export type MemberStep =
  | { readonly kind: 'add-voter'; readonly id: RaftId }
  | { readonly kind: 'add-learner'; readonly id: RaftId }
  | { readonly kind: 'remove'; readonly id: RaftId }

/** `refused`: not valid, or another change is under way; `reason` says which. Others as ProposeOutcome. */
export type ChangeOutcome = ProposeOutcome | { readonly kind: 'refused'; readonly reason: string }

/** `done`: another member leads. `not-leader`: this one did not lead. `failed`: it leads on; `reason` says why. */
export type TransferOutcome =
  | { readonly kind: 'done'; readonly leader: RaftId }
  | { readonly kind: 'not-leader'; readonly leader: RaftId | undefined }
  | { readonly kind: 'failed'; readonly reason: string }

export interface PeerStatus {
  readonly id: RaftId
  /** Last log index known to be stored by the peer. */
  readonly matchIndex: number
  /** Whether it answered within the last election timeout. */
  readonly isActive: boolean
  readonly state: 'probe' | 'replicate' | 'snapshot'
}

export interface RaftStatus {
  readonly id: RaftId
  readonly leadership: Leadership
  readonly members: Members
  readonly firstIndex: number
  readonly lastIndex: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly snapshotIndex: number
  readonly logBytes: number
  /** The leader's view of the others; empty elsewhere. */
  readonly peers: readonly PeerStatus[]
}

/** Where a member is reached and which certified node it must prove to be. */
export interface RaftPeer {
  readonly id: RaftId
  /** The node id that its certificate carries as CN. */
  readonly nodeId: string
  /** host:port of its peer listener. */
  readonly address: string
}

/** PEM texts. `caPem` may hold two roots during a rotation. */
export interface RaftCredentials {
  readonly certPem: string
  readonly keyPem: string
  readonly caPem: string
}

export interface RaftHandle extends Proposer {
  readonly id: RaftId
  /** The last announced leadership. */
  leadership(): Leadership
  status(): Promise<RaftStatus>
  /** Changes the membership in one step or one joint change; `committed` once the new configuration holds alone. */
  changeMembers(steps: readonly MemberStep[]): Promise<ChangeOutcome>
  /** Hands leadership to a voter, or to the most caught-up one. */
  transferLeadership(to?: RaftId): Promise<TransferOutcome>
  /** The members that are dialled and accepted, whole each time. Unknown peers are refused. */
  setPeers(peers: readonly RaftPeer[]): void
  setCredentials(credentials: RaftCredentials): void
  /** Asks for a snapshot and log compaction now; resolves with its index. */
  compact(): Promise<SnapshotPoint>
  /**
   * Exchanges the key that seals log and snapshots, and the one that wraps it, while all goes on. Rejects when Raft
   * has ended; a disk that fails meanwhile ends it.
   */
  rotateKeys(): Promise<void>
  /** Hands leadership over if it can, flushes, closes. Outstanding proposals end as `lost`. */
  stop(): Promise<void>
  /**
   * Resolves after stop. Rejects with a SwarmError when Raft ended by itself: DATA_LOSS (damaged log),
   * RESOURCE_EXHAUSTED (disk full), INTERNAL. The daemon must then end.
   */
  readonly closed: Promise<void>
}
