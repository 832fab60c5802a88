// Brings a task's image to this host: one pull at a time for a reference, a registry that does not answer is not
// asked again and again. Not for the commands of users (engine/).
// Source: Swarm pulls before each start unless a digest is local; failed pulls are only logged, and the create that
// follows says what is missing.
import { hasCode, SwarmError } from '../proto/errors.ts'
import { type Clock, wait } from '../proto/lib/clock.ts'
import { chainText } from '../proto/lib/error-chain.ts'
import { registryOf } from '../proto/lib/image-registry.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Executor, PullProgress, RegistryAuth } from './executor/executor.ts'

/** A pull serves all tasks of a burst. */
const freshMs = 10_000
/**
 * How long a task whose image is local waits for the registry to say whether the tag has moved on: not long for one
 * that has not been heard of lately, and not at all for one that failed lately.
 */
const unknownPatienceMs = 300
const knownPatienceMs = 5_000
const rememberedMs = 300_000

interface Registry {
  readonly answers: boolean
  readonly atMs: number
}

/** Credentials of the registry of the image. */
export interface PullLogin {
  /** Those under one id are the same. */
  readonly id: string
  readonly auth: RegistryAuth
}

/** What a task needs. */
interface Wish {
  readonly reference: string
  readonly login: PullLogin | undefined
}

export interface ImageSourceDeps {
  readonly executor: Executor
  readonly clock: Clock
  readonly log: Logger
}

export class ImageSource {
  readonly #deps: ImageSourceDeps
  readonly #pulls = new Map<string, Promise<string>>()
  readonly #freshUntil = new Map<string, number>()
  readonly #registries = new Map<string, Registry>()

  constructor(deps: ImageSourceDeps) {
    this.#deps = deps
  }

  /**
   * Resolves when the image is as good as it gets: with '' or with why the last pull failed, the image perhaps being
   * local all the same. The signal ends the waiting; the pull goes on for others with the same credentials.
   */
  async ensure(reference: string, signal: AbortSignal, login?: PullLogin): Promise<string> {
    const key = `${reference} ${login?.id ?? ''}`
    if ((this.#freshUntil.get(key) ?? 0) > this.#deps.clock.monotonicMs()) return ''
    let pull = this.#pulls.get(key)
    if (pull === undefined) {
      pull = this.#pull(key, { reference, login }).finally(() => this.#pulls.delete(key))
      this.#pulls.set(key, pull)
    }
    return unlessAborted(pull, signal)
  }

  async #pull(key: string, { reference, login }: Wish): Promise<string> {
    try {
      let wasPulled = false
      const progress = ({ step }: PullProgress): void => {
        wasPulled ||= isTransfer(step)
      }
      const auth = login && { auth: login.auth }
      await this.#deps.executor.pull(reference, { policy: 'missing', progress, ...auth })
      if (!wasPulled && !reference.includes('@sha256:')) await this.#refresh({ reference, login })
      this.#forgetStale()
      this.#freshUntil.set(key, this.#deps.clock.monotonicMs() + freshMs)
      return ''
    } catch (err) {
      this.#deps.log.warn({ image: reference, err }, 'image not pulled')
      return chainText(err)
    }
  }

  /**
   * Asks the registry whether a local tag has moved on. When it does not say so soon the local image does, and the
   * question goes on for those that come later.
   */
  async #refresh(wish: Wish): Promise<void> {
    const { clock, log } = this.#deps
    const { reference } = wish
    const registry = registryOf(reference)
    const known = this.#registries.get(registry)
    const isRecent = known !== undefined && clock.monotonicMs() - known.atMs < rememberedMs
    if (isRecent && !known.answers) return
    const { controller } = childController()
    const patienceMs = isRecent ? knownPatienceMs : unknownPatienceMs
    const asked = this.#ask(wish, registry, () => controller.abort())
    const late = wait(clock, patienceMs, controller.signal).then(() => controller.signal.aborted)
    // Once layers are on their way the pull may take its time.
    const isAnswered = await Promise.race([late, asked.then(() => true)])
    controller.abort()
    if (isAnswered) return asked
    // Until it does answer nobody else waits for it.
    this.#registries.set(registry, { answers: false, atMs: clock.monotonicMs() })
    log.info({ image: reference, registry, patienceMs }, 'registry is slow: local image used')
  }

  #forgetStale(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const [key, untilMs] of this.#freshUntil) {
      if (untilMs <= nowMs) this.#freshUntil.delete(key)
    }
  }

  /** Never rejects. */
  async #ask({ reference, login }: Wish, registry: string, onTransfer: () => void): Promise<void> {
    const { clock, executor, log } = this.#deps
    const note = (answers: boolean): void => {
      this.#registries.set(registry, { answers, atMs: clock.monotonicMs() })
    }
    const progress = ({ step }: PullProgress): void => {
      if (isTransfer(step)) onTransfer()
    }
    try {
      const auth = login && { auth: login.auth }
      await executor.pull(reference, { policy: 'always', progress, ...auth })
      note(true)
    } catch (err) {
      // It answered all the same if it only does not know the image, or not us.
      note(hasCode(err, 'IMAGE_NOT_FOUND', 'UNAUTHENTICATED'))
      log.info({ image: reference, registry, err }, 'image not refreshed: local one used')
    }
  }
}

function isTransfer(step: string): boolean {
  return step === 'downloading' || step === 'storing'
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
