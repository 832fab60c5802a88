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

  /** Hands over and forgets what was added. */
  flush(post: (message: FromThread, transfer?: readonly ArrayBuffer[]) => void): void {
    if (this.#committed.length > 0) {
      const triples = Float64Array.from(this.#committed)
      this.#committed = []
      post({ kind: 'committed', triples }, [triples.buffer])
    }
    if (this.#others.length > 0) {
      const outcomes = this.#others
      this.#others = []
      post({ kind: 'outcomes', outcomes })
    }
  }
}
