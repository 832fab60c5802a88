// From one state of an overlay network, or of the node paths, to the next: what is put or removed, by its key; what is not named stays.
// Made by the manager that publishes it, applied by every node that holds the network.
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

/** The view with the change in it; what is new comes last. */
export function changedNetworkView(view: NetworkView, change: NetworkViewChange): NetworkView {
  const { network, services, removedServices, tasks, removedTasks } = change
  return {
    network: network ?? view.network,
    services: changedList(view.services, services, removedServices, serviceKey),
    tasks: changedList(view.tasks, tasks, removedTasks, taskKey),
  }
}

export function changedNodePaths(
  paths: readonly NodePath[],
  change: NodePathsChange,
): readonly NodePath[] {
  return changedList(paths, change.paths, change.removedNodes, pathKey)
}

/** One change that does what both do, one after the other. */
export function mergedNetworkViewChange(
  first: NetworkViewChange,
  then: NetworkViewChange,
): NetworkViewChange {
  const services = merged(
    [first.services, first.removedServices],
    [then.services, then.removedServices],
    serviceKey,
  )
  const tasks = merged([first.tasks, first.removedTasks], [then.tasks, then.removedTasks], taskKey)
  return {
    network: then.network ?? first.network,
    services: services.put,
    removedServices: services.removed,
    tasks: tasks.put,
    removedTasks: tasks.removed,
  }
}

export function mergedNodePathsChange(
  first: NodePathsChange,
  then: NodePathsChange,
): NodePathsChange {
  const { put, removed } = merged(
    [first.paths, first.removedNodes],
    [then.paths, then.removedNodes],
    pathKey,
  )
  return { paths: put, removedNodes: removed }
}

const serviceKey = (service: ServiceEndpoint): ServiceId => service.serviceId
const taskKey = (task: TaskEndpoint): TaskId => task.taskId
const pathKey = (path: NodePath): NodeId => path.nodeId

type ListChange<T, K> = readonly [put: readonly T[], removed: readonly K[]]

function merged<T, K>(
  first: ListChange<T, K>,
  then: ListChange<T, K>,
  keyOf: (item: T) => K,
): { readonly put: readonly T[]; readonly removed: readonly K[] } {
  const outcome = new Map<K, T | undefined>()
  for (const [put, removed] of [first, then]) {
    for (const key of removed) outcome.set(key, undefined)
    for (const item of put) outcome.set(keyOf(item), item)
  }
  return {
    put: [...outcome.values()].filter((item) => item !== undefined),
    removed: [...outcome].flatMap(([key, item]) => (item === undefined ? [key] : [])),
  }
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
