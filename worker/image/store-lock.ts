// Shared and exclusive holders of one thing, in order of arrival. Inside this process only.
import { SwarmError } from '../../proto/errors.ts'

export type LockMode = 'shared' | 'exclusive'

interface Waiter {
  readonly mode: LockMode
  readonly grant: () => void
}

/** Many shared holders or one exclusive; nobody overtakes a waiter. */
export class SharedLock {
  #waiting: Waiter[] = []
  #shared = 0
  #exclusive = false

  /**
   * Runs the work while holding the lock. Errors: CANCELLED when the signal aborts before the lock
   * is granted.
   */
  async run<T>(mode: LockMode, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#acquire(mode, signal)
    try {
      return await work()
    } finally {
      if (mode === 'shared') this.#shared -= 1
      else this.#exclusive = false
      this.#grantNext()
    }
  }

  #acquire(mode: LockMode, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        const index = this.#waiting.indexOf(waiter)
        if (index < 0) return
        this.#waiting.splice(index, 1)
        this.#grantNext()
        reject(new SwarmError('CANCELLED', 'given up while waiting for the image store'))
      }
      const waiter: Waiter = {
        mode,
        grant: () => {
          signal.removeEventListener('abort', abort)
          resolve()
        },
      }
      this.#waiting.push(waiter)
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      this.#grantNext()
    })
  }

  #grantNext(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#exclusive || (next.mode === 'exclusive' && this.#shared > 0)) return
      this.#waiting.shift()
      if (next.mode === 'shared') this.#shared += 1
      else this.#exclusive = true
      next.grant()
    }
  }
}
