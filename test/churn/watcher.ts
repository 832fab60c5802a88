// Takes picture after picture of the store, and knows whose every address was.
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { type Arrival, Holders } from '../support/churn/holders.ts'
import type { Picture } from '../support/churn/picture.ts'
import type { ChurnCluster } from './cluster.ts'

const pauseMs = 200
const keptMs = 60_000
const arrivalsMax = 200_000

export class Watcher {
  readonly holders = new Holders()
  /** What went wrong, in words; the first hundred. */
  readonly wrong: string[] = []
  judged = 0
  aliveMax = 0
  failures = 0
  /** Tasks that ended otherwise than by being stopped, by what they say. */
  readonly broken = new Map<string, string>()
  readonly #cluster: ChurnCluster
  #pictures: Picture[] = []
  #arrivals: Arrival[] = []

  constructor(cluster: ChurnCluster) {
    this.#cluster = cluster
  }

  get latest(): Picture | undefined {
    return this.#pictures.at(-1)
  }

  get pictures(): readonly Picture[] {
    return this.#pictures
  }

  async run(signal: AbortSignal, onPicture: (picture: Picture) => void): Promise<void> {
    while (!signal.aborted) {
      try {
        const picture = await this.#cluster.picture()
        this.#take(picture)
        onPicture(picture)
      } catch {
        // No leader, or a manager that is just being cut off: the next is asked.
        this.failures += 1
      }
      await wait(systemClock, pauseMs, signal)
    }
  }

  note(arrival: Arrival): void {
    if (this.#arrivals.length < arrivalsMax) this.#arrivals.push(arrival)
  }

  /** Whatever arrived and could be judged was. */
  get waiting(): number {
    return this.#arrivals.length
  }

  #take(picture: Picture): void {
    this.#pictures = this.#pictures.filter(({ toMs }) => toMs > picture.toMs - keptMs)
    this.#pictures.push(picture)
    for (const text of this.holders.note(picture)) this.#note(text)
    const alive = picture.tasks.filter(({ state }) => state === 512).length
    this.aliveMax = Math.max(this.aliveMax, alive)
    for (const { id, state, err, serviceName } of picture.tasks) {
      if (state > 640 && state < 800) this.broken.set(id, `${serviceName}: ${state}: ${err}`)
    }
    const { knownUntilMs } = this.holders
    const ripe = this.#arrivals.filter(({ atMs }) => atMs < knownUntilMs)
    this.#arrivals = this.#arrivals.filter(({ atMs }) => atMs >= knownUntilMs)
    for (const arrival of ripe) {
      this.judged += 1
      const wrong = this.holders.judge(arrival)
      if (wrong !== undefined) this.#note(wrong)
    }
  }

  #note(text: string): void {
    if (this.wrong.length < 100) this.wrong.push(text)
  }
}
