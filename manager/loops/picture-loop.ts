// A loop that learns a picture of the cluster and then follows every commit; when the picture is lost it learns it again.
import { hasCode } from '../../proto/errors.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { type Loop, LoopError, type NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import { WatchLagged } from '../store/store.ts'

const retryMs = 100

/** `follow`: with one picture, until the signal aborts or it throws. What is wrong for good ends the loop. */
export function pictureLoop(
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
  name: string,
  follow: Loop,
): NamedLoop {
  return {
    name,
    run: async (signal) => {
      while (!signal.aborted) {
        const why = await runUntilLost(follow, signal)
        if (why === undefined) continue
        log.warn({ why }, `${name} reads the cluster again`)
        await wait(clock, retryMs, signal)
      }
    },
  }
}

/** Why the picture was lost; undefined: the signal aborted. */
async function runUntilLost(follow: Loop, signal: AbortSignal): Promise<string | undefined> {
  try {
    await follow(signal)
    return undefined
  } catch (err) {
    const cause = err instanceof LoopError ? err.cause : err
    if (cause instanceof WatchLagged) return cause.message
    const codes = ['NOT_LEADER', 'OUTCOME_UNKNOWN', 'RESOURCE_EXHAUSTED'] as const
    if (hasCode(cause, ...codes)) return cause.message
    throw err
  }
}
