// A bound on how many things happen at once. Waiters come in order, urgent ones first.

type Waiter = () => void

export class Semaphore {
  #free: number
  readonly #urgent: Waiter[] = []
  readonly #waiting: Waiter[] = []

  constructor(slots: number) {
    this.#free = slots
  }

  /** Runs fn while holding a slot. With `urgent` it overtakes all that wait without. */
  async run<T>(fn: () => Promise<T>, urgent = false): Promise<T> {
    if (this.#free > 0) this.#free -= 1
    else {
      const line = urgent ? this.#urgent : this.#waiting
      await new Promise<void>((resolve) => line.push(resolve))
    }
    try {
      return await fn()
    } finally {
      const next = this.#urgent.shift() ?? this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
    }
  }
}
