// Time as an argument. Everything that waits or reads the time takes a Clock, so that a whole
// cluster runs on virtual time in the simulator.

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall time in ms since 1970, UTC. May jump. For certificates, cron and display. */
  wallMs(): number
  /** Monotonic ms from an arbitrary start. Never jumps. For heartbeats, time-outs and measuring. */
  monotonicMs(): number
  /** Calls fn once after delayMs (24.8 days at most). */
  setTimer(delayMs: number, fn: () => void): Timer
}

/** The machine's own clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (delayMs, fn) => {
    const handle = setTimeout(fn, Math.min(delayMs, 2_147_483_647))
    return { cancel: () => clearTimeout(handle) }
  },
}

/** Resolves after delayMs, or at once (without an error) when the signal aborts. */
export function wait(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.setTimer(delayMs, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}
