// Stores over a log that the test holds in its hands: it says when a proposal is committed, refused or lost.
import type { ProposalOutcome, Proposer, StoreEntry } from '../../manager/store/proposer.ts'
import { ReplicatedStore } from '../../manager/store/replicated-store.ts'
import type { ReadTx, TableName } from '../../manager/store/store.ts'
import { tableNames } from '../../manager/store/tables.ts'
import { canonicalJson } from '../../proto/lib/canonical-json.ts'
import { seededRandom } from '../../proto/lib/random.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface Proposal {
  readonly data: Uint8Array
  readonly settle: (outcome: ProposalOutcome) => void
}

export class HeldProposer implements Proposer {
  readonly needsBytes = true
  /** Not settled yet, oldest first. */
  readonly proposals: Proposal[] = []

  propose(data: Uint8Array): Promise<ProposalOutcome> {
    return new Promise((settle) => this.proposals.push({ data, settle }))
  }
}

/** A log shared by a leader and followers. */
export class Replicas {
  readonly clock = new VirtualClock()
  readonly proposer = new HeldProposer()
  readonly leader: ReplicatedStore
  readonly followers: readonly ReplicatedStore[]
  readonly log: StoreEntry[] = []
  term = 1

  constructor(seed = 0) {
    this.leader = this.newStore(seed)
    this.followers = [this.newStore(seed + 1)]
    this.append(new Uint8Array(0))
    this.leader.startTerm(this.term)
  }

  newStore(seed: number): ReplicatedStore {
    return new ReplicatedStore({
      proposer: this.proposer,
      clock: this.clock,
      random: seededRandom(seed),
      breathe: () => Promise.resolve(),
    })
  }

  /** Commits bytes on all replicas, as the next entry. */
  append(data: Uint8Array): void {
    const entry = { index: this.log.length + 1, term: this.term, data }
    this.log.push(entry)
    for (const store of [this.leader, ...this.followers]) store.apply(entry)
  }

  /** Commits proposals until none is left, those included that are made meanwhile. */
  async commitAll(): Promise<void> {
    for (let idle = 0; idle < 3; ) {
      await Promise.resolve()
      const next = this.proposer.proposals.shift()
      idle = next === undefined ? idle + 1 : 0
      if (next === undefined) continue
      this.append(next.data)
      next.settle({ kind: 'committed', index: this.log.length })
    }
  }
}

/** Everything a store holds, in an order that does not depend on history. */
export function contents(tx: ReadTx): unknown {
  const rows = (table: TableName): unknown => [...tx.all(table)].map(canonicalJson).sort()
  return [tx.version, ...tableNames.map(rows)]
}

/** The chunks as a stream. */
export async function* streamOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}
