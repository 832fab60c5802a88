// What a driver is built from, and what it shows of itself. Data and interfaces only.
import type { RaftTuning, Status } from '../core/config.ts'
import type { Index, NodeId, Note } from '../core/types.ts'
import type { Storage } from '../storage/open-storage.ts'
import type { MonotonicClock, Randomness, StateMachine, Transport } from './environment.ts'
import type { Leadership } from './outcomes.ts'
import type { SnapshotPolicy } from './snapshot-maker.ts'

/** What a driver is built from. */
export interface DriverOptions {
  readonly id: NodeId
  readonly storage: Storage
  readonly transport: Transport
  readonly stateMachine: StateMachine
  readonly clock: MonotonicClock
  readonly random: Randomness
  /** Default 50. */
  readonly tickMs?: number
  readonly tuning?: Partial<RaftTuning>
  readonly snapshotPolicy?: Partial<SnapshotPolicy>
  /** Proposals that wait for their entry to be applied; above it propose answers busy. Default 65,536. */
  readonly pendingProposalsMax?: number
  /**
   * Who should rather lead, as RaftConfig.priorityOf: like addresses it is not replicated, but given on every member.
   * Asked again all the time, so that it may change while running. Lower it for a member before you transfer
   * leadership away from it for longer than some seconds: its successor would hand it back. Default: all are equal.
   */
  readonly priorityOf?: (id: NodeId) => number
  /**
   * Runs work soon, after the other input that has already come: so that it shares messages and flushes.
   * Default: at once.
   */
  readonly defer?: (run: () => void) => void
  /** Roles and leaders, as they are announced. */
  readonly onLeadership?: (leadership: Leadership) => void
  /** Facts worth a log line. */
  readonly onNote?: (note: Note) => void
  /**
   * The driver ended by itself: DamagedLogError, DiskError, RaftInvariantError, or what the state
   * machine failed with. Nothing is sent or answered any more.
   */
  readonly onFailed: (err: Error) => void
}

/** What a driver shows of itself: the core's status, and what is stored. */
export interface DriverStatus extends Status {
  /** Index of the newest snapshot, 0 when there is none. */
  readonly snapshotIndex: Index
  readonly snapshotBytes: number
  readonly logBytes: number
  readonly electionTimeoutMs: number
}
