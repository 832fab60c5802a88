// From one state of an overlay network, or of the node paths, to the next: what is not named stays. Made by the manager that publishes
// it, applied by every node that holds the network.
import type { NodeId, ServiceId, TaskId } from './ids.ts'
import type {
  NetworkView,
  NodePath,
  OverlayNetwork,
  ServiceEndpoint,
  TaskEndpoint,
} from './overlay.ts'

export interface NetworkViewChange {
  /** Set when it changed itself. */
  readonly network: OverlayNetwork | undefined
  readonly services: readonly ServiceEndpoint[]
  readonly removedServices: readonly ServiceId[]
  readonly tasks: readonly TaskEndpoint[]
  readonly removedTasks: readonly TaskId[]
}

export interface NodePathsChange {
  readonly paths: readonly NodePath[]
  readonly removedNodes: readonly NodeId[]
}

/** What leads from one view of a network to another one. O(size of both). */
export function networkViewChange(from: NetworkView, to: NetworkView): NetworkViewChange {
  const services = listChange(from.services, to.services, serviceKey)
  const tasks = listChange(from.tasks, to.tasks, taskKey)
  return {
    network: isSame(from.network, to.network) ? undefined : to.network,
    services: services.put,
    removedServices: services.removed,
    tasks: tasks.put,
    removedTasks: tasks.removed,
  }
}

/** The view with the change in it; what is new comes last. */
export function changedNetworkView(view: NetworkView, change: NetworkViewChange): NetworkView {
  const { network, services, removedServices, tasks, removedTasks } = change
  return {
    network: network ?? view.network,
    services: changedList(view.services, services, removedServices, serviceKey),
    tasks: changedList(view.tasks, tasks, removedTasks, taskKey),
  }
}

export function nodePathsChange(
  from: readonly NodePath[],
  to: readonly NodePath[],
): NodePathsChange {
  const { put, removed } = listChange(from, to, pathKey)
  return { paths: put, removedNodes: removed }
}

export function changedNodePaths(
  paths: readonly NodePath[],
  change: NodePathsChange,
): readonly NodePath[] {
  return changedList(paths, change.paths, change.removedNodes, pathKey)
}

const serviceKey = (service: ServiceEndpoint): ServiceId => service.serviceId
const taskKey = (task: TaskEndpoint): TaskId => task.taskId
const pathKey = (path: NodePath): NodeId => path.nodeId

function listChange<T, K>(
  from: readonly T[],
  to: readonly T[],
  keyOf: (item: T) => K,
): { readonly put: readonly T[]; readonly removed: readonly K[] } {
  const old = new Map(from.map((item) => [keyOf(item), item]))
  const put: T[] = []
  for (const item of to) {
    const before = old.get(keyOf(item))
    old.delete(keyOf(item))
    if (before === undefined || !isSame(before, item)) put.push(item)
  }
  return { put, removed: [...old.keys()] }
}

function changedList<T, K>(
  list: readonly T[],
  put: readonly T[],
  removed: readonly K[],
  keyOf: (item: T) => K,
): readonly T[] {
  if (put.length + removed.length === 0) return list
  const items = new Map(list.map((item) => [keyOf(item), item]))
  for (const key of removed) items.delete(key)
  for (const item of put) items.set(keyOf(item), item)
  return [...items.values()]
}

/** Of plain data with its fields in one order. */
function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
