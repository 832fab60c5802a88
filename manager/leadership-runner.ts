// Terms of leadership: opens and closes the store for updates, and runs the leader-only loops under one signal a term.
import { SwarmError } from '../proto/errors.ts'
import { type Clock, wait } from '../proto/lib/clock.ts'
import { childController, type NamedLoop, runAll } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Leadership } from './raft/raft-handle.ts'
import type { ReplicatedStore } from './store/replicated-store.ts'

export interface LeadershipDeps {
  readonly store: ReplicatedStore
  readonly clock: Clock
  readonly log: Logger
}

/** A loop that still runs this long after its term ended cannot be trusted: the process must end. */
const abortMs = 5_000

interface Term {
  readonly number: number
  readonly controller: AbortController
  readonly ended: Promise<void>
}

export class LeadershipRunner {
  readonly #deps: LeadershipDeps
  #loops: readonly NamedLoop[] | undefined
  #current: Leadership | undefined
  #term: Term | undefined
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
  }

  /** The loops to run whenever this manager leads. */
  lead(loops: readonly NamedLoop[]): void {
    this.#loops = loops
    this.#settle()
  }

  /** What Raft announced; the store is opened or closed before this returns. */
  follow(now: Leadership): void {
    const before = this.#current
    this.#current = now
    const leads = now.role === 'leader'
    const led = before?.role === 'leader'
    if (led && (!leads || before.term !== now.term)) this.#deps.store.endTerm()
    if (leads && (!led || before.term !== now.term)) this.#deps.store.startTerm(now.term)
    this.#settle()
  }

  /** Resolves when this manager leads. */
  async untilLeading(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#current?.role !== 'leader') {
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
    const term = this.#current?.role === 'leader' ? this.#current.term : undefined
    const wanted = this.#loops === undefined ? undefined : term
    if (this.#term !== undefined && this.#term.number !== wanted) this.#term.controller.abort()
    this.#changes = this.#changes.then(() => this.#change()).catch((err) => this.#fail(err))
  }

  async #change(): Promise<void> {
    const { log } = this.#deps
    const wanted = this.#current?.role === 'leader' ? this.#current.term : undefined
    const number = this.#loops === undefined ? undefined : wanted
    if (this.#term?.number === number) return
    if (this.#term !== undefined) {
      const last = this.#term
      last.controller.abort()
      await this.#within(last.ended)
      this.#term = undefined
      log.info({ term: last.number }, 'leadership ended')
      return await this.#change()
    }
    if (number === undefined || this.#loops === undefined) return
    const { controller } = childController()
    const ended = runAll(controller.signal, this.#loops).catch((err: unknown) => this.#fail(err))
    this.#term = { number, controller, ended }
    log.info({ term: number }, 'leadership begun')
  }

  async #within(ended: Promise<void>): Promise<void> {
    let late = (): void => {}
    const tooLate = new Promise<never>((_, reject) => {
      late = () =>
        reject(new SwarmError('INTERNAL', `leader loops still ran ${abortMs} ms after their term`))
    })
    const timer = this.#deps.clock.setTimer(abortMs, late)
    try {
      await Promise.race([ended, tooLate])
    } finally {
      timer.cancel()
    }
  }
}
