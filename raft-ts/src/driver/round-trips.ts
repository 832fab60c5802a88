// Measures round trips by heartbeats and the silence between a leader's messages. Times are given.
import type { Message, NodeId, Term } from '../core/types.ts'
import { isSignOfLeader } from './lanes.ts'
import type { Pace } from './pace.ts'

type HeartbeatResponse = Extract<Message, { kind: 'heartbeat-response' }>

/** Far more than any cluster has members: those who left are forgotten with the rest. */
const peersMax = 256

interface Trip {
  /** Rounds begin anew with every leadership. */
  readonly term: Term
  readonly round: number
  readonly sentMs: number
}

export class RoundTrips {
  readonly #pace: Pace
  /** The heartbeat whose answer is waited for. */
  readonly #trips = new Map<NodeId, Trip>()
  /** What the last round trip took. */
  readonly #tookMs = new Map<NodeId, number>()
  #leader: NodeId | undefined
  #leaderMs = 0

  constructor(pace: Pace) {
    this.#pace = pace
  }

  sent(message: Message, nowMs: number): void {
    if (message.kind !== 'heartbeat') return
    const { to, term, round } = message
    if (this.#trips.get(to)?.term === term) return
    if (this.#trips.size >= peersMax) this.forget()
    this.#trips.set(to, { term, round, sentMs: nowMs })
  }

  received(message: Message, nowMs: number): void {
    if (message.kind === 'heartbeat-response') this.#answered(message, nowMs)
    if (!isSignOfLeader(message)) return
    if (message.from === this.#leader) this.#pace.silenceTook(nowMs - this.#leaderMs)
    this.#leader = message.from
    this.#leaderMs = nowMs
  }

  /** Unanswered heartbeats are forgotten: after a pause their time says nothing. */
  forget(): void {
    this.#trips.clear()
    this.#tookMs.clear()
    this.#leader = undefined
  }

  #answered({ from: peer, term, round }: HeartbeatResponse, nowMs: number): void {
    const trip = this.#trips.get(peer)
    if (trip?.term !== term || round < trip.round) return
    this.#trips.delete(peer)
    // A later heartbeat is answered: this one or its answer was lost.
    if (round > trip.round) return
    const tookMs = nowMs - trip.sentMs
    const beforeMs = this.#tookMs.get(peer)
    this.#tookMs.set(peer, tookMs)
    // Of two in a row the shorter one: a peer that stood still is slow once, a slow network always.
    if (beforeMs !== undefined) this.#pace.roundTripTook(Math.min(tookMs, beforeMs))
  }
}
