// Removes versions of secrets and configs that are beyond what the cluster keeps and that nothing needs any more.
import type { Payload } from '../../proto/objects/index.ts'
import type { PayloadKind } from '../../proto/spec/payload-spec.ts'
import type { ReadTx, Tx } from '../store/store.ts'
import { isNeeded, payloadTables, versionsOf } from './payload-use.ts'

/** Of one transaction of the store. */
const removalsMax = 100

/** Returns how many were removed. */
export function reapVersions(tx: Tx, kind: PayloadKind, name: string): number {
  const spare = surplus(tx, kind, name).filter((payload) => !isNeeded(tx, kind, payload))
  for (const { id } of spare.slice(0, removalsMax)) tx.remove(payloadTables[kind], id)
  return Math.min(spare.length, removalsMax)
}

/** Names with more versions than are kept. O(secrets and configs). */
export function namesWithSurplus(tx: ReadTx, kind: PayloadKind): readonly string[] {
  const counts = new Map<string, number>()
  for (const { spec } of tx.all(payloadTables[kind])) {
    counts.set(spec.name, (counts.get(spec.name) ?? 0) + 1)
  }
  const kept = keptOf(tx)
  return [...counts].filter(([, count]) => count > kept).map(([name]) => name)
}

function surplus(tx: ReadTx, kind: PayloadKind, name: string): readonly Payload[] {
  return versionsOf(tx, payloadTables[kind], name).slice(keptOf(tx))
}

/** The present version and those before it. Before there is a cluster: all. */
function keptOf(tx: ReadTx): number {
  for (const { spec } of tx.all('cluster')) return 1 + spec.payloadHistoryLimit
  return Number.POSITIVE_INFINITY
}
