// Appends without entries, held back for a moment: they only tell a follower what is committed, and under load the next
// entries tell it too. Spares a busy leader, and its followers, half of their messages.
import type { Message, NodeId } from '../core/types.ts'
import type { MonotonicClock } from './environment.ts'

type Append = Extract<Message, { readonly kind: 'append' }>

/** Longer than a proposer takes to propose again, and no time for a follower that applies. */
const holdMs = 2

export class HeldAppends {
  readonly #clock: MonotonicClock
  readonly #send: (message: Append) => void
  /** At most one for each peer: the newest tells all. */
  readonly #held = new Map<NodeId, { readonly message: Append; readonly dueMs: number }>()
  #timer: { cancel(): void } | undefined

  constructor(clock: MonotonicClock, send: (message: Append) => void) {
    this.#clock = clock
    this.#send = send
  }

  /**
   * True: the message is held and sent later, unless an append to the same peer overtakes it, which tells what it would
   * have and is answered like it. It waits no longer than one that it replaces would have.
   */
  holds(message: Message): boolean {
    if (message.kind !== 'append') return false
    if (message.entries.length > 0) {
      this.#held.delete(message.to)
      return false
    }
    const dueMs = this.#held.get(message.to)?.dueMs ?? this.#clock.monotonicMs() + holdMs
    this.#held.set(message.to, { message, dueMs })
    this.#timer ??= this.#clock.setTimer(holdMs, () => this.#look())
    return true
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#held.clear()
  }

  /** One timer for all: it may come too early for those that were held since. */
  #look(): void {
    this.#timer = undefined
    const nowMs = this.#clock.monotonicMs()
    // A timer may be early by the rounding of its clock.
    for (const [to, { message, dueMs }] of [...this.#held]) {
      if (dueMs > nowMs + 1) continue
      this.#held.delete(to)
      this.#send(message)
    }
    if (this.#held.size > 0) this.#timer = this.#clock.setTimer(holdMs, () => this.#look())
  }
}
