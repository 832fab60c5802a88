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
