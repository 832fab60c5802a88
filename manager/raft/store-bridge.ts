// Between Raft and the store: entries and snapshots go in, proposals go out. Not for leadership (manager/leader.ts).
import type { ProposalOutcome, Proposer } from '../store/proposer.ts'
import type { ReplicatedStore } from '../store/replicated-store.ts'
import type { RaftHandle, StateMachine } from './raft-handle.ts'

/** The store as Raft's state machine. */
export function storeStateMachine(store: ReplicatedStore): StateMachine {
  return {
    apply: (entries) => store.applyAll(entries),
    snapshot: () => store.snapshot(),
    restore: (at, chunks) => store.restore(at.index, chunks),
  }
}

/** A proposer over a handle that is opened later, because the handle needs the store first. */
export class RaftProposer implements Proposer {
  readonly needsBytes = true
  #raft: RaftHandle | undefined

  open(raft: RaftHandle): void {
    this.#raft = raft
  }

  async propose(data: Uint8Array): Promise<ProposalOutcome> {
    const outcome = await this.#raft?.propose(data)
    return outcome?.kind === 'lost' ? { kind: 'unknown' } : (outcome ?? { kind: 'not-leader' })
  }
}
