// Leader-only loops: started when this manager leads, all stopped before anything else when it no longer does.
import type { Clock } from '../proto/lib/clock.ts'
import { childController, type NamedLoop, runAll } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'

export interface LeaderDeps {
  /** The loops of one term, made anew for each. */
  readonly loops: (term: number) => readonly NamedLoop[]
  readonly clock: Clock
  readonly log: Logger
  /** A loop failed, or did not stop in time: the process has to end. Containers live on. */
  readonly onFatal: (err: unknown) => void
}

/** A loop that still runs this long after its abort may act for a term that is over. */
const stopMs = 5_000

interface Term {
  readonly number: number
  readonly controller: AbortController
  readonly ended: Promise<void>
  readonly running: Set<string>
}

/** Runs the loops under one signal a term. */
export class LeaderLoops {
  readonly #deps: LeaderDeps
  #term: Term | undefined

  constructor(deps: LeaderDeps) {
    this.#deps = deps
  }

  /** The term whose loops run. */
  get term(): number | undefined {
    return this.#term?.number
  }

  /** Starts the loops of a term; those of an earlier one must have been stopped. */
  start(term: number): void {
    const { loops, log, onFatal } = this.#deps
    if (this.#term !== undefined) {
      onFatal(new Error(`loops of term ${this.#term.number} still run, term ${term} cannot start`))
      return
    }
    const { controller } = childController()
    const running = new Set<string>()
    const tracked = loops(term).map((loop) => track(loop, running))
    log.info({ term, loops: tracked.length }, 'leading: loops started')
    const ended = runAll(controller.signal, tracked).catch((err: unknown) => {
      log.fatal({ term, err }, 'a loop of the leader failed')
      onFatal(err)
    })
    this.#term = { number: term, controller, ended, running }
  }

  /** Aborts the loops and resolves when all have ended; not ending in 5 s is fatal. */
  async stop(): Promise<void> {
    const term = this.#term
    if (term === undefined) return
    const { clock, log, onFatal } = this.#deps
    const startMs = clock.monotonicMs()
    const timer = clock.setTimer(stopMs, () => {
      const loops = [...term.running]
      log.fatal({ term: term.number, loops }, 'loops run on after their abort')
      onFatal(new Error(`loops did not stop within ${stopMs} ms: ${loops.join(', ')}`))
    })
    term.controller.abort()
    await term.ended
    timer.cancel()
    if (this.#term === term) this.#term = undefined
    const ms = clock.monotonicMs() - startMs
    log.info({ term: term.number, ms }, 'no longer leading: loops stopped')
  }
}

function track({ name, run }: NamedLoop, running: Set<string>): NamedLoop {
  return {
    name,
    run: async (signal) => {
      running.add(name)
      try {
        await run(signal)
      } finally {
        running.delete(name)
      }
    },
  }
}
