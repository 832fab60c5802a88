// Waiting in real time, always with a deadline. Virtual clocks have their own.
import { systemClock, wait } from '../../proto/lib/clock.ts'

/** Waits for a condition of the real world and returns how long that took; throws after limitMs. */
export async function until(holds: () => boolean, what: string, limitMs = 10_000): Promise<number> {
  const startMs = systemClock.monotonicMs()
  while (!holds()) {
    if (systemClock.monotonicMs() - startMs > limitMs) {
      throw new Error(`not within ${limitMs} ms: ${what}`)
    }
    await wait(systemClock, 2)
  }
  return systemClock.monotonicMs() - startMs
}

/** Resolves with the first value that is not undefined or false; throws with the last error seen after the deadline. */
export async function untilSeen<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  deadlineMs = 60_000,
): Promise<T> {
  const endsAtMs = systemClock.monotonicMs() + deadlineMs
  let last: unknown
  while (systemClock.monotonicMs() < endsAtMs) {
    try {
      const value = await look()
      if (value !== undefined && value !== false) return value
    } catch (err) {
      last = err
    }
    await wait(systemClock, 50)
  }
  throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: last })
}
