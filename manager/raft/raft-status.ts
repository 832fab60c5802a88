// raft-ts's status, leadership and outcomes in the words of the handle.
import type {
  Leadership as DriverLeadership,
  DriverStatus,
  TransferOutcome as DriverTransferOutcome,
} from 'raft-ts'
import type { Leadership, RaftStatus, TransferOutcome } from './raft-handle.ts'

export function handleLeadership({ role, leader, term }: DriverLeadership): Leadership {
  return { role: role === 'pre-candidate' ? 'candidate' : role, leader, term }
}

/** Nobody aborts transfers through the handle; one that was would have failed. */
export function handleTransfer(outcome: DriverTransferOutcome): TransferOutcome {
  if (outcome.kind !== 'aborted') return outcome
  return { kind: 'failed', reason: 'the transfer was aborted' }
}

/** `leadership` as last announced: a leader that has not applied an entry of its term is not one yet. */
export function handleStatus(status: DriverStatus, leadership: Leadership): RaftStatus {
  const { voters, outgoing, learners } = status.conf
  return {
    id: status.id,
    leadership,
    members: { voters, outgoing, learners },
    firstIndex: status.firstIndex,
    lastIndex: status.lastIndex,
    commitIndex: status.commit,
    appliedIndex: status.applied,
    snapshotIndex: status.snapshotIndex,
    logBytes: status.logBytes,
    peers: status.peers.map(({ id, match, active, state }) => ({
      id,
      matchIndex: match,
      isActive: active,
      state,
    })),
  }
}
