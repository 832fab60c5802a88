// What a driver is given: time, randomness, peers, and the state machine it feeds. All of it is
// replaceable, so that the simulator runs the very driver that production runs. No behaviour here.
import type { Entry, Message, NodeId, SnapshotMeta, Term } from '../core/types.ts'
import type { Done } from '../storage/disk.ts'

/** Something that is to happen later. */
export interface Timer {
  /** It does not happen any more; no error when it has. */
  cancel(): void
}

/** Monotonic time only: wall clocks jump and decide nothing in Raft. */
export interface MonotonicClock {
  /** Milliseconds from an arbitrary start. Never jumps; may stand still while the process is stopped. */
  monotonicMs(): number
  /** Calls fn once after delayMs. Never from within this call. */
  setTimer(delayMs: number, fn: () => void): Timer
}

/** For election time-outs and the contexts of reads. */
export interface Randomness {
  /** A float in [0, 1). */
  float(): number
  /** n random bytes. */
  bytes(n: number): Uint8Array
}

/**
 * `fast`: heartbeats, votes, reads and everything else that is small and urgent; never waits behind the others.
 * `bulk`: appends and their answers, in order per peer. `snapshot`: chunks of snapshots.
 */
export type Lane = 'fast' | 'bulk' | 'snapshot'

interface SnapshotFrameHeader {
  readonly from: NodeId
  readonly to: NodeId
  readonly term: Term
  /** Hex SHA-256 of the snapshot's content: two snapshots of one index may differ in bytes. */
  readonly contentHash: string
}

/** Snapshot transfer between drivers. The core only ever sees its beginning and its end. */
export type SnapshotFrame =
  | (SnapshotFrameHeader & {
      readonly kind: 'snapshot-offer'
      readonly meta: SnapshotMeta
      readonly totalBytes: number
    })
  | (SnapshotFrameHeader & {
      readonly kind: 'snapshot-chunk'
      readonly offset: number
      readonly bytes: Uint8Array
      /** CRC-32 of `bytes`. */
      readonly crc: number
    })
  | (SnapshotFrameHeader & {
      readonly kind: 'snapshot-ack'
      /** Everything before it is stored: where to go on. */
      readonly nextOffset: number
      readonly state: 'more' | 'complete' | 'refused'
    })

/** All that travels between two drivers. */
export type PeerMessage = Message | SnapshotFrame

/** Carries messages to peers: may lose, delay, repeat and reorder them, never change them. */
export interface Transport {
  /**
   * Hands a message over; never waits and never throws. False: it was dropped at once (peer unknown,
   * not connected, lane full), and the driver treats the peer as unreachable for now.
   */
  send(lane: Lane, message: PeerMessage): boolean
}

/** Bytes of a snapshot, pulled one chunk at a time. */
export interface SnapshotSource {
  /** Calls back with the next chunk, or with undefined at the end. One read at a time. */
  read(done: (err: Error | undefined, chunk: Uint8Array | undefined) => void): void
  /** Releases what is held; no read follows. */
  cancel(): void
}

/** The replicated state. The driver calls one method at a time and waits for its callback. */
export interface StateMachine {
  /**
   * Applies consecutive committed entries in order; each index comes once, entries without data and
   * membership changes included. The next batch comes after the callback.
   */
  apply(entries: readonly Entry[], done: Done): void
  /** The state as of the last applied entry; later applies must not show in it. */
  snapshot(): SnapshotSource
  /** Replaces the whole state. */
  restore(meta: SnapshotMeta, source: SnapshotSource, done: Done): void
}
