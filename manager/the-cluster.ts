// The one row of the cluster table, for whatever cannot do without it.
import { SwarmError } from '../proto/errors.ts'
import type { Cluster } from '../proto/objects/index.ts'
import type { ReadTx } from './store/store.ts'

/** The one cluster object. Errors: UNAVAILABLE before it is replicated to this manager. */
export function theCluster(tx: ReadTx): Cluster {
  for (const cluster of tx.all('cluster')) return cluster
  throw new SwarmError(
    'UNAVAILABLE',
    'this manager does not know the cluster yet: try again in a moment',
  )
}
