// Between Raft and the store: entries and snapshots go in, proposals go out. Not for leadership (manager/leader.ts).
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { ProposalOutcome, Proposer } from '../store/proposer.ts'
import type { ReplicatedStore } from '../store/replicated-store.ts'
import type { RaftHandle, StateMachine } from './raft-handle.ts'

const busyWaitMs = 2

/** The store as Raft's state machine. */
export function storeStateMachine(store: ReplicatedStore): StateMachine {
  return {
    apply: (entries) => {
      for (const entry of entries) store.apply(entry)
    },
    snapshot: () => store.snapshot(),
    restore: (at, chunks) => store.restore(at.index, chunks),
  }
}

/** A proposer over a handle that is opened later, because the handle needs the store first. */
export class RaftProposer implements Proposer {
  readonly needsBytes = true
  readonly #clock: Clock
  #raft: RaftHandle | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  open(raft: RaftHandle): void {
    this.#raft = raft
  }

  async propose(data: Uint8Array): Promise<ProposalOutcome> {
    while (true) {
      const outcome = (await this.#raft?.propose(data)) ?? { kind: 'not-leader' as const }
      switch (outcome.kind) {
        case 'committed':
          return { kind: 'committed', index: outcome.index }
        case 'not-leader':
          return { kind: 'not-leader' }
        case 'lost':
          return { kind: 'unknown' }
        case 'busy':
          // Nothing was proposed: Raft asks for patience while its log catches up.
          await wait(this.#clock, busyWaitMs)
      }
    }
  }
}
