// Asks one container how it is, as its policy says. The order of things in time; what follows from an answer is in
// health-state.ts.
import { hasCode } from '../../proto/errors.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { TaskHealth, TaskId } from '../../proto/objects/index.ts'
import type { HealthCheck } from './health-policy.ts'
import {
  adoptedHealth,
  adoptedProbeMs,
  afterProbe,
  isWorthTelling,
  nextProbeMs,
  type ProbeResult,
  startingHealth,
  type Told,
} from './health-state.ts'
import type { ProbeSlots } from './probe-slots.ts'

/** What a probe says of the container. */
export type ProbeAnswer = Pick<ProbeResult, 'isHealthy' | 'output'>

export interface HealthWatchDeps {
  readonly slots: ProbeSlots
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Asks the container once. Rejects when that was not possible, which is not the container's fault. */
  readonly ask: (signal: AbortSignal) => Promise<ProbeAnswer>
  /** Told of what is worth telling. */
  readonly onTold: (health: TaskHealth) => Promise<void>
}

export interface WatchedContainer {
  readonly taskId: TaskId
  readonly check: HealthCheck
  /** On the wall clock. */
  readonly startedAtMs: number
  /** What is known from before this daemon; undefined: nothing. */
  readonly known: TaskHealth | undefined
  /** It was told to run, before this daemon. */
  readonly hasRun: boolean
}

export class HealthWatch {
  readonly #deps: HealthWatchDeps
  readonly #container: WatchedContainer
  /** Monotonic; a wall clock that jumps changes no start period. */
  readonly #startedAtMs: number
  #health: TaskHealth
  #told: Told
  #nextAtMs: number

  constructor(deps: HealthWatchDeps, container: WatchedContainer) {
    const { clock, random } = deps
    const { known, hasRun, check } = container
    this.#deps = deps
    this.#container = container
    const nowMs = clock.monotonicMs()
    this.#startedAtMs = nowMs - Math.max(0, clock.wallMs() - container.startedAtMs)
    this.#health = known ?? (hasRun ? adoptedHealth : startingHealth)
    this.#told = { health: known, detailAtMs: Number.NEGATIVE_INFINITY }
    const sinceStartMs = nowMs - this.#startedAtMs
    const waitMs =
      known === undefined && !hasRun
        ? nextProbeMs(this.#health, sinceStartMs, check.policy, random.float()) - sinceStartMs
        : adoptedProbeMs(check.policy, random.float())
    this.#nextAtMs = nowMs + Math.max(0, waitMs)
  }

  get health(): TaskHealth {
    return this.#health
  }

  /** Asks again and again, until the state is another one or the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    const { state } = this.#health
    await this.#tell()
    while (!signal.aborted && this.#health.state === state && state !== 'unhealthy') {
      await wait(clock, this.#nextAtMs - clock.monotonicMs(), signal)
      if (signal.aborted) return
      await this.#askOnce(signal)
    }
  }

  async #askOnce(signal: AbortSignal): Promise<void> {
    const { clock, random, log, ask, slots } = this.#deps
    const { taskId, check } = this.#container
    try {
      const result = await slots.run(async (): Promise<ProbeResult> => {
        signal.throwIfAborted()
        const sinceStartMs = clock.monotonicMs() - this.#startedAtMs
        const atMs = Math.floor(clock.wallMs())
        return { ...(await ask(signal)), sinceStartMs, atMs }
      })
      this.#health = afterProbe(this.#health, result, check.policy)
      log[result.isHealthy ? 'trace' : 'debug']({ taskId, ...this.#health }, 'health probe made')
    } catch (err) {
      if (signal.aborted) return
      const isEnded = hasCode(err, 'NOT_FOUND', 'FAILED_PRECONDITION')
      log[isEnded ? 'debug' : 'warn']({ taskId, err }, 'health probe not possible')
    }
    const nowMs = clock.monotonicMs()
    const sinceStartMs = nowMs - this.#startedAtMs
    this.#nextAtMs = nowMs + nextProbeMs(this.#health, sinceStartMs, check.policy, random.float())
    await this.#tell()
  }

  async #tell(): Promise<void> {
    const nowMs = this.#deps.clock.monotonicMs()
    const { health } = this.#told
    if (!isWorthTelling(this.#told, this.#health, nowMs)) return
    const isDetail = health?.state === this.#health.state
    this.#told = {
      health: this.#health,
      detailAtMs: isDetail ? nowMs : this.#told.detailAtMs,
    }
    await this.#deps.onTold(this.#health)
  }
}
