// A store of one process: the real store over a proposer that commits at once. For tests, benchmarks and simulations
// of a single manager.
import type { Clock } from '../../proto/lib/clock.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { ProposalOutcome, Proposer } from './proposer.ts'
import { ReplicatedStore } from './replicated-store.ts'

export interface MemoryStoreOptions {
  readonly clock: Clock
  readonly random: Random
  /** Encode entries as Raft would have them; default: only their headers. */
  readonly encode?: boolean
}

/** A store that leads from the start. Entries are applied in the microtask after they were proposed. */
export function createMemoryStore(options: MemoryStoreOptions): ReplicatedStore {
  const proposer = new MemoryProposer(options.encode ?? false)
  const { clock, random } = options
  const store = new ReplicatedStore({ clock, random, proposer })
  proposer.store = store
  store.startTerm(memoryTerm)
  return store
}

const memoryTerm = 1

class MemoryProposer implements Proposer {
  readonly needsBytes: boolean
  store: ReplicatedStore | undefined

  constructor(needsBytes: boolean) {
    this.needsBytes = needsBytes
  }

  async propose(data: Uint8Array): Promise<ProposalOutcome> {
    await Promise.resolve()
    if (this.store === undefined) return { kind: 'not-leader' }
    const index = this.store.appliedIndex + 1
    this.store.apply({ index, term: memoryTerm, data })
    return { kind: 'committed', index }
  }
}
