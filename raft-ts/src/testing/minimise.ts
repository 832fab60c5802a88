// Shortens the script of a failing run: drops faults and closes gaps as long as the same promise is broken.
// Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (ddmin).
import type { FaultScript, FaultStep } from './fault.ts'
import { type SimOptions, type SimResult, simulate } from './simulate.ts'

/** What the failed run was given, and how much may be spent. */
export interface MinimiseOptions extends Omit<SimOptions, 'script' | 'onTrace'> {
  /** Runs that may be spent. Default 300. */
  readonly runsMax?: number
}

/** What was found. */
export interface Minimised {
  /** The shortest run found: it breaks the same promise; its script plays it again. */
  readonly result: SimResult
  readonly runs: number
}

/**
 * The shortest script found that still breaks the promise that `failed` broke, with the same seed and options.
 * Costs up to runsMax runs, most of which end early. Throws RangeError for a run that passed.
 */
export function minimise(failed: SimResult, options: MinimiseOptions = {}): Minimised {
  if (failed.promise === undefined) throw new RangeError(`seed ${failed.seed} passed`)
  const search = new Search(failed, options)
  search.endEarly()
  search.dropSteps()
  search.closeGaps()
  search.dropSteps()
  return { result: search.best, runs: search.runs }
}

const peaceAfterMs = 500

class Search {
  best: SimResult
  runs = 0
  readonly #options: MinimiseOptions

  constructor(failed: SimResult, options: MinimiseOptions) {
    this.best = failed
    this.#options = options
  }

  /** What came after the failure had no part in it. */
  endEarly(): void {
    const { script, atMs } = this.best
    const steps = script.steps.filter((step) => step.atMs <= atMs)
    this.#try({ steps, endMs: Math.min(script.endMs, Math.ceil(atMs) + 1) })
  }

  /** Halves, then smaller and smaller parts are left out. */
  dropSteps(): void {
    let parts = 2
    while (this.best.script.steps.length > 0) {
      const { length } = this.best.script.steps
      const isShorter = this.#dropPart(parts)
      if (this.#isSpent) return
      if (isShorter) parts = Math.max(2, parts - 1)
      else if (parts >= length) return
      else parts = Math.min(length, 2 * parts)
    }
  }

  /** The pause before each step is halved, with all that follows. */
  closeGaps(): void {
    for (let at = 0; at < this.best.script.steps.length; at++) {
      while (this.#closeGap(at)) if (this.#isSpent) return
    }
  }

  get #isSpent(): boolean {
    return this.runs >= (this.#options.runsMax ?? 300)
  }

  #dropPart(parts: number): boolean {
    const { steps, endMs } = this.best.script
    const size = Math.ceil(steps.length / parts)
    for (let from = 0; from < steps.length; from += size) {
      if (this.#isSpent) return false
      const rest = [...steps.slice(0, from), ...steps.slice(from + size)]
      if (this.#try({ steps: rest, endMs })) return true
    }
    return false
  }

  #closeGap(at: number): boolean {
    const { steps, endMs } = this.best.script
    const step = steps[at]
    if (step === undefined) return false
    const gapMs = step.atMs - (steps[at - 1]?.atMs ?? 0)
    const byMs = Math.floor(gapMs / 2)
    if (byMs < 50) return false
    const earlier = (moved: FaultStep): FaultStep => ({ ...moved, atMs: moved.atMs - byMs })
    const shifted = [...steps.slice(0, at), ...steps.slice(at).map(earlier)]
    return this.#try({ steps: shifted, endMs: endMs - byMs })
  }

  #try(script: FaultScript): boolean {
    this.runs += 1
    // What breaks while faults strike needs no peace to do so.
    const isEarly = this.best.atMs <= this.best.script.endMs
    const options = isEarly ? { ...this.#options, peaceMs: peaceAfterMs } : this.#options
    const result = simulate(this.best.seed, { ...options, script })
    if (result.promise !== this.best.promise) return false
    this.best = { ...result, script }
    return true
  }
}
