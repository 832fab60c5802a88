// How a member is joined to its peers: what startMember asks of a network. No behaviour here.
import type { NodeId } from '../core/types.ts'
import type { PeerMessage, Transport } from '../driver/environment.ts'

/** What a network tells the member at one of its ends. */
export interface PeerReceiver {
  /** A message from a peer, in any order, any number of times, but from whom it says. */
  receive(message: PeerMessage): void
  /** Messages to this peer were lost after they were taken. */
  unreachable(id: NodeId): void
  /** The peer's process has ended, as far as can be known: its host refuses connections. Not told of a host that is silent. */
  gone(id: NodeId): void
}

/** One member's end of a network. */
export interface PeerLink extends Transport {
  /** Sends and hears nothing any more. Never rejects. */
  close(): Promise<void>
}

/** Carries the messages of members. One object may serve several members of one process. */
export interface PeerNetwork {
  /** Joins a member; rejects when that is not possible, as when its port is in use. */
  join(id: NodeId, receiver: PeerReceiver): Promise<PeerLink>
}
