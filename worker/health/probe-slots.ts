// How many probes there are at once. Starting one costs most, so few may be in their first moment; those that hang
// must not keep all others from being made, so many may be under way.
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { Semaphore } from '../../proto/lib/semaphore.ts'

const beginningMax = 4
/** Fewer than the spawn helper runs of them. */
const underWayMax = 64
const momentMs = 500

export class ProbeSlots {
  readonly #clock: Clock
  readonly #beginning = new Semaphore(beginningMax)
  readonly #underWay = new Semaphore(underWayMax)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Makes the probe when it is its turn. Waiting for it is bounded by the number of containers, each of which waits once. */
  run<T>(probe: () => Promise<T>): Promise<T> {
    return this.#underWay.run(async () => {
      const { made } = await this.#beginning.run(async () => {
        const made = probe()
        await this.#firstMoment(made)
        return { made }
      })
      return made
    })
  }

  async #firstMoment(made: Promise<unknown>): Promise<void> {
    const controller = new AbortController()
    const settled = made.then(
      () => controller.abort(),
      () => controller.abort(),
    )
    await Promise.race([settled, wait(this.#clock, momentMs, controller.signal)])
  }
}
