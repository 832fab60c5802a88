// Removes versions of secrets and configs that were still in use when the cluster had more than it keeps. Most go with the update
// that makes them superfluous (controlapi/update-payload.ts).
import { hasCode } from '../../proto/errors.ts'
import { wait } from '../../proto/lib/clock.ts'
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import { namesWithSurplus, reapVersions } from '../controlapi/reap-versions.ts'
import type { ReconcileDeps } from './reconcile-loop.ts'

const everyMs = 5_000

/** Runs while this manager leads. */
export function payloadReaperLoop(deps: ReconcileDeps): NamedLoop {
  return {
    name: 'payload-reaper',
    run: async (signal) => {
      while (!signal.aborted) {
        await wait(deps.clock, everyMs, signal)
        if (!signal.aborted) await reapPayloads(deps)
      }
    },
  }
}

/** One turn of the loop. Returns how many were removed. */
export async function reapPayloads({
  store,
  log,
}: Pick<ReconcileDeps, 'store' | 'log'>): Promise<number> {
  let removed = 0
  try {
    for (const kind of ['secret', 'config'] as const) {
      for (const name of store.view((tx) => namesWithSurplus(tx, kind))) {
        removed += await store.update((tx) => reapVersions(tx, kind, name))
      }
    }
  } catch (err) {
    if (!hasCode(err, 'NOT_LEADER', 'OUTCOME_UNKNOWN', 'RESOURCE_EXHAUSTED')) throw err
    log.debug({ err }, 'versions not removed, trying again later')
  }
  if (removed > 0) log.info({ removed }, 'versions of secrets and configs removed')
  return removed
}
