// Requests that wait: proposals for their entry, changes for their configuration, reads for their
// index, one transfer for its end. Each is answered exactly once.
import type { Entry, Index, NodeId, ProposeResult, Term } from '../core/types.ts'
import type { ChangeOutcome, ProposeOutcome, ReadOutcome, TransferOutcome } from './outcomes.ts'

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
  readonly #entries = new Map<Index, Waiting<ProposeOutcome>>()
  #change: (Waiting<ChangeOutcome> & { readonly index: Index }) | undefined

  add(at: { readonly index: Index; readonly term: Term }, answer: Answer<ProposeOutcome>): void {
    this.#entries.set(at.index, { term: at.term, answer })
  }

  /** Core allows one change at a time. */
  addChange(
    at: { readonly index: Index; readonly term: Term },
    answer: Answer<ChangeOutcome>,
  ): void {
    this.#change = { ...at, answer }
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
    const all = [...this.#entries.values()]
    this.#entries.clear()
    for (const { answer } of all) answer({ kind: 'lost' })
    const change = this.#change
    this.#change = undefined
    change?.answer({ kind: 'lost' })
  }

  #appliedConf(entry: Extract<Entry, { kind: 'conf' }>): void {
    const change = this.#change
    if (change === undefined || entry.index < change.index) return
    // A joint configuration is left by an entry of its own.
    if (entry.conf.outgoing.length > 0) return
    this.#change = undefined
    change.answer({ kind: 'committed', index: entry.index, term: entry.term })
  }
}

/** Linearizable reads. */
export class PendingReads {
  readonly #asked = new Map<bigint, Answer<ReadOutcome>>()
  /** Confirmed, waiting until the index is applied; ascending is not given. */
  #confirmed: { readonly index: Index; readonly answer: Answer<ReadOutcome> }[] = []
  #context: bigint

  /** Contexts count up from `firstContext`, which no earlier life of this node may have used lately. */
  constructor(firstContext: bigint) {
    this.#context = firstContext
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

/** At most one hand-over of leadership. */
export class PendingTransfer {
  #waiting: { readonly answer: Answer<TransferOutcome>; ticksLeft: number } | undefined

  get isWaiting(): boolean {
    return this.#waiting !== undefined
  }

  start(answer: Answer<TransferOutcome>, ticksMax: number): void {
    this.#waiting = { answer, ticksLeft: ticksMax }
  }

  /** Somebody leads. */
  leaderIs(leader: NodeId | undefined, own: NodeId): void {
    if (leader !== undefined && leader !== own) this.end({ kind: 'done', leader })
  }

  /** `isTransferring`: the core still tries. */
  tick(isLeader: boolean, isTransferring: boolean): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    if (isLeader && !isTransferring) {
      const reason = 'the member to take over did not, and this one leads on'
      this.end({ kind: 'failed', reason })
      return
    }
    waiting.ticksLeft -= 1
    if (waiting.ticksLeft > 0) return
    this.end({ kind: 'failed', reason: 'leadership was given up, and nobody is known to lead yet' })
  }

  end(outcome: TransferOutcome): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.answer(outcome)
  }
}
