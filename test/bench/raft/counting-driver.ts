// A driver whose state machine counts entries that carry data, on the machine's own clock. For benchmarks.
import {
  type PeerMessage,
  RaftDriver,
  type StateMachine,
  type Storage,
  systemRandomBytes,
} from 'raft-ts'
import { systemClock } from '../../../proto/lib/clock.ts'

export interface CountingOptions {
  readonly id: string
  readonly storage: Storage
  readonly send: (message: PeerMessage) => void
  readonly onCount: (count: number) => void
}

/** Takes part from `start` on. Snapshots are never asked for. */
export function countingDriver({ id, storage, send, onCount }: CountingOptions): RaftDriver {
  let count = 0
  const stateMachine: StateMachine = {
    apply: (entries, done) => {
      for (const entry of entries) if (entry.kind === 'data' && entry.data.length > 0) count += 1
      onCount(count)
      done()
    },
    snapshot: () => {
      throw new Error('a snapshot nobody asked for')
    },
    restore: (_meta, _source, done) => done(new Error('there is no snapshot to restore')),
  }
  return new RaftDriver({
    id,
    storage,
    stateMachine,
    transport: {
      send: (_lane, message) => {
        send(message)
        return true
      },
    },
    clock: systemClock,
    random: { float: Math.random, bytes: systemRandomBytes },
    defer: (run) => queueMicrotask(run),
    snapshotPolicy: { logBytes: Number.MAX_SAFE_INTEGER },
    onFailed: (err) => {
      throw err
    },
  })
}
