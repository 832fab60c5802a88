// A member that comes back: opens its log, leads alone and applies all of it. A process of its own.

import { answerAsChild } from './child.ts'
import { countingDriver } from './counting-driver.ts'
import { openBenchStorage } from './log-alone.ts'

export interface RecoveryQuestion {
  readonly directory: string
  readonly entries: number
}

/** Milliseconds from the start of the process. */
export interface RecoveryAnswer {
  readonly openedMs: number
  readonly appliedMs: number
}

answerAsChild(async ({ directory, entries }: RecoveryQuestion): Promise<RecoveryAnswer> => {
  const storage = await openBenchStorage(directory)
  const openedMs = performance.now()
  return await new Promise((resolve) => {
    const driver = countingDriver({
      id: 'a',
      storage,
      send: () => {},
      onCount: (count) => {
        if (count === entries) resolve({ openedMs, appliedMs: performance.now() })
      },
    })
    driver.start()
  })
})
