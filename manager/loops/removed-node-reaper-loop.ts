// Forgets nodes that were removed once their certificates are past all use: until then their ids are refused by name.
import { hasCode } from '../../proto/errors.ts'
import { wait } from '../../proto/lib/clock.ts'
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { ReconcileDeps } from './reconcile-loop.ts'

const everyMs = 60_000
/** Of one transaction of the store; what is left waits for the next turn. */
const removalsMax = 200

/** Runs while this manager leads. */
export function removedNodeReaperLoop(deps: ReconcileDeps): NamedLoop {
  return {
    name: 'removed-node-reaper',
    run: async (signal) => {
      while (!signal.aborted) {
        await wait(deps.clock, everyMs, signal)
        if (!signal.aborted) await forgetRemovedNodes(deps)
      }
    },
  }
}

/** One turn of the loop. Returns how many were forgotten. */
export async function forgetRemovedNodes({ store, log }: ReconcileDeps): Promise<number> {
  const due = store.view((tx) => {
    const ids: string[] = []
    for (const { id, expiresAtMs } of tx.all('removedNodes')) {
      if (expiresAtMs <= tx.nowMs) ids.push(id)
      if (ids.length === removalsMax) break
    }
    return ids
  })
  if (due.length === 0) return 0
  try {
    await store.update((tx) => {
      for (const id of due) {
        if (tx.get('removedNodes', id) !== undefined) tx.remove('removedNodes', id)
      }
    })
  } catch (err) {
    if (!hasCode(err, 'NOT_LEADER', 'OUTCOME_UNKNOWN', 'RESOURCE_EXHAUSTED')) throw err
    log.debug({ err }, 'removed nodes not forgotten, trying again later')
    return 0
  }
  log.info({ forgotten: due.length }, 'removed nodes forgotten: their certificates are of no use')
  return due.length
}
