// Waiting until a service runs as it should, with progress for whoever watches.

import { hasCode, SwarmError } from '../proto/errors.ts'
import { ControlService, type WatchServiceResponse } from '../proto/gen/tsswarm/v1/control.ts'
import { type Clock, wait } from '../proto/lib/clock.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { Client } from './client.ts'
import type { CommandContext } from './context.ts'
import {
  type Convergence,
  convergenceOf,
  type Outcome,
  outcomeOf,
  ProgressDisplay,
  type ProgressLine,
  progressLines,
  stuckText,
  verifiedLines,
} from './render/progress.ts'
import { causeOf, failureOf, isOnProbation, provingMs, stableMs } from './update-course.ts'

export interface ConvergeOptions {
  /** As the user named the service, for messages. */
  readonly name: string
  readonly quiet: boolean
  /** It was asked to go back: then that is no failure. */
  readonly isRollback?: boolean
}

/** Starts watching a service: each call is a new stream that begins with the present state. */
export type WatchService = (signal: AbortSignal) => AsyncIterable<WatchServiceResponse>

/** Watches a service on the daemon until it has converged. */
export async function converge(
  ctx: CommandContext,
  client: Client,
  options: ConvergeOptions & { readonly serviceId: string },
): Promise<void> {
  const { serviceId } = options
  const watch: WatchService = (signal) =>
    client.stream(ControlService.watchService, [{ serviceId }], signal)
  await waitForConvergence(ctx, watch, options)
}

/**
 * Returns when the service has converged and stayed so, or when the user interrupts (the work goes on in the cluster).
 * Errors: NOT_FOUND when the service is removed meanwhile, FAILED_PRECONDITION when it cannot converge because tasks
 * failed and will not be tried again, or the update was paused or taken back.
 */
export async function waitForConvergence(
  ctx: Pick<CommandContext, 'stdout' | 'clock' | 'signal' | 'random'>,
  watch: WatchService,
  options: ConvergeOptions,
): Promise<void> {
  const display = new ProgressDisplay(ctx.stdout)
  const show = options.quiet
    ? () => {}
    : (lines: Parameters<typeof display.show>[0]) => display.show(lines)
  const { controller, release } = childController(ctx.signal)
  try {
    const waiter = new StabilityWaiter(ctx.clock, options, show)
    await waiter.run(resuming(ctx.clock, watch, controller.signal), ctx.signal)
  } finally {
    // Ends the watch, which may be waiting for its next answer.
    controller.abort()
    release()
  }
  if (ctx.signal.aborted && !options.quiet) {
    ctx.stdout.write(
      `Operation continuing in background.\nUse \`tsswarm service ps ${options.name}\` to check progress.\n`,
    )
  }
}

/** Failures, one after another, of 250 ms each: a daemon that is started again takes seconds. */
const failuresMax = 60
const lostCodes = ['UNAVAILABLE', 'NO_LEADER', 'NOT_LEADER', 'DAEMON_NOT_RUNNING'] as const

/** Goes on with a new stream when a manager, or this host's daemon, fails under the old one; ends when the signal aborts. */
async function* resuming(
  clock: Clock,
  watch: WatchService,
  signal: AbortSignal,
): AsyncGenerator<WatchServiceResponse, void, undefined> {
  let failures = 0
  while (!signal.aborted) {
    try {
      for await (const update of watch(signal)) {
        failures = 0
        yield update
      }
      return
    } catch (err) {
      if (signal.aborted) return
      failures += 1
      if (!hasCode(err, ...lostCodes) || failures > failuresMax) throw err
      await wait(clock, 250, signal)
    }
  }
}

class StabilityWaiter {
  readonly #clock: Clock
  readonly #options: ConvergeOptions
  readonly #show: ProgressDisplay['show']

  constructor(clock: Clock, options: ConvergeOptions, show: ProgressDisplay['show']) {
    this.#clock = clock
    this.#options = options
    this.#show = show
  }

  async run(updates: AsyncIterable<WatchServiceResponse>, signal: AbortSignal): Promise<void> {
    const iterator = updates[Symbol.asyncIterator]()
    let stableSinceMs: number | undefined
    let forMs = stableMs
    let cause = ''
    let outcome: Outcome = 'moving'
    let convergence: Convergence = {
      waiting: { kind: 'running' },
      wanted: 0,
      running: 0,
      slots: [],
    }
    let next = iterator.next()
    try {
      while (true) {
        const untilMs = stableSinceMs === undefined ? undefined : stableSinceMs + forMs
        const found = await this.#nextOrStable(next, untilMs, signal)
        if (found === 'stable') {
          if (outcome === 'stuck') throw stuck(this.#options.name, convergence)
          this.#show([
            ...progressLines(convergence),
            ...verifiedLines(this.#options.name, convergence),
          ])
          return
        }
        if (found === 'aborted' || found.done === true) return
        if (found.value.removed) throw removedMeanwhile(this.#options.name)
        const { name, isRollback = false } = this.#options
        cause = causeOf(found.value) || cause
        const failure = failureOf(found.value, { name, isRollback, cause })
        if (failure !== undefined) throw failure
        convergence = convergenceOf(found.value)
        const before: Outcome = outcome
        outcome = isOnProbation(found.value, isRollback) ? 'moving' : outcomeOf(convergence)
        if (outcome === 'moving') stableSinceMs = undefined
        else if (outcome !== before) stableSinceMs = this.#clock.monotonicMs()
        const lines = progressLines(convergence)
        forMs = outcome === 'there' ? provingMs(found.value, isRollback) : stableMs
        // What has ended well stays so.
        const isOver = outcome === 'there' && convergence.waiting.kind !== 'running'
        if (isOver) stableSinceMs = Number.NEGATIVE_INFINITY
        this.#show(outcome === 'there' && !isOver ? [...lines, verifying(forMs)] : lines)
        next = iterator.next()
      }
    } finally {
      next.catch(() => {})
    }
  }

  /** The next update, unless the service stays as it is for long enough. */
  async #nextOrStable<T>(
    next: Promise<T>,
    untilMs: number | undefined,
    signal: AbortSignal,
  ): Promise<T | 'stable' | 'aborted'> {
    const race = new AbortController()
    const aborted = (): void => race.abort()
    signal.addEventListener('abort', aborted, { once: true })
    const leftMs =
      untilMs === undefined ? 2_147_483_647 : Math.max(untilMs - this.#clock.monotonicMs(), 0)
    const timer = wait(this.#clock, leftMs, race.signal).then((): 'stable' | 'aborted' =>
      signal.aborted ? 'aborted' : 'stable',
    )
    try {
      return await Promise.race([next, timer])
    } finally {
      signal.removeEventListener('abort', aborted)
      race.abort()
    }
  }
}

function verifying(forMs: number): ProgressLine {
  const seconds = Math.ceil(forMs / 1_000)
  const text = `Waiting ${seconds} second${seconds === 1 ? '' : 's'} to verify that tasks are stable...`
  return { key: 'verify', text: `verify: ${text}` }
}

function stuck(name: string, convergence: Convergence): SwarmError {
  return new SwarmError('FAILED_PRECONDITION', stuckText(name, convergence))
}

function removedMeanwhile(name: string): SwarmError {
  return new SwarmError('NOT_FOUND', `service ${name} was removed while it was waited for`)
}
