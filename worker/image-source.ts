// Brings a task's image to this host: one pull at a time for a reference, a registry that does not answer is not
// asked again and again. Not for the commands of users (engine/).
// Source: Swarm pulls before each start unless a digest is local; failed pulls are only logged, and the create that
// follows says what is missing.
import { SwarmError } from '../proto/errors.ts'
import type { Clock } from '../proto/lib/clock.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Executor, PullProgress } from './executor/executor.ts'

/** A pull serves all tasks of a burst. */
const freshMs = 10_000
/** How long a local image waits for its registry to say that there is a newer one. */
const patienceMs = 1_000
/** A registry that failed is left alone by tasks whose image is local. */
const avoidMs = 60_000

export interface ImageSourceDeps {
  readonly executor: Executor
  readonly clock: Clock
  readonly log: Logger
}

export class ImageSource {
  readonly #deps: ImageSourceDeps
  readonly #pulls = new Map<string, Promise<string>>()
  readonly #freshUntil = new Map<string, number>()
  readonly #avoidUntil = new Map<string, number>()

  constructor(deps: ImageSourceDeps) {
    this.#deps = deps
  }

  /**
   * Resolves when the image is as good as it gets: with '' or with why the last pull failed, the image perhaps being
   * local all the same. The signal ends the waiting; the pull goes on for others.
   */
  async ensure(reference: string, signal: AbortSignal): Promise<string> {
    if ((this.#freshUntil.get(reference) ?? 0) > this.#deps.clock.monotonicMs()) return ''
    let pull = this.#pulls.get(reference)
    if (pull === undefined) {
      pull = this.#pull(reference).finally(() => this.#pulls.delete(reference))
      this.#pulls.set(reference, pull)
    }
    return unlessAborted(pull, signal)
  }

  async #pull(reference: string): Promise<string> {
    try {
      let wasPulled = false
      const progress = ({ step }: PullProgress): void => {
        wasPulled ||= isTransfer(step)
      }
      await this.#deps.executor.pull(reference, { policy: 'missing', progress })
      if (!wasPulled && !reference.includes('@sha256:')) await this.#refresh(reference)
      this.#freshUntil.set(reference, this.#deps.clock.monotonicMs() + freshMs)
      return ''
    } catch (err) {
      this.#deps.log.warn({ image: reference, err }, 'image not pulled')
      return err instanceof Error ? err.message : String(err)
    }
  }

  /** Asks the registry whether a local tag has moved on; the local image does when it cannot say so soon. */
  async #refresh(reference: string): Promise<void> {
    const { clock, executor, log } = this.#deps
    const registry = registryOf(reference)
    if ((this.#avoidUntil.get(registry) ?? 0) > clock.monotonicMs()) return
    const { controller } = childController()
    const patience = clock.setTimer(patienceMs, () => controller.abort())
    try {
      await executor.pull(reference, {
        policy: 'always',
        signal: controller.signal,
        // Once layers are on their way the pull may take its time.
        progress: ({ step }) => {
          if (isTransfer(step)) patience.cancel()
        },
      })
    } catch (err) {
      log.info({ image: reference, registry, err }, 'registry does not answer: local image used')
      this.#avoidUntil.set(registry, clock.monotonicMs() + avoidMs)
    } finally {
      patience.cancel()
    }
  }
}

function isTransfer(step: string): boolean {
  return step === 'downloading' || step === 'storing'
}

function registryOf(reference: string): string {
  const [first = '', ...rest] = reference.split('/')
  return rest.length > 0 && /[.:]|^localhost$/.test(first) ? first : 'docker.io'
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw cancelled()
  let onAbort = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(cancelled())
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function cancelled(): SwarmError {
  return new SwarmError('CANCELLED', 'the task no longer needs its image')
}
