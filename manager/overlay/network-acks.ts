// How far the nodes have followed the networks they hold. Addresses are given again, and tasks are told to stop, only after that.
import type { NetworkId } from '../../proto/objects/index.ts'

export interface NetworkAcks {
  /**
   * Up to which Raft index every node that holds the network has reached its state, in kernel and resolver; Infinity when
   * no node holds it. Nodes that are down do not count.
   */
  reachedIndex(id: NetworkId): number
  /**
   * The same for whoever gives addresses again: nodes that went down lately count too, for what they know is of before,
   * and they may be back at any moment.
   */
  forgottenIndex(id: NetworkId): number
  /** Calls back after any of these rose; returns how to end it. */
  onRise(listener: () => void): () => void
}
