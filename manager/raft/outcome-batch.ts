// Outcomes of proposals on their way to the main thread: many of them in one message.
import type { ProposeOutcome } from './raft-handle.ts'
import type { FromThread, SequencedOutcome } from './thread-messages.ts'

export class OutcomeBatch {
  #committed: number[] = []
  #others: SequencedOutcome[] = []

  add(sequence: number, outcome: ProposeOutcome): void {
    if (outcome.kind === 'committed') this.#committed.push(sequence, outcome.index, outcome.term)
    else this.#others.push({ sequence, outcome })
  }

  /** Takes the triples of those that were committed; undefined when there are none. */
  takeCommitted(): Float64Array<ArrayBuffer> | undefined {
    if (this.#committed.length === 0) return undefined
    const triples = Float64Array.from(this.#committed)
    this.#committed = []
    return triples
  }

  /** Hands over and forgets what was added. */
  flush(post: (message: FromThread, transfer?: readonly ArrayBuffer[]) => void): void {
    const triples = this.takeCommitted()
    if (triples !== undefined) post({ kind: 'committed', triples }, [triples.buffer])
    if (this.#others.length > 0) {
      const outcomes = this.#others
      this.#others = []
      post({ kind: 'outcomes', outcomes })
    }
  }
}
