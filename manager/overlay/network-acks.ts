// How far the nodes have followed the networks they hold. Addresses are given again, and tasks are told to stop, only after that.
import type { NetworkId } from '../../proto/objects/index.ts'

export interface NetworkAcks {
  /**
   * Up to which Raft index every node that holds the network has reached its state, in kernel and resolver; Infinity when
   * no node holds it. Nodes that are down do not count.
   */
  reachedIndex(id: NetworkId): number
  /** Calls back after any of them rose; returns how to end it. */
  onRise(listener: () => void): () => void
}
