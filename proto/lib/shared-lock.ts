// A lock that many may hold together or one alone. First come, first served, so that nobody starves.

type Waiting = { readonly kind: 'shared' | 'exclusive'; readonly admit: () => void }

export class SharedLock {
  #shared = 0
  #exclusive = false
  #waiting: Waiting[] = []

  /** Runs fn beside other shared holders, never beside an exclusive one. An abort ends the waiting with its reason. */
  async shared<T>(fn: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter('shared', signal)
    try {
      return await fn()
    } finally {
      this.#shared -= 1
      this.#admit()
    }
  }

  /** Runs fn alone. An abort ends the waiting with its reason. */
  async exclusive<T>(fn: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter('exclusive', signal)
    try {
      return await fn()
    } finally {
      this.#exclusive = false
      this.#admit()
    }
  }

  #enter(kind: Waiting['kind'], signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting = this.#waiting.filter((one) => one !== waiting)
        reject(signal?.reason)
        this.#admit()
      }
      const admit = (): void => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const waiting: Waiting = { kind, admit }
      this.#waiting.push(waiting)
      if (signal?.aborted) leave()
      else signal?.addEventListener('abort', leave, { once: true })
      this.#admit()
    })
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#exclusive) return
      if (next.kind === 'exclusive') {
        if (this.#shared > 0) return
        this.#exclusive = true
      } else {
        this.#shared += 1
      }
      this.#waiting.shift()
      next.admit()
    }
  }
}
