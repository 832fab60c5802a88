// The loop that looks after tasks on nodes that are gone or changed: what makes it look where. What it decides is in
// orchestrator/node-tasks.ts.
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { Node } from '../../proto/objects/index.ts'
import { reconcileNode } from '../orchestrator/node-tasks.ts'
import type { Change, ReadTx } from '../store/store.ts'
import { type ReconcileDeps, type Reconciler, reconcileLoop } from './reconcile-loop.ts'

/** Runs while this manager leads. */
export function nodeTasksLoop(deps: ReconcileDeps): NamedLoop {
  return reconcileLoop(deps, nodeTasksReconciler)
}

export const nodeTasksReconciler: Reconciler = {
  name: 'node-tasks',
  watches: { nodes: 'all' },
  resyncMs: 300_000,
  dirtiedBy,
  allIds,
  decide: (id, tx, env) =>
    reconcileNode(
      {
        node: tx.get('nodes', id),
        tasks: [...tx.find('tasks', 'byNode', id)],
        taskSpec: (hash) => tx.get('taskSpecs', hash)?.spec,
        service: (id) => tx.get('services', id),
      },
      env,
    ),
}

function dirtiedBy(change: Change): Iterable<string> {
  if (change.table !== 'nodes' || change.kind === 'create') return []
  const isSame = change.kind === 'update' && offersTheSame(change.old, change.object)
  return isSame ? [] : [change.object.id]
}

/** Whether what matters to placement is as it was. */
export function offersTheSame(before: Node, after: Node): boolean {
  return (
    before.state === after.state &&
    before.spec === after.spec &&
    before.description === after.description &&
    before.role === after.role &&
    before.address === after.address
  )
}

/** The nodes, and those of which only tasks are left. O(tasks). */
function allIds(tx: ReadTx): Iterable<string> {
  const ids = new Set<string>()
  for (const { id } of tx.all('nodes')) ids.add(id)
  for (const { nodeId } of tx.all('tasks')) if (nodeId !== undefined) ids.add(nodeId)
  return ids
}
