// A whole run: a cluster, clients, a nemesis; the history checked as keys are retired and once more at the end.
import type { Verdict } from '../support/linearizability/checker.ts'
import { seededChoices } from '../support/linearizability/choices.ts'
import { Clients } from './clients.ts'
import { Cluster } from './cluster.ts'
import type { FaultKind } from './faults.ts'
import { type FaultCount, Nemesis } from './nemesis.ts'
import { type Counts, Recorder, type RecorderOptions } from './recorder.ts'

export interface RunOptions extends RecorderOptions {
  readonly seed: number
  readonly seconds: number
  readonly voters?: number
  readonly clients?: number
  /** Default: all. */
  readonly kinds?: readonly FaultKind[]
  /** Wrong on purpose: a member that believes that it leads answers reads from its own state. */
  readonly readsLocally?: boolean
  /** What happens, a line each. */
  readonly say?: (line: string) => void
  /** Ends the run early, orderly. */
  readonly signal?: AbortSignal
}

export interface RunResult {
  readonly seed: number
  readonly seconds: number
  /** `broken`: not judged by the history: no recovery, two leaders of a term, replicas that differ, a member that ended. */
  readonly verdict: Verdict | { readonly kind: 'broken'; readonly text: string }
  readonly counts: Counts
  readonly keys: number
  readonly checks: number
  readonly terms: number
  /** Members that led. */
  readonly leaders: number
  readonly restores: number
  readonly faults: ReadonlyMap<FaultKind, FaultCount>
  readonly recoveriesMs: readonly number[]
  readonly events: readonly string[]
  readonly recorder: Recorder
}

const clientsDefault = 10
/** A run goes on for up to so many times its length, until every kind of fault has struck. */
const extension = 2
const timerMs = 100

/** Needs root; leaves nothing behind. */
export async function runLinearizability(options: RunOptions): Promise<RunResult> {
  const cluster = await Cluster.create({
    voters: options.voters ?? 5,
    readsLocally: options.readsLocally ?? false,
  })
  try {
    const startMs = performance.now()
    await cluster.found()
    options.say?.(`founded in ${Math.round(performance.now() - startMs)} ms`)
    return await new Run(options, cluster).run()
  } finally {
    await cluster.end()
  }
}

class Run {
  readonly #options: RunOptions
  readonly #cluster: Cluster
  readonly #recorder: Recorder
  readonly #nemesis: Nemesis
  readonly #clients: Clients
  readonly #events: string[] = []
  /** Ends everything: time is over, or the verdict is there. */
  readonly #over = new AbortController()
  #verdict: RunResult['verdict'] | undefined
  #checks = 0
  #restores = 0

  constructor(options: RunOptions, cluster: Cluster) {
    this.#options = options
    this.#cluster = cluster
    this.#recorder = new Recorder(options)
    // Two streams of choices, so that what clients draw does not change the schedule of the faults.
    this.#nemesis = new Nemesis({
      cluster,
      choices: seededChoices(options.seed),
      ...(options.kinds !== undefined && { kinds: options.kinds }),
      mutations: () => this.#recorder.mutations,
      say: (text) => this.#say(text),
    })
    this.#clients = new Clients({
      cluster,
      recorder: this.#recorder,
      choices: seededChoices(options.seed + 2 ** 32),
      clients: options.clients ?? clientsDefault,
      onRetired: (key) => this.#check(key),
    })
  }

  async run(): Promise<RunResult> {
    const { signal } = this.#options
    const timer = this.#startTimer()
    const stop = (): void => this.#over.abort()
    signal?.addEventListener('abort', stop, { once: true })
    if (signal?.aborted === true) stop()
    const stopClients = new AbortController()
    const working = this.#clients.run(stopClients.signal).catch((err) => this.#broke(err))
    await this.#nemesis.run(this.#over.signal).catch((err) => this.#broke(err))
    const ranMs = this.#recorder.nowMs
    clearInterval(timer)
    signal?.removeEventListener('abort', stop)
    stopClients.abort()
    await working
    if (this.#verdict === undefined) await this.#finish().catch((err) => this.#broke(err))
    return this.#result(ranMs / 1000)
  }

  #startTimer(): NodeJS.Timeout {
    const endMs = this.#options.seconds * 1000
    return setInterval(() => {
      const { nowMs } = this.#recorder
      const isEnough = this.#nemesis.isComplete || nowMs >= endMs * extension
      if (nowMs >= endMs && isEnough) this.#over.abort()
    }, timerMs)
  }

  /** All is healed and quiet: what was acknowledged must be there, everywhere. */
  async #finish(): Promise<void> {
    await this.#clients.readAll()
    for (const key of this.#recorder.keys.keys()) this.#check(key)
    await this.#cluster.agreement()
    const states = await Promise.all(this.#cluster.members.map((host) => host.state()))
    this.#restores = states.reduce((sum, { restores }) => sum + restores, 0)
    this.#say('all keys read once more, all members hold the same state')
  }

  #check(key: string): void {
    if (this.#verdict !== undefined) return
    this.#checks += 1
    const verdict = this.#recorder.check(key)
    if (verdict.kind === 'linearizable') return
    this.#verdict = verdict
    this.#say(verdict.text)
    this.#over.abort()
  }

  #broke(err: unknown): void {
    const text = err instanceof Error ? err.message : String(err)
    this.#verdict ??= { kind: 'broken', text }
    this.#say(text)
    this.#over.abort()
  }

  #result(seconds: number): RunResult {
    const { leaders, failure } = this.#cluster
    const { keys, counts } = this.#recorder
    const broken = failure === undefined ? undefined : ({ kind: 'broken', text: failure } as const)
    const verdict = this.#verdict ??
      broken ?? {
        kind: 'linearizable',
        keys: keys.size,
        operations: counts.ok + counts.unknown,
        configurations: 0,
      }
    return {
      seed: this.#options.seed,
      seconds,
      verdict,
      counts,
      keys: keys.size,
      checks: this.#checks,
      terms: leaders.size,
      leaders: new Set(leaders.values()).size,
      restores: this.#restores,
      faults: this.#nemesis.counts,
      recoveriesMs: this.#nemesis.recoveriesMs,
      events: this.#events,
      recorder: this.#recorder,
    }
  }

  #say(text: string): void {
    const line = `${(this.#recorder.nowMs / 1000).toFixed(3).padStart(8)} s  ${text}`
    this.#events.push(line)
    this.#options.say?.(line)
  }
}
