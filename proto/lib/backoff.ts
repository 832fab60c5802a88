// Exponential backoff with full jitter, as values: the caller waits.
import type { Random } from './random.ts'

export interface Backoff {
  /** The next delay in ms; grows with each call. */
  nextMs(): number
  /** Back to the first delay, after a success. */
  reset(): void
}

export interface BackoffOptions {
  readonly firstMs: number
  readonly maxMs: number
  readonly random: Random
}

/** Delays drawn from the upper half of [0, min(maxMs, firstMs * 2^n)]. */
export function createBackoff(options: BackoffOptions): Backoff {
  let attempt = 0
  return {
    nextMs: () => {
      const cap = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(attempt, 30))
      attempt += 1
      return cap / 2 + (options.random.float() * cap) / 2
    },
    reset: () => {
      attempt = 0
    },
  }
}
