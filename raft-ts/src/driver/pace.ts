// How patient to be: election time-outs that stretch when round trips, flushes or a leader's
// heartbeats are measured to be slow, and shrink again. Pure arithmetic over given times.

/** Election time-outs are at least so many times what an exchange takes, and twice a leader's silence. */
const patience = 3
/** Never more than so many times the configured time-out. */
const stretchMax = 5
/** What was measured fades by this factor with every measurement of its kind. */
const fading = 0.95

export class Pace {
  readonly #electionTicks: number
  readonly #tickMs: number
  #flushMs = 0
  #roundTripMs = 0
  #silenceMs = 0

  constructor(options: { readonly electionTicks: number; readonly tickMs: number }) {
    this.#electionTicks = options.electionTicks
    this.#tickMs = options.tickMs
  }

  flushTook(ms: number): void {
    this.#flushMs = Math.max(ms, this.#flushMs * fading)
  }

  /** May take longer than the present time-out: an election that is to succeed needs that long. */
  roundTripTook(ms: number): void {
    if (ms <= this.#ticksMax * this.#tickMs)
      this.#roundTripMs = Math.max(ms, this.#roundTripMs * fading)
  }

  /** A leader's sign of life came this long after the one before. */
  silenceTook(ms: number): void {
    if (!this.#isOutage(ms)) this.#silenceMs = Math.max(ms, this.#silenceMs * fading)
  }

  /** This member leads: how long other leaders were silent says nothing of its followers, and would fade no more. */
  leads(): void {
    this.#silenceMs = 0
  }

  /** Ticks without a leader before a campaign, in steps of half the configured ones. */
  electionTicks(): number {
    const exchangesMs = patience * (this.#flushMs + this.#roundTripMs)
    const wantedTicks = Math.max(exchangesMs, 2 * this.#silenceMs) / this.#tickMs
    const step = Math.max(1, Math.floor(this.#electionTicks / 2))
    const stepped = Math.ceil(wantedTicks / step) * step
    return Math.max(this.#electionTicks, Math.min(stepped, this.#ticksMax))
  }

  get #ticksMax(): number {
    return this.#electionTicks * stretchMax
  }

  /** Longer than anyone waits: a cut connection or a dead peer, not a slow one. */
  #isOutage(ms: number): boolean {
    return ms > this.electionTicks() * this.#tickMs
  }
}
