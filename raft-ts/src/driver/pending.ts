// Requests that wait: proposals for their entry, changes for their configuration, reads for their
// index. Each is answered exactly once.
import { shiftWhile } from '../core/shift-while.ts'
import type { Entry, Index, ProposeResult, Term } from '../core/types.ts'
import type { ChangeOutcome, ProposeOutcome, ReadOutcome } from './outcomes.ts'

export type Answer<T> = (outcome: T) => void

interface Waiting<T> {
  readonly term: Term
  readonly answer: Answer<T>
}

/** The outcome of a proposal that was not accepted. */
export function refusal(
  result: Exclude<ProposeResult, { readonly kind: 'accepted' }>,
): ChangeOutcome {
  return result.kind === 'transferring' ? { kind: 'busy' } : result
}

/** Proposals and membership changes of one leadership. */
export class PendingProposals {
  readonly #countMax: number
  readonly #entries = new Map<Index, Waiting<ProposeOutcome>>()
  /** Ascending. The core allows one at a time, but the one before may be committed and not applied here yet. */
  #changes: (Waiting<ChangeOutcome> & { readonly index: Index })[] = []

  constructor(countMax = 65_536) {
    this.#countMax = countMax
  }

  /** The state machine is so far behind that no more may wait for it. */
  get isFull(): boolean {
    return this.#entries.size + this.#changes.length >= this.#countMax
  }

  add(at: { readonly index: Index; readonly term: Term }, answer: Answer<ProposeOutcome>): void {
    this.#entries.set(at.index, { term: at.term, answer })
  }

  addChange(
    at: { readonly index: Index; readonly term: Term },
    answer: Answer<ChangeOutcome>,
  ): void {
    this.#changes.push({ ...at, answer })
  }

  /** Entries were applied, in order. */
  applied(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind === 'conf') this.#appliedConf(entry)
      const waiting = this.#entries.get(entry.index)
      if (waiting === undefined) continue
      this.#entries.delete(entry.index)
      const { index, term } = entry
      if (waiting.term === term) waiting.answer({ kind: 'committed', index, term })
      else waiting.answer({ kind: 'not-leader', leader: undefined })
    }
  }

  /** Leadership ended: what is under way may be committed by somebody else, or never. */
  lose(): void {
    const all = [...this.#entries.values(), ...this.#changes]
    this.#entries.clear()
    this.#changes = []
    for (const { answer } of all) answer({ kind: 'lost' })
  }

  #appliedConf(entry: Extract<Entry, { kind: 'conf' }>): void {
    // A joint configuration is left by an entry of its own.
    if (entry.conf.outgoing.length > 0) return
    const done = shiftWhile(this.#changes, (change) => change.index <= entry.index)
    for (const { answer } of done) {
      answer({ kind: 'committed', index: entry.index, term: entry.term })
    }
  }
}

/** Linearizable reads. */
export class PendingReads {
  readonly #asked = new Map<bigint, Answer<ReadOutcome>>()
  /** Confirmed, waiting until the index is applied; ascending is not given. */
  #confirmed: { readonly index: Index; readonly answer: Answer<ReadOutcome> }[] = []
  #context: bigint
  readonly #countMax: number

  /** Contexts count up from a random one: those of two lives of a node hardly ever meet. */
  constructor(random: Uint8Array, countMax: number) {
    this.#context = BigInt(`0x${Buffer.from(random).toString('hex')}`)
    this.#countMax = countMax
  }

  /** The core bounds those that were asked; those that wait for the state machine count here. */
  get isFull(): boolean {
    return this.#asked.size + this.#confirmed.length >= this.#countMax
  }

  nextContext(): bigint {
    this.#context += 1n
    return this.#context
  }

  add(context: bigint, answer: Answer<ReadOutcome>): void {
    this.#asked.set(context, answer)
  }

  confirmed(context: bigint, index: Index, appliedIndex: Index): void {
    const answer = this.#asked.get(context)
    if (answer === undefined) return
    this.#asked.delete(context)
    if (index <= appliedIndex) answer({ kind: 'ready', index })
    else this.#confirmed.push({ index, answer })
  }

  aborted(context: bigint): void {
    const answer = this.#asked.get(context)
    this.#asked.delete(context)
    answer?.({ kind: 'no-leader' })
  }

  applied(appliedIndex: Index): void {
    if (this.#confirmed.length === 0) return
    const due = this.#confirmed.filter(({ index }) => index <= appliedIndex)
    this.#confirmed = this.#confirmed.filter(({ index }) => index > appliedIndex)
    for (const { index, answer } of due) answer({ kind: 'ready', index })
  }

  lose(): void {
    const all = [...this.#asked.values(), ...this.#confirmed.map(({ answer }) => answer)]
    this.#asked.clear()
    this.#confirmed = []
    for (const answer of all) answer({ kind: 'no-leader' })
  }
}
