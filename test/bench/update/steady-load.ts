// A load that does not wait for answers: requests at fixed times, and how many of them got none. Not how they are sent.
import { type Clock, wait } from '../../../proto/lib/clock.ts'

export interface LoadCount {
  readonly sent: number
  /** Those without a whole answer, by what came instead. */
  readonly lost: Readonly<Record<string, number>>
}

/** Rejects when the request got no whole answer; the message says why, the same for the same reason. */
export type Send = (number: number) => Promise<void>

/** Sends from its making until it is ended. */
export class SteadyLoad {
  readonly #stop = new AbortController()
  readonly #lost = new Map<string, number>()
  readonly #open = new Set<Promise<void>>()
  readonly #sending: Promise<void>
  #sent = 0

  constructor(clock: Clock, perSecond: number, send: Send) {
    this.#sending = this.#run(clock, 1_000 / perSecond, send)
  }

  /** Resolves when what was sent is answered or lost. */
  async end(): Promise<LoadCount> {
    this.#stop.abort()
    await this.#sending
    await Promise.all(this.#open)
    return { sent: this.#sent, lost: Object.fromEntries(this.#lost) }
  }

  async #run(clock: Clock, everyMs: number, send: Send): Promise<void> {
    const startMs = clock.monotonicMs()
    while (!this.#stop.signal.aborted) {
      this.#one(send)
      // By the clock from the beginning: what comes late does not make the load smaller.
      const nextMs = startMs + this.#sent * everyMs
      await wait(clock, Math.max(0, nextMs - clock.monotonicMs()), this.#stop.signal)
    }
  }

  #one(send: Send): void {
    const sent = send(this.#sent++)
      .catch((err: unknown) => {
        const why = err instanceof Error ? err.message : String(err)
        this.#lost.set(why, (this.#lost.get(why) ?? 0) + 1)
      })
      .finally(() => this.#open.delete(sent))
    this.#open.add(sent)
  }
}
