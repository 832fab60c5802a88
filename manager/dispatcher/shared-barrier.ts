// One linearizable read point for all who wait for one at the same time: a thousand agents that reconnect together
// cost the leader one question.

export class SharedBarrier {
  readonly #pass: () => Promise<void>
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  /** `pass` resolves when everything committed before its call is applied here. */
  constructor(pass: () => Promise<void>) {
    this.#pass = pass
  }

  /** Resolves when everything committed before this call is applied here. Errors: those of `pass`. */
  wait(): Promise<void> {
    if (this.#running === undefined) return this.#start()
    // The running one may have asked before us: only the next one will do.
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    return this.#next
  }

  #start(): Promise<void> {
    this.#next = undefined
    const running = this.#pass().finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }
}
