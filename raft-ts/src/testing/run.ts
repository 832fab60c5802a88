// Runs many seeds over several threads and sums up. What is printed is the caller's.
import { Worker } from 'node:worker_threads'
import type { MonotonicClock } from '../driver/environment.ts'
import { type Coverage, CoverageCounts } from './coverage.ts'
import { type SimOptions, type SimResult, simulate } from './simulate.ts'

/** Options of a run that can cross to another thread. */
export type PlainSimOptions = Omit<SimOptions, 'onTrace'>

/** Which seeds to run, and how long. */
export interface RunOptions {
  /** First seed. */
  readonly from: number
  readonly seeds: number
  /** Threads besides this one; 0: all in this one, blocking it. */
  readonly threads: number
  /** No further seeds are begun after so many failures. Default 10. */
  readonly failuresMax?: number
  readonly sim?: PlainSimOptions
  readonly clock: Pick<MonotonicClock, 'monotonicMs'>
  /** Every result as it comes, in no order. */
  readonly onResult?: (result: SimResult) => void
}

/** What came of a run over many seeds. */
export interface RunSummary {
  readonly runs: number
  readonly failed: readonly SimResult[]
  readonly seconds: number
  readonly runsPerSecond: number
  readonly eventsPerRun: number
  /** Of the run that had the fewest. */
  readonly eventsMin: number
  /** What happened how often, in all runs together. */
  readonly coverage: Coverage
}

/** A run leaves little behind and much garbage: room for it saves collecting it often. */
const youngMb = 64

/** What a thread is asked for, and what its run-worker.ts answers with. */
export interface WorkerTask {
  readonly seed: number
  readonly sim: PlainSimOptions
}

/** Simulates seeds from, from + 1, ... Resolves when all have run or too many have failed. */
export async function runSeeds(options: RunOptions): Promise<RunSummary> {
  const run = new Run(options)
  const startMs = options.clock.monotonicMs()
  if (options.threads === 0) run.here()
  else await run.onThreads(options.threads)
  const seconds = (options.clock.monotonicMs() - startMs) / 1000
  return {
    runs: run.runs,
    failed: run.failed,
    seconds,
    runsPerSecond: run.runs / seconds,
    eventsPerRun: run.runs === 0 ? 0 : run.events / run.runs,
    eventsMin: run.runs === 0 ? 0 : run.eventsMin,
    coverage: run.coverage.counts(),
  }
}

class Run {
  runs = 0
  events = 0
  eventsMin = Number.POSITIVE_INFINITY
  readonly coverage = new CoverageCounts()
  readonly failed: SimResult[] = []
  readonly #options: RunOptions
  #next: number

  constructor(options: RunOptions) {
    this.#options = options
    this.#next = options.from
  }

  here(): void {
    for (let task = this.#take(); task !== undefined; task = this.#take()) {
      this.#took(simulate(task.seed, task.sim))
    }
  }

  async onThreads(threads: number): Promise<void> {
    await Promise.all(Array.from({ length: threads }, () => this.#onThread()))
  }

  #onThread(): Promise<void> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./run-worker.js', import.meta.url), {
        resourceLimits: { maxYoungGenerationSizeMb: youngMb },
      })
      const next = (): void => {
        const task = this.#take()
        if (task !== undefined) worker.postMessage(task)
        else worker.terminate().then(() => resolve(), reject)
      }
      worker.on('error', reject)
      worker.on('message', (result: SimResult) => {
        this.#took(result)
        next()
      })
      next()
    })
  }

  #take(): WorkerTask | undefined {
    const { from, seeds, failuresMax = 10, sim = {} } = this.#options
    if (this.#next >= from + seeds || this.failed.length >= failuresMax) return undefined
    const seed = this.#next
    this.#next += 1
    return { seed, sim }
  }

  #took(result: SimResult): void {
    this.runs += 1
    this.events += result.events
    this.eventsMin = Math.min(this.eventsMin, result.events)
    this.coverage.addAll(result.coverage)
    if (result.outcome === 'violated') this.failed.push(result)
    this.#options.onResult?.(result)
  }
}
