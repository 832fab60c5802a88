// Measures round trips by heartbeats and votes, and the silence between a leader's messages. Times are given.
import type { Message, NodeId, Term } from '../core/types.ts'
import { isSignOfLeader } from './lanes.ts'
import type { Pace } from './pace.ts'

/** Far more than any cluster has members: those who left are forgotten with the rest. */
const peersMax = 256

interface Trip {
  /** Rounds begin anew with every leadership. */
  readonly term: Term
  /** 0: a request for a vote, of which a term has one to each peer. */
  readonly round: number
  readonly sentMs: number
}

export class RoundTrips {
  readonly #pace: Pace
  /** The heartbeat or request for a vote whose answer is waited for. */
  readonly #trips = new Map<NodeId, Trip>()
  /** What the last round trip took. */
  readonly #tookMs = new Map<NodeId, number>()
  #leader: NodeId | undefined
  #leaderMs = 0

  constructor(pace: Pace) {
    this.#pace = pace
  }

  sent(message: Message, nowMs: number): void {
    if (message.kind !== 'heartbeat' && message.kind !== 'vote') return
    const { to, term } = message
    const round = message.kind === 'vote' ? 0 : message.round
    if (this.#trips.get(to)?.term === term) return
    if (this.#trips.size >= peersMax) this.forget()
    this.#trips.set(to, { term, round, sentMs: nowMs })
  }

  /** `term`: this member's own. What comes of an earlier one was held up by a cut, or by a leader that is none any more. */
  received(message: Message, term: Term, nowMs: number): void {
    if (message.term < term) return
    if (message.kind === 'heartbeat-response') this.#answered(message, message.round, nowMs)
    if (message.kind === 'vote-response') this.#answered(message, 0, nowMs)
    if (!isSignOfLeader(message)) return
    if (message.from === this.#leader) this.#pace.silenceTook(nowMs - this.#leaderMs)
    this.#leader = message.from
    this.#leaderMs = nowMs
  }

  /** This member leads from now on. */
  leads(): void {
    this.#leader = undefined
    this.#pace.leads()
  }

  /** Unanswered heartbeats are forgotten: after a pause their time says nothing. */
  forget(): void {
    this.#trips.clear()
    this.#tookMs.clear()
    this.#leader = undefined
  }

  #answered({ from: peer, term }: Message, round: number, nowMs: number): void {
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
