// Requests that wait: proposals for their entry, changes for their configuration, reads for their
// index. Each is answered exactly once.
import { isJoint } from '../core/quorum.ts'
import type { RaftNode } from '../core/raft-node.ts'
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

  /**
   * Leadership ended: what is under way may be committed by somebody else, or never. Of changes it may be known that
   * they hold alone, though not applied here yet: that of a leader that took itself out.
   */
  lose(core?: Pick<RaftNode, 'conf' | 'confIndex' | 'confIndexAt' | 'commit' | 'termAt'>): void {
    const entries = [...this.#entries.values()]
    const changes = this.#changes
    this.#entries.clear()
    this.#changes = []
    for (const { answer } of entries) answer({ kind: 'lost' })
    const isSettled = core !== undefined && core.confIndex <= core.commit && !isJoint(core.conf)
    for (const [i, { index, term, answer }] of changes.entries()) {
      const isOwn = isSettled && index <= core.confIndex && core.termAt(index) === term
      if (!isOwn) {
        answer({ kind: 'lost' })
        continue
      }
      // The next one was taken only once this one held alone.
      const next = changes[i + 1]?.index ?? core.confIndex + 1
      answer({ kind: 'committed', index: core.confIndexAt(next - 1), term })
    }
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

/** Linearizable reads. Those that come together share one question to the leader. */
export class PendingReads {
  readonly #countMax: number
  /** Not yet asked for. */
  #gathered: Answer<ReadOutcome>[] = []
  readonly #asked = new Map<bigint, readonly Answer<ReadOutcome>[]>()
  /** Confirmed, waiting until the index is applied; ascending is not given. */
  #confirmed: { readonly index: Index; readonly answers: readonly Answer<ReadOutcome>[] }[] = []
  #context: bigint
  /** Reads not yet answered. */
  #count = 0

  /** Contexts count up from a random one: those of two lives of a node hardly ever meet. */
  constructor(random: Uint8Array, countMax: number) {
    this.#context = BigInt(`0x${Buffer.from(random).toString('hex')}`)
    this.#countMax = countMax
  }

  /** The core bounds what it is asked; also what waits for the state machine counts here. */
  ask(answer: Answer<ReadOutcome>): void {
    if (this.#count >= this.#countMax) {
      answer({ kind: 'busy' })
      return
    }
    this.#count += 1
    this.#gathered.push(answer)
  }

  /** Asks once for all that have come since; what was committed until now covers them. False: none has. */
  forward(core: Pick<RaftNode, 'readIndex'>): boolean {
    const answers = this.#gathered
    if (answers.length === 0) return false
    this.#gathered = []
    this.#context += 1n
    const result = core.readIndex(this.#context)
    if (result.kind === 'pending') this.#asked.set(this.#context, answers)
    else this.#answer(answers, result)
    return true
  }

  confirmed(context: bigint, index: Index, appliedIndex: Index): void {
    const answers = this.#asked.get(context)
    if (answers === undefined) return
    this.#asked.delete(context)
    if (index <= appliedIndex) this.#answer(answers, { kind: 'ready', index })
    else this.#confirmed.push({ index, answers })
  }

  aborted(context: bigint): void {
    const answers = this.#asked.get(context) ?? []
    this.#asked.delete(context)
    this.#answer(answers, { kind: 'no-leader' })
  }

  applied(appliedIndex: Index): void {
    if (this.#confirmed.length === 0) return
    const due = this.#confirmed.filter(({ index }) => index <= appliedIndex)
    this.#confirmed = this.#confirmed.filter(({ index }) => index > appliedIndex)
    for (const { index, answers } of due) this.#answer(answers, { kind: 'ready', index })
  }

  lose(): void {
    const all = [
      ...[...this.#asked.values()].flat(),
      ...this.#confirmed.flatMap(({ answers }) => answers),
      ...this.#gathered,
    ]
    this.#asked.clear()
    this.#confirmed = []
    this.#gathered = []
    this.#answer(all, { kind: 'no-leader' })
  }

  #answer(answers: readonly Answer<ReadOutcome>[], outcome: ReadOutcome): void {
    this.#count -= answers.length
    for (const answer of answers) answer(outcome)
  }
}
