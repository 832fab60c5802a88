// Deletes task specs that no service and no task uses any more. Asks and deletes in one transaction, because a service
// may take up an old spec again at any moment.
import { hasCode } from '../../proto/errors.ts'
import { wait } from '../../proto/lib/clock.ts'
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { ReadTx, Tx } from '../store/store.ts'
import type { ReconcileDeps } from './reconcile-loop.ts'

const everyMs = 60_000
/** Of one transaction of the store. */
const removalsMax = 200

/** Runs while this manager leads. */
export function specReaperLoop(deps: ReconcileDeps): NamedLoop {
  return {
    name: 'spec-reaper',
    run: async (signal) => {
      while (!signal.aborted) {
        await wait(deps.clock, everyMs, signal)
        if (!signal.aborted) await reapSpecs(deps)
      }
    },
  }
}

/** One turn of the loop. Returns how many were deleted. */
export async function reapSpecs({ store, log }: ReconcileDeps): Promise<number> {
  const unused = store.view(unusedSpecs)
  let removed = 0
  try {
    for (let at = 0; at < unused.length; at += removalsMax) {
      const part = unused.slice(at, at + removalsMax)
      removed += await store.update((tx) => removeUnused(tx, part))
    }
  } catch (err) {
    if (!hasCode(err, 'NOT_LEADER', 'OUTCOME_UNKNOWN', 'RESOURCE_EXHAUSTED')) throw err
    log.debug({ err }, 'task specs not deleted, trying again later')
  }
  if (removed > 0) log.info({ removed }, 'unused task specs deleted')
  return removed
}

function unusedSpecs(tx: ReadTx): readonly string[] {
  const unused: string[] = []
  for (const { hash } of tx.all('taskSpecs')) if (!isUsed(tx, hash)) unused.push(hash)
  return unused
}

function isUsed(tx: ReadTx, hash: string): boolean {
  for (const _ of tx.find('services', 'bySpec', hash)) return true
  for (const _ of tx.find('tasks', 'bySpec', hash)) return true
  return false
}

function removeUnused(tx: Tx, hashes: readonly string[]): number {
  let removed = 0
  for (const hash of hashes) {
    if (tx.get('taskSpecs', hash) === undefined || isUsed(tx, hash)) continue
    tx.remove('taskSpecs', hash)
    removed += 1
  }
  return removed
}
