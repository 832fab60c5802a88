// The Raft state machine's public face: one node, no I/O, no clock.
import type { ConfAt, RaftConfig, Status } from './config.ts'
import type {
  ConfChange,
  Index,
  Message,
  NodeId,
  ProposeResult,
  ReadIndexResult,
  Ready,
  SnapshotMeta,
} from './types.ts'

/** One Raft node. Every method is synchronous; effects come out of ready(). */
export declare class RaftNode {
  constructor(config: RaftConfig)
  /** Time passes by one tick. */
  tick(): void
  /** The driver noticed that time passed without ticks (a stopped process): trust nobody's liveness. */
  resumed(): void
  /** Longer or shorter election time-outs from now on, when round trips or flushes are slow. */
  setElectionTicks(ticks: number): void
  /** A peer's message. A snapshot message is stepped only once its content is here, complete and verified. */
  step(message: Message): void
  /** Leader only: appends one entry. The index and term tell whether what is applied there is this entry. */
  propose(data: Uint8Array): ProposeResult
  proposeConfChange(change: ConfChange): ProposeResult
  readIndex(context: bigint): ReadIndexResult
  transferLeadership(to: NodeId): void
  campaign(): void
  /** Leader only: becomes follower of nobody in its term (a watchdog's way out). */
  stepDown(): void
  hasReady(): boolean
  /** Takes all effects. May be taken again while earlier ones are being flushed. */
  ready(): Ready
  /** Every Ready with mustFlush up to this sequence is durable. */
  persisted(sequence: number): void
  /** The state machine applied all up to index (a snapshot counts as its index). */
  applied(index: Index): void
  /** The caller saved a snapshot of what it applied: its meta, for slow peers and compaction. */
  snapshotMeta(index: Index): SnapshotMeta
  snapshotSaved(meta: SnapshotMeta): void
  /** Entries up to and including index will be deleted; index <= newest snapshot's. */
  compact(index: Index): void
  /** Outcome of sending a snapshot message's content. */
  reportSnapshot(id: NodeId, ok: boolean): void
  reportUnreachable(id: NodeId): void
  status(): Status
  /** The configuration that held at index. */
  confAt(index: Index): ConfAt
}
