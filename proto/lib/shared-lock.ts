// A lock that many may hold together or one alone. First come, first served, so that nobody starves.

type Waiting = { readonly kind: 'shared' | 'exclusive'; readonly admit: () => void }

export class SharedLock {
  #shared = 0
  #exclusive = false
  #waiting: Waiting[] = []

  /** Runs fn beside other shared holders, never beside an exclusive one. */
  async shared<T>(fn: () => Promise<T>): Promise<T> {
    await this.#enter('shared')
    try {
      return await fn()
    } finally {
      this.#shared -= 1
      this.#admit()
    }
  }

  /** Runs fn alone. */
  async exclusive<T>(fn: () => Promise<T>): Promise<T> {
    await this.#enter('exclusive')
    try {
      return await fn()
    } finally {
      this.#exclusive = false
      this.#admit()
    }
  }

  #enter(kind: Waiting['kind']): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ kind, admit: resolve })
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
