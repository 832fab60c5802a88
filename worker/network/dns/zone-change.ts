// What may change in the names a node serves, one network, service or task at a time, and which changes lead from
// some views to others. Pure.
import { isSameValue } from '../../../proto/lib/same-value.ts'
import type {
  NetworkView,
  OverlayNetwork,
  ServiceEndpoint,
  TaskEndpoint,
} from '../../../proto/objects/overlay.ts'

export type ZoneChange =
  | { readonly kind: 'network'; readonly network: OverlayNetwork }
  /** With all that is on it. */
  | { readonly kind: 'network-gone'; readonly networkId: string }
  | { readonly kind: 'service'; readonly networkId: string; readonly service: ServiceEndpoint }
  | { readonly kind: 'service-gone'; readonly networkId: string; readonly serviceId: string }
  | { readonly kind: 'task'; readonly networkId: string; readonly task: TaskEndpoint }
  | { readonly kind: 'task-gone'; readonly networkId: string; readonly taskId: string }

interface KnownView {
  network: OverlayNetwork
  readonly services: Map<string, ServiceEndpoint>
  readonly tasks: Map<string, TaskEndpoint>
}

/** The views that were given last, by id, to find what differs in the next ones. */
export class KnownViews {
  readonly #networks = new Map<string, KnownView>()
  readonly #given = new Map<string, NetworkView>()

  /**
   * Takes the views as what is known now and returns the changes that lead there, removals first, as addresses move on. Costs a
   * comparison of references for what stays, and nothing for a view that is the same object as before.
   */
  update(views: readonly NetworkView[]): readonly ZoneChange[] {
    const changes: ZoneChange[] = []
    const ids = new Set<string>(views.map(({ network }) => network.id))
    for (const networkId of this.#networks.keys()) {
      if (!ids.has(networkId)) changes.push({ kind: 'network-gone', networkId })
    }
    const changed = views.filter((view) => this.#given.get(view.network.id) !== view)
    for (const view of changed) changes.push(...this.#removals(view))
    for (const view of changed) changes.push(...this.#additions(view))
    this.apply(changes)
    for (const view of changed) this.#given.set(view.network.id, view)
    return changes
  }

  /** Takes over changes that came by themselves. O(changes). */
  apply(changes: readonly ZoneChange[]): void {
    for (const change of changes) this.#apply(change)
  }

  /** Changes that lead from nothing to what is known. */
  all(): readonly ZoneChange[] {
    const changes: ZoneChange[] = []
    for (const [networkId, { network, services, tasks }] of this.#networks) {
      changes.push({ kind: 'network', network })
      for (const service of services.values()) changes.push({ kind: 'service', networkId, service })
      for (const task of tasks.values()) changes.push({ kind: 'task', networkId, task })
    }
    return changes
  }

  #removals({ network, services, tasks }: NetworkView): readonly ZoneChange[] {
    const known = this.#networks.get(network.id)
    if (known === undefined) return []
    const networkId = network.id
    const taskIds = new Set<string>(tasks.map((task) => task.taskId))
    const serviceIds = new Set<string>(services.map((service) => service.serviceId))
    return [
      ...[...known.tasks.keys()]
        .filter((taskId) => !taskIds.has(taskId))
        .map((taskId) => ({ kind: 'task-gone', networkId, taskId }) as const),
      ...[...known.services.keys()]
        .filter((serviceId) => !serviceIds.has(serviceId))
        .map((serviceId) => ({ kind: 'service-gone', networkId, serviceId }) as const),
    ]
  }

  #additions({ network, services, tasks }: NetworkView): readonly ZoneChange[] {
    const known = this.#networks.get(network.id)
    const networkId = network.id
    const changes: ZoneChange[] = []
    if (!isSameValue(known?.network, network)) changes.push({ kind: 'network', network })
    for (const service of services) {
      const before = known?.services.get(service.serviceId)
      if (!isSameValue(before, service)) changes.push({ kind: 'service', networkId, service })
    }
    for (const task of tasks) {
      if (!isSameValue(known?.tasks.get(task.taskId), task)) {
        changes.push({ kind: 'task', networkId, task })
      }
    }
    return changes
  }

  #apply(change: ZoneChange): void {
    const id = change.kind === 'network' ? change.network.id : change.networkId
    // The view that was given is not what is known any more.
    this.#given.delete(id)
    if (change.kind === 'network' && !this.#networks.has(id)) {
      const { network } = change
      this.#networks.set(id, { network, services: new Map(), tasks: new Map() })
    }
    const known = this.#networks.get(id)
    if (known === undefined) return
    switch (change.kind) {
      case 'network':
        known.network = change.network
        return
      case 'network-gone':
        this.#networks.delete(change.networkId)
        return
      case 'service':
        known.services.set(change.service.serviceId, change.service)
        return
      case 'service-gone':
        known.services.delete(change.serviceId)
        return
      case 'task':
        known.tasks.set(change.task.taskId, change.task)
        return
      case 'task-gone':
        known.tasks.delete(change.taskId)
        return
    }
  }
}
