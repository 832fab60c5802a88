// The manager as the daemon sees it, so that the daemon's parts do not depend on how a manager is composed.
import type { RaftPeer } from '../../manager/raft/raft-handle.ts'
import type { AdapterDeps, HandlerTable } from '../../manager/rpc/adapter.ts'

export interface ManagerPart {
  /** Handlers of the Control service by method name. */
  readonly control: HandlerTable
  /** Runs what belongs on the leader there. */
  readonly onLeader: NonNullable<AdapterDeps['onLeader']>
  readonly onLeaderStream: NonNullable<AdapterDeps['onLeaderStream']>
  /** Resolves when this manager is a voting member. Errors: DEADLINE_EXCEEDED; UNSUPPORTED when the cluster is too new. */
  untilVoter(signal: AbortSignal): Promise<void>
  /** The node that leads as far as this manager knows, without asking anyone; undefined while there is none. */
  leaderNodeId(): string | undefined
  /** Asks the leader to take this manager out of Raft. */
  leaveRaft(signal: AbortSignal): Promise<void>
  /** Members of Raft as the store names them. */
  peers(): readonly RaftPeer[]
  /** Hands leadership over when it can, then ends; its data stays. */
  stop(): Promise<void>
  /** Rejects when the manager ended by itself: the daemon must then end. */
  readonly closed: Promise<void>
}
