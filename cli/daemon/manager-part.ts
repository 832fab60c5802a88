// The manager as the daemon sees it, so that the daemon's parts do not depend on how a manager is composed.
import type { HandlerTable } from '../../manager/rpc/adapter.ts'
import type { RaftPeer } from '../../manager/raft/raft-handle.ts'

export interface ManagerPart {
  /** Handlers of the Control service, forwarding included, for the local socket. */
  readonly control: HandlerTable
  /** Whether this manager has become a voting member. */
  isVoter(): Promise<boolean>
  /** Members of Raft as the store names them. */
  peers(): readonly RaftPeer[]
  /** Hands leadership over when it can, then ends; its data stays. */
  stop(): Promise<void>
  /** Rejects when the manager ended by itself: the daemon must then end. */
  readonly closed: Promise<void>
}
