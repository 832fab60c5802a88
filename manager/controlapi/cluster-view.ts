// What handlers need to know of the managers beside the store.
import type { NodeId } from '../../proto/objects/index.ts'

export interface ClusterView {
  selfNodeId(): NodeId
  /** Undefined while there is none. */
  leaderNodeId(): NodeId | undefined
  /**
   * Resolves once this node applied everything that was committed anywhere before the call; a view taken
   * then is linearizable. Errors: NO_LEADER, CANCELLED.
   */
  readBarrier(signal: AbortSignal): Promise<void>
  /** Whether the manager answers the leader (Raft's view). False for nodes that are no managers. */
  reachable(id: NodeId): boolean
}
