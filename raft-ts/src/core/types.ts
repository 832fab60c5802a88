// The vocabulary of the Raft core: plain readonly data, no behaviour.
// Source: Ongaro & Ousterhout, "In Search of an Understandable Consensus Algorithm (extended)", figure 2; Ongaro's thesis, chapters 3, 4 and 6.

/** A node's id: a random string, never reused. Empty is not an id. */
export type NodeId = string
/** Raft term, from 0 up. */
export type Term = number
/** Log index; the first entry has index 1. */
export type Index = number

/** One place of the replicated log. */
export type Entry =
  | {
      readonly kind: 'data'
      readonly term: Term
      readonly index: Index
      /** The caller's bytes. Empty for the entry a new leader appends. */
      readonly data: Uint8Array
    }
  | {
      readonly kind: 'conf'
      readonly term: Term
      readonly index: Index
      /** The configuration that holds from this entry on, whole: so truncation only needs the previous one. */
      readonly conf: ConfState
    }

/** Members by id. While `outgoing` is not empty the configuration is joint: both majorities must agree. */
export interface ConfState {
  readonly voters: readonly NodeId[]
  /** Voters of the old configuration, during a joint one. */
  readonly outgoing: readonly NodeId[]
  readonly learners: readonly NodeId[]
  /** Voters of the old configuration that become learners when the joint one is left. */
  readonly learnersNext: readonly NodeId[]
}

/** One step of a membership change; several may be taken together in one joint change. */
export type ConfChangeStep =
  | { readonly kind: 'add-voter'; readonly id: NodeId }
  | { readonly kind: 'add-learner'; readonly id: NodeId }
  | { readonly kind: 'remove'; readonly id: NodeId }

/** A membership change: all steps or none. */
export interface ConfChange {
  readonly steps: readonly ConfChangeStep[]
}

/** What must be durable before a node answers a vote or acknowledges entries. */
export interface HardState {
  readonly term: Term
  /** Undefined: no vote given in this term. */
  readonly vote: NodeId | undefined
  readonly commit: Index
}

/** What a snapshot stands for. Its content is the caller's and never passes through the core. */
export interface SnapshotMeta {
  readonly index: Index
  readonly term: Term
  readonly conf: ConfState
}

/** What a node is in its term. A learner is a follower that no quorum counts. */
export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

/** Why an append was refused. */
export interface RejectHint {
  /** The highest index at which the follower's log may still match. */
  readonly hintIndex: Index
  /** The follower's term there, 0 when it has none. */
  readonly hintTerm: Term
  /** The follower is being repaired and may lack entries that it acknowledged before. */
  readonly lost: boolean
}

interface Header {
  readonly from: NodeId
  readonly to: NodeId
  readonly term: Term
}

/** What a candidate's log holds. */
interface Candidacy {
  readonly lastIndex: Index
  readonly lastTerm: Term
  /** Leadership transfer: overrides the leader's lease of the receiver. */
  readonly force: boolean
}

/** Peer messages. Every one carries sender, receiver and term. */
export type Message =
  | (Header & {
      readonly kind: 'append'
      readonly prevIndex: Index
      readonly prevTerm: Term
      readonly commit: Index
      readonly entries: readonly Entry[]
    })
  | (Header & {
      readonly kind: 'append-response'
      /** Accepted: last index known to match. Rejected: the index that was refused. */
      readonly index: Index
      /** Present on refusal: where the follower's log may match, to skip whole terms. */
      readonly reject?: RejectHint
    })
  | (Header & {
      readonly kind: 'heartbeat'
      readonly commit: Index
      /** Rises with every heartbeat and every ReadIndex round of a leader; the response repeats it. */
      readonly round: number
    })
  | (Header & { readonly kind: 'heartbeat-response'; readonly round: number })
  | (Header & Candidacy & { readonly kind: 'vote' })
  | (Header & Candidacy & { readonly kind: 'pre-vote' })
  | (Header & { readonly kind: 'vote-response'; readonly granted: boolean })
  | (Header & { readonly kind: 'pre-vote-response'; readonly granted: boolean })
  | (Header & { readonly kind: 'snapshot'; readonly meta: SnapshotMeta })
  | (Header & { readonly kind: 'timeout-now' })
  /** The context is the caller's, or negative: the question of a member under repair. */
  | (Header & { readonly kind: 'read-index'; readonly context: bigint })
  | (Header & {
      readonly kind: 'read-index-response'
      /** Of a read: the commit index. For a member under repair: where the leader's log ends. */
      readonly index: Index
      readonly context: bigint
    })

/** A read that may be served once the state machine has applied `index`. */
export interface ReadState {
  readonly index: Index
  readonly context: bigint
}

/** The node's role, and who leads as far as it knows. Not durable. */
export interface SoftState {
  readonly role: Role
  readonly leader: NodeId | undefined
}

/** A fact worth a log line; the core itself logs nothing. */
export interface Note {
  readonly kind: string
  readonly facts: Readonly<Record<string, string | number | boolean>>
}

/** All that must happen next, taken at once. See RaftNode.ready. */
export interface Ready {
  /** Rises by one with every Ready. */
  readonly sequence: number
  /**
   * True: write hardState, snapshot and entries, flush, then call persisted(sequence).
   * False: only hardState.commit may have changed; it is written some time and nothing waits for it.
   */
  readonly mustFlush: boolean
  /** Changed hard state, to be made durable with `entries`. */
  readonly hardState?: HardState
  /** Changed role or leader. Not durable. */
  readonly softState?: SoftState
  /** Entries to append durably, ascending. The first one's index may be at or below the log's last: that suffix is truncated. */
  readonly entries: readonly Entry[]
  /** A snapshot received from the leader, to be installed before `entries` are appended. */
  readonly snapshot?: SnapshotMeta
  /** May leave at once. */
  readonly messages: readonly Message[]
  /** May leave only after hardState, snapshot and entries of this Ready (and of all before it) are durable. */
  readonly messagesAfterPersist: readonly Message[]
  /** Committed and durable here, to be applied in this order. */
  readonly committedEntries: readonly Entry[]
  readonly readStates: readonly ReadState[]
  /** Contexts of reads that were lost with a change of leader: ask again. */
  readonly abortedReads: readonly bigint[]
  readonly notes: readonly Note[]
}

/** What became of asking for a read. */
export type ReadIndexResult =
  /** A ReadState or an aborted read with this context always follows. */
  { readonly kind: 'pending' } | { readonly kind: 'no-leader' } | { readonly kind: 'busy' }

/** What became of a proposal. Accepted is not committed: see RaftNode.propose. */
export type ProposeResult =
  | { readonly kind: 'accepted'; readonly index: Index; readonly term: Term }
  | { readonly kind: 'not-leader'; readonly leader: NodeId | undefined }
  /** Too much is not yet durable or replicated: propose again later. */
  | { readonly kind: 'busy' }
  /** Leadership is being handed over. */
  | { readonly kind: 'transferring' }
  /** Membership changes only: one is under way, or the change is not valid. */
  | { readonly kind: 'refused'; readonly reason: string }
