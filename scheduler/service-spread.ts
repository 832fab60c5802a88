// On which nodes the active tasks of each service are. Most services of a large cluster have one task, so that case
// costs no map of its own; and most questions are about the service that was asked for last.
import { InvariantError } from '../proto/lib/assert.ts'
import type { ServiceId } from '../proto/objects/index.ts'

export class ServiceSpread {
  /** A number is the index of the one node with the one task. */
  readonly #services = new Map<ServiceId, number | Map<number, number>>()
  #last: ServiceId | undefined
  #lastKnown: number | Map<number, number> | undefined

  add(service: ServiceId, node: number): void {
    const known = this.#get(service)
    if (known === undefined) this.#set(service, node)
    else if (typeof known === 'number') {
      this.#set(
        service,
        known === node
          ? new Map([[node, 2]])
          : new Map([
              [known, 1],
              [node, 1],
            ]),
      )
    } else known.set(node, (known.get(node) ?? 0) + 1)
  }

  take(service: ServiceId, node: number): void {
    const known = this.#get(service)
    if (known === node) {
      this.#set(service, undefined)
      return
    }
    const count = typeof known === 'object' ? (known.get(node) ?? 0) : 0
    if (typeof known !== 'object' || count === 0) {
      throw new InvariantError('the service has no task on the node', { service, node })
    }
    if (count > 1) known.set(node, count - 1)
    else known.delete(node)
    if (known.size === 0) this.#set(service, undefined)
  }

  /** Tasks of the service on the node. */
  on(service: ServiceId, node: number): number {
    const known = this.#get(service)
    if (known === undefined) return 0
    if (typeof known === 'number') return known === node ? 1 : 0
    return known.get(node) ?? 0
  }

  /** Calls visit for each node that has tasks of the service. */
  each(service: ServiceId, visit: (node: number, tasks: number) => void): void {
    const known = this.#get(service)
    if (known === undefined) return
    if (typeof known === 'number') visit(known, 1)
    else for (const [node, tasks] of known) visit(node, tasks)
  }

  /** O(services). */
  dropNode(node: number): void {
    this.#last = undefined
    for (const [service, known] of this.#services) {
      if (known === node) this.#services.delete(service)
      if (typeof known === 'object' && known.delete(node) && known.size === 0) {
        this.#services.delete(service)
      }
    }
  }

  #get(service: ServiceId): number | Map<number, number> | undefined {
    if (service !== this.#last) {
      this.#last = service
      this.#lastKnown = this.#services.get(service)
    }
    return this.#lastKnown
  }

  #set(service: ServiceId, known: number | Map<number, number> | undefined): void {
    this.#last = service
    this.#lastKnown = known
    if (known === undefined) this.#services.delete(service)
    else this.#services.set(service, known)
  }
}
