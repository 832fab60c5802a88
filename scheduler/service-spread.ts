// On which nodes the active tasks of each service are. Most services of a large cluster have one task, so that case
// costs no map of its own.
import { InvariantError } from '../proto/lib/assert.ts'
import type { ServiceId } from '../proto/objects/index.ts'

export class ServiceSpread {
  /** A number is the index of the one node with the one task. */
  readonly #services = new Map<ServiceId, number | Map<number, number>>()

  add(service: ServiceId, node: number): void {
    const known = this.#services.get(service)
    if (known === undefined) {
      this.#services.set(service, node)
      return
    }
    let counts = known
    if (typeof counts === 'number') {
      counts = new Map([[counts, 1]])
      this.#services.set(service, counts)
    }
    counts.set(node, (counts.get(node) ?? 0) + 1)
  }

  take(service: ServiceId, node: number): void {
    const known = this.#services.get(service)
    if (known === node) {
      this.#services.delete(service)
      return
    }
    const count = typeof known === 'object' ? (known.get(node) ?? 0) : 0
    if (typeof known !== 'object' || count === 0) {
      throw new InvariantError('the service has no task on the node', { service, node })
    }
    if (count > 1) known.set(node, count - 1)
    else known.delete(node)
    if (known.size === 0) this.#services.delete(service)
  }

  /** Tasks of the service on the node. */
  on(service: ServiceId, node: number): number {
    const known = this.#services.get(service)
    if (known === undefined) return 0
    if (typeof known === 'number') return known === node ? 1 : 0
    return known.get(node) ?? 0
  }

  /** Calls visit for each node that has tasks of the service. */
  each(service: ServiceId, visit: (node: number, tasks: number) => void): void {
    const known = this.#services.get(service)
    if (known === undefined) return
    if (typeof known === 'number') visit(known, 1)
    else for (const [node, tasks] of known) visit(node, tasks)
  }

  /** O(services). */
  dropNode(node: number): void {
    for (const [service, known] of this.#services) {
      if (known === node) this.#services.delete(service)
      if (typeof known === 'object' && known.delete(node) && known.size === 0) {
        this.#services.delete(service)
      }
    }
  }
}
