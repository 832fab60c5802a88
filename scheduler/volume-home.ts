// Where the volumes of a slot are, and what of that keeps its task from being placed. A slot's data is on one node: its task goes
// there, or waits, and never starts with an empty volume elsewhere.
import type { NodeId, Task } from '../proto/objects/index.ts'
import type { ClusterIndex, NodeEntry } from './cluster-index.ts'
import type { Demand } from './demand.ts'
import { refusingFilter } from './refusing-filter.ts'

export type VolumeHome =
  /** Its volumes are nowhere yet, or it has none. */
  | { readonly kind: 'anywhere' }
  | { readonly kind: 'node'; readonly id: NodeId; readonly entry: NodeEntry }
  /** That node is not in the cluster any more. */
  | { readonly kind: 'gone'; readonly id: NodeId }

const anywhere: VolumeHome = { kind: 'anywhere' }

/** What the slot's tasks remember comes before what nodes tell: those may know volumes of the same name from before. */
export function volumeHomeOf(index: ClusterIndex, task: Task): VolumeHome {
  if (task.slotVolumes.length === 0) return anywhere
  const id = task.volumeNodeId ?? index.volumes.holder(task.slotVolumes)
  if (id === undefined) return anywhere
  const entry = index.entryOf(id)
  return entry === undefined ? { kind: 'gone', id } : { kind: 'node', id, entry }
}

/** Why the task cannot go where its volumes are, in words; undefined: it can. */
export function whyNotHome(
  index: ClusterIndex,
  task: Task,
  demand: Demand,
  home: VolumeHome,
): string | undefined {
  if (home.kind === 'anywhere') return undefined
  const names = task.slotVolumes.map((name) => `"${name}"`).join(', ')
  const what = task.slotVolumes.length === 1 ? `volume ${names} is` : `volumes ${names} are`
  if (home.kind === 'gone') {
    return (
      `${what} on node ${home.id}, which is not in the swarm any more: bring it back, or begin anew elsewhere with ` +
      'volume-affinity=none on the mount'
    )
  }
  const { entry } = home
  const filter = refusingFilter(entry, demand, index.services.on(task.serviceId, entry.index))
  if (filter === undefined) return undefined
  const name = entry.node.description?.hostname ?? entry.node.id
  const tasks = index.services.on(task.serviceId, entry.index)
  return `${what} on node ${name}: ${filter.detail(entry, demand, tasks)}`
}
