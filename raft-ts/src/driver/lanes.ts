// Which lane a message takes: what keeps a cluster alive never waits behind what fills it.
import type { Message } from '../core/types.ts'
import type { Lane, PeerMessage, SnapshotFrame } from './environment.ts'

export function laneOf(message: PeerMessage): Lane {
  if (isSnapshotFrame(message)) return 'snapshot'
  return message.kind === 'append' || message.kind === 'append-response' ? 'bulk' : 'fast'
}

/** Whether the message is between drivers, about a snapshot's content, and none of the core's. */
export function isSnapshotFrame(message: PeerMessage): message is SnapshotFrame {
  const { kind } = message
  return kind === 'snapshot-offer' || kind === 'snapshot-chunk' || kind === 'snapshot-ack'
}

/** Whether the message comes from a leader and keeps its followers patient. */
export function isSignOfLeader(message: Message): boolean {
  return message.kind === 'append' || message.kind === 'heartbeat'
}
