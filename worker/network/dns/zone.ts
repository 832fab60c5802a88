// The names of a node's overlay networks, by who asks. Holds what changes brought, ready to be looked up; what a question
// means is lookup.ts. In memory only, pure.
import type { OverlayNetwork } from '../../../proto/objects/overlay.ts'
import { addressBytes, addressKey, isInRange } from './addresses.ts'
import { Claims } from './claims.ts'
import { NetworkNames } from './network-names.ts'
import type { ZoneChange } from './zone-change.ts'

export class Zone {
  readonly #networks = new Map<string, NetworkNames>()
  readonly #addresses = new Claims()
  readonly #memberships = new Map<string, readonly NetworkNames[]>()

  /** One change costs what it changes, whatever else there is; a removed network costs what was on it. */
  apply(changes: readonly ZoneChange[]): void {
    for (const change of changes) this.#apply(change)
  }

  /** Changes that lead from nothing to this. */
  all(): readonly ZoneChange[] {
    return [...this.#networks.values()].flatMap((network) => network.all())
  }

  /**
   * The networks of whoever sends from the address, in the order in which their names count: the ingress network last,
   * internal ones after others, then by name. Of a task that is not known yet: the network its address lies in.
   * Source: the order of Docker's embedded DNS server.
   */
  networksOf(address: string): readonly NetworkNames[] {
    const bytes = addressBytes(address)
    if (bytes === undefined) return []
    const taskId = this.#addresses.holder(addressKey(bytes))
    const networks = taskId === undefined ? undefined : this.#memberships.get(taskId)
    if (networks !== undefined) return networks
    const around = [...this.#networks.values()].filter(({ ranges }) =>
      ranges.some((range) => isInRange(range, bytes)),
    )
    return inOrder(around).slice(0, 1)
  }

  /** The target ports of a service that go by this name: a port's own name, its target or its published port. */
  portsOf(serviceId: string, protocol: string, name: string): readonly number[] {
    const found = new Set<number>()
    for (const network of this.#networks.values()) {
      for (const port of network.portsOf(serviceId)) {
        const names = [port.name?.toLowerCase(), `${port.targetPort}`, `${port.publishedPort}`]
        if (port.protocol === protocol && names.includes(name)) found.add(port.targetPort)
      }
    }
    return [...found]
  }

  #apply(change: ZoneChange): void {
    if (change.kind === 'network') this.#setNetwork(change.network)
    const id = change.kind === 'network' ? change.network.id : change.networkId
    const network = this.#networks.get(id)
    if (network === undefined) return
    switch (change.kind) {
      case 'network':
        return
      case 'network-gone':
        this.#networks.delete(change.networkId)
        for (const task of network.tasks()) this.#leave(network, task.taskId)
        return
      case 'service':
        network.setService(change.service)
        return
      case 'service-gone':
        network.removeService(change.serviceId)
        return
      case 'task':
        this.#leave(network, change.task.taskId)
        network.setTask(change.task)
        this.#join(network, change.task.taskId)
        return
      case 'task-gone':
        this.#leave(network, change.taskId)
        network.removeTask(change.taskId)
        return
    }
  }

  #setNetwork(network: OverlayNetwork): void {
    const known = this.#networks.get(network.id)
    if (known === undefined) {
      this.#networks.set(network.id, new NetworkNames(network))
      return
    }
    known.setNetwork(network)
    for (const { taskId } of known.tasks()) {
      this.#memberships.set(taskId, inOrder(this.#memberships.get(taskId) ?? []))
    }
  }

  #join(network: NetworkNames, taskId: string): void {
    for (const key of network.addressKeysOf(taskId)) this.#addresses.add(key, taskId)
    const others = this.#memberships.get(taskId) ?? []
    this.#memberships.set(taskId, inOrder([...others, network]))
  }

  #leave(network: NetworkNames, taskId: string): void {
    const others = this.#memberships.get(taskId)?.filter((known) => known !== network) ?? []
    const kept = new Set(others.flatMap((other) => other.addressKeysOf(taskId)))
    for (const key of network.addressKeysOf(taskId)) {
      if (!kept.has(key)) this.#addresses.remove(key, taskId)
    }
    if (others.length === 0) this.#memberships.delete(taskId)
    else this.#memberships.set(taskId, others)
  }
}

function inOrder(networks: readonly NetworkNames[]): readonly NetworkNames[] {
  return [...networks].sort((a, b) => a.rank - b.rank || compare(a.sortKey, b.sortKey))
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
