// What Raft announces, carried out: the store is opened or closed for updates at once, the loops follow in order.
import { type Clock, wait } from '../proto/lib/clock.ts'
import type { NamedLoop } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import { LeaderLoops } from './leader.ts'
import type { Leadership } from './raft/raft-handle.ts'
import type { ReplicatedStore } from './store/replicated-store.ts'

export interface LeadershipDeps {
  readonly store: ReplicatedStore
  readonly clock: Clock
  readonly log: Logger
}

export class LeadershipRunner {
  readonly #deps: LeadershipDeps
  readonly #runner: LeaderLoops
  #loops: readonly NamedLoop[] | undefined
  #current: Leadership | undefined
  /** Terms one after another: the next begins when the last one's loops have ended. */
  #changes: Promise<void> = Promise.resolve()
  #fail: (err: unknown) => void = () => {}
  /** Rejects when a leader loop failed or would not end. Never resolves. */
  readonly failed: Promise<never>

  constructor(deps: LeadershipDeps) {
    this.#deps = deps
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.failed.catch(() => {})
    const { clock, log } = deps
    this.#runner = new LeaderLoops({
      loops: () => this.#loops ?? [],
      clock,
      log,
      onFatal: (err) => this.#fail(err),
    })
  }

  /** The loops to run whenever this manager leads. */
  lead(loops: readonly NamedLoop[]): void {
    this.#loops = loops
    this.#settle()
  }

  /** What Raft announced; the store is opened or closed before this returns. */
  follow(now: Leadership): void {
    const led = termOf(this.#current)
    const leads = termOf(now)
    this.#current = now
    if (led === leads) return
    if (led !== undefined) this.#deps.store.endTerm()
    if (leads !== undefined) this.#deps.store.startTerm(leads)
    this.#settle()
  }

  /** Resolves when this manager leads. */
  async untilLeading(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && termOf(this.#current) === undefined) {
      await wait(this.#deps.clock, 10, signal)
    }
  }

  /** Ends the loops of the present term and begins no other. */
  async stop(): Promise<void> {
    this.#loops = undefined
    this.#settle()
    await this.#changes
  }

  #settle(): void {
    this.#changes = this.#changes.then(() => this.#change()).catch((err) => this.#fail(err))
  }

  async #change(): Promise<void> {
    const wanted = this.#loops === undefined ? undefined : termOf(this.#current)
    if (this.#runner.term === wanted) return
    await this.#runner.stop()
    if (wanted !== undefined) this.#runner.start(wanted)
  }
}

function termOf(leadership: Leadership | undefined): number | undefined {
  return leadership?.role === 'leader' ? leadership.term : undefined
}
