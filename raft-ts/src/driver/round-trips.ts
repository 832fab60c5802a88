// Measures round trips by heartbeats and the silence between a leader's messages. Times are given.
import type { Message, NodeId } from '../core/types.ts'
import { isSignOfLeader } from './lanes.ts'
import type { Pace } from './pace.ts'

/** Far more than any cluster has members: those who left are forgotten with the rest. */
const peersMax = 256

export class RoundTrips {
  readonly #pace: Pace
  /** When the heartbeat that is not answered yet was sent. */
  readonly #sentMs = new Map<NodeId, number>()
  #leader: NodeId | undefined
  #leaderMs = 0

  constructor(pace: Pace) {
    this.#pace = pace
  }

  sent(message: Message, nowMs: number): void {
    if (message.kind !== 'heartbeat' || this.#sentMs.has(message.to)) return
    if (this.#sentMs.size >= peersMax) this.#sentMs.clear()
    this.#sentMs.set(message.to, nowMs)
  }

  received(message: Message, nowMs: number): void {
    if (message.kind === 'heartbeat-response') {
      const sentMs = this.#sentMs.get(message.from)
      this.#sentMs.delete(message.from)
      if (sentMs !== undefined) this.#pace.roundTripTook(nowMs - sentMs)
    }
    if (!isSignOfLeader(message)) return
    if (message.from === this.#leader) this.#pace.silenceTook(nowMs - this.#leaderMs)
    this.#leader = message.from
    this.#leaderMs = nowMs
  }

  /** Unanswered heartbeats are forgotten: after a pause or a lost one their time says nothing. */
  forget(): void {
    this.#sentMs.clear()
    this.#leader = undefined
  }
}
