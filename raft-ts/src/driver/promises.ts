// A driver's requests as promises, for callers that wait. None of them ever rejects.
import type { ConfChange, NodeId } from '../core/types.ts'
import type { RaftDriver } from './driver.ts'
import type {
  AddVoterOutcome,
  ChangeOutcome,
  ProposeOutcome,
  ReadOutcome,
  TransferOutcome,
} from './outcomes.ts'

/** The requests of a driver, as promises. */
export interface DriverRequests {
  /** Resolves after the entry was applied here. The bytes must not change any more. */
  propose(data: Uint8Array): Promise<ProposeOutcome>
  /** A linearizable read point, on any member. */
  readIndex(): Promise<ReadOutcome>
  /** Resolves when the new configuration holds alone. */
  change(change: ConfChange): Promise<ChangeOutcome>
  /** Adds a learner, and promotes it once it has caught up. */
  addVoter(id: NodeId): Promise<AddVoterOutcome>
  /** Without `to`: to the voter that has most of the log. */
  transferLeadership(to?: NodeId): Promise<TransferOutcome>
}

/** The driver's requests as promises; the driver itself stays the caller's. */
export function driverRequests(driver: RaftDriver): DriverRequests {
  return {
    propose: (data) => new Promise((resolve) => driver.propose(data, resolve)),
    readIndex: () => new Promise((resolve) => driver.readIndex(resolve)),
    change: (change) => new Promise((resolve) => driver.change(change, resolve)),
    addVoter: (id) => new Promise((resolve) => driver.addVoter(id, resolve)),
    transferLeadership: (to) => new Promise((resolve) => driver.transferLeadership(to, resolve)),
  }
}
