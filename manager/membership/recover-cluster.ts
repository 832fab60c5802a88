// What becomes of the cluster's objects when one manager goes on alone after the others were lost: one transaction, in the first
// term of its own, before any loop of the leader runs.
import type { ManagerInfo, Node, NodeId } from '../../proto/objects/index.ts'
import type { Store, Tx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'

export interface LostManager {
  readonly nodeId: string
  readonly hostname: string
}

/** Plain data: a repeat is answered with the first result. */
export interface Recovered {
  /** The cluster's epoch from now on. */
  readonly epoch: number
  readonly lost: readonly LostManager[]
}

/** What the store holds, for telling a user. */
export interface StoreCount {
  readonly services: number
  readonly tasks: number
  readonly nodes: number
  /** Of the newest change to one of them; 0: there are none. */
  readonly newestAtMs: number
}

const lostMessage = 'lost manager: the swarm was recovered without it'

/**
 * Raises the epoch, makes this node the only manager, and the others workers that are down until they come back. A repeat with
 * the same requestId changes nothing. Errors: those of Store.update.
 */
export async function recoverCluster(
  store: Store,
  self: { readonly nodeId: NodeId; readonly info: ManagerInfo },
  requestId: string,
): Promise<Recovered> {
  return await store.update((tx) => recover(tx, self), { requestId, method: 'ForceNewCluster' })
}

function recover(tx: Tx, self: { readonly nodeId: NodeId; readonly info: ManagerInfo }): Recovered {
  const cluster = theCluster(tx)
  const epoch = cluster.epoch + 1
  tx.update('cluster', { ...cluster, epoch })
  const lost: LostManager[] = []
  for (const node of [...tx.all('nodes')]) {
    const next = nodeAfterRecovery(node, self, tx.nowMs)
    if (next === undefined) continue
    tx.update('nodes', next)
    if (node.id === self.nodeId) continue
    lost.push({ nodeId: node.id, hostname: node.description?.hostname ?? '' })
  }
  return { epoch, lost }
}

/** The node as it is in the recovered cluster; undefined: as before. A worker that is to be promoted still is. */
export function nodeAfterRecovery(
  node: Node,
  self: { readonly nodeId: NodeId; readonly info: ManagerInfo },
  nowMs: number,
): Node | undefined {
  if (node.id === self.nodeId) {
    return { ...node, spec: { ...node.spec, role: 'manager' }, role: 'manager', manager: self.info }
  }
  if (node.role !== 'manager' && node.manager === undefined) return undefined
  return {
    ...node,
    spec: { ...node.spec, role: 'worker' },
    role: 'worker',
    manager: undefined,
    state: 'down',
    stateMessage: lostMessage,
    stateAtMs: nowMs,
    sessionId: undefined,
    sessionManagerId: undefined,
  }
}

/** Cost: O(services + tasks + nodes). */
export function countStore(store: Store): StoreCount {
  return store.view((tx) => {
    let newestAtMs = 0
    for (const table of ['services', 'tasks', 'nodes'] as const) {
      for (const { updatedAtMs } of tx.all(table)) newestAtMs = Math.max(newestAtMs, updatedAtMs)
    }
    const [services, tasks, nodes] = [tx.count('services'), tx.count('tasks'), tx.count('nodes')]
    return { services, tasks, nodes, newestAtMs }
  })
}
