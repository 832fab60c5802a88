// The operating system's time and randomness, as a driver wants them.
import type { MonotonicClock, Randomness } from '../driver/environment.ts'
import { systemRandomBytes } from '../storage/seal.ts'

/** Monotonic time of this process, and its timers. */
export const systemClock: MonotonicClock = {
  monotonicMs: () => performance.now(),
  setTimer: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Election time-outs from Math.random, bytes from the operating system. */
export const systemRandomness: Randomness = {
  float: () => Math.random(),
  bytes: systemRandomBytes,
}
