// What the main thread and the Raft thread say to each other. Plain data for structured clone. Both
// directions are bounded: entries by credits, proposals by the handle, chunks by pulling.
import type { ErrorCode } from '../../proto/errors.ts'
import type {
  ChangeOutcome,
  Leadership,
  MemberStep,
  ProposeOutcome,
  RaftCredentials,
  RaftPeer,
  RaftStatus,
  ReadOutcome,
  SnapshotPoint,
  TransferOutcome,
} from './raft-handle.ts'

/** What the Raft thread is started with. */
export interface ThreadConfig {
  readonly id: string
  readonly directory: string
  readonly keyFile: string
  readonly group: string
  readonly listenAddress: string
  readonly credentials: RaftCredentials
  readonly peers: readonly RaftPeer[]
  readonly beginning: ThreadBeginning | undefined
  readonly timing: RaftTiming
  readonly snapshotLogBytes: number
}

/** `new`: this member founds the cluster alone. `force-new`: it is all that is left of one. */
export type ThreadBeginning = { readonly kind: 'new' } | { readonly kind: 'force-new' }

/** The same on all members. */
export interface RaftTiming {
  readonly tickMs: number
  readonly heartbeatTicks: number
  /** A follower campaigns after so many ticks without a leader, up to twice as many. */
  readonly electionTicks: number
}

export type RaftRequest =
  | { readonly kind: 'read' }
  | { readonly kind: 'status' }
  | { readonly kind: 'change'; readonly steps: readonly MemberStep[] }
  | { readonly kind: 'transfer'; readonly to: string | undefined }
  | { readonly kind: 'compact' }
  | { readonly kind: 'rotate-keys' }
  | { readonly kind: 'stop' }

export type RaftAnswer =
  | { readonly kind: 'read'; readonly outcome: ReadOutcome }
  | { readonly kind: 'status'; readonly status: RaftStatus }
  | { readonly kind: 'change'; readonly outcome: ChangeOutcome }
  | { readonly kind: 'transfer'; readonly outcome: TransferOutcome }
  | { readonly kind: 'compact'; readonly at: SnapshotPoint }
  | { readonly kind: 'rotate-keys' }
  | { readonly kind: 'stop' }

export type ToThread =
  /** Packed proposals. */
  | { readonly kind: 'propose'; readonly packed: ArrayBuffer }
  | { readonly kind: 'request'; readonly id: number; readonly request: RaftRequest }
  /** Batches of so many bytes, as they were packed, were applied. Not told of every single one. */
  | { readonly kind: 'applied'; readonly bytes: number }
  | { readonly kind: 'set-peers'; readonly peers: readonly RaftPeer[] }
  | { readonly kind: 'set-credentials'; readonly credentials: RaftCredentials }
  /** Answers a ping: the main thread is alive. */
  | { readonly kind: 'pong' }
  /** The snapshot's next chunk; undefined at its end. */
  | { readonly kind: 'snapshot-chunk'; readonly bytes: ArrayBuffer | undefined }
  | { readonly kind: 'snapshot-failed'; readonly reason: string }
  | { readonly kind: 'restore-pull' }
  | { readonly kind: 'restored' }
  | { readonly kind: 'machine-failed'; readonly reason: string }

export type FromThread =
  | { readonly kind: 'started'; readonly status: RaftStatus }
  /** The thread ends by itself. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly reason: string }
  /** `committed`: triples of sequence, index, term of proposals that are answered once the entries are applied. */
  | {
      readonly kind: 'apply'
      readonly packed: ArrayBuffer
      readonly committed: Float64Array | undefined
    }
  | { readonly kind: 'outcomes'; readonly outcomes: readonly SequencedOutcome[] }
  /** Triples of sequence, index, term. */
  | { readonly kind: 'committed'; readonly triples: Float64Array }
  | { readonly kind: 'leadership'; readonly leadership: Leadership }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: RaftAnswer }
  | { readonly kind: 'ping' }
  | { readonly kind: 'snapshot-take' }
  | { readonly kind: 'snapshot-pull' }
  | { readonly kind: 'snapshot-cancel' }
  | { readonly kind: 'restore'; readonly at: SnapshotPoint }
  | { readonly kind: 'restore-chunk'; readonly bytes: ArrayBuffer | undefined }
  | {
      readonly kind: 'log'
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly fields: Readonly<Record<string, unknown>>
      readonly message: string
    }

export interface SequencedOutcome {
  readonly sequence: number
  readonly outcome: ProposeOutcome
}

/** The part of a MessagePort that is used here. */
export interface Port<Out, In> {
  postMessage(message: Out, transfer?: readonly ArrayBuffer[]): void
  on(event: 'message', listener: (message: In) => void): unknown
}
