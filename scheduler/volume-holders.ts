// Which nodes have which volumes that belong to a slot. Decides nothing.
import type { Node, NodeId } from '../proto/objects/index.ts'

/** As nodes say themselves. */
export class VolumeHolders {
  readonly #byName = new Map<string, Set<NodeId>>()
  readonly #namesOf = new Map<NodeId, readonly string[]>()

  /** Takes over what the node has now. */
  put({ id, description }: Node): void {
    const names = description?.slotVolumes ?? []
    const before = this.#namesOf.get(id) ?? []
    if (before === names || (before.length === 0 && names.length === 0)) return
    this.drop(id)
    if (names.length === 0) return
    this.#namesOf.set(id, names)
    for (const name of names) {
      const holders = this.#byName.get(name)
      if (holders === undefined) this.#byName.set(name, new Set([id]))
      else holders.add(id)
    }
  }

  drop(id: NodeId): void {
    for (const name of this.#namesOf.get(id) ?? []) {
      const holders = this.#byName.get(name)
      holders?.delete(id)
      if (holders?.size === 0) this.#byName.delete(name)
    }
    this.#namesOf.delete(id)
  }

  /** The node with most of these volumes, of several the one whose id comes first; undefined: nobody has any. */
  holder(names: readonly string[]): NodeId | undefined {
    const counts = new Map<NodeId, number>()
    for (const name of names) {
      for (const id of this.#byName.get(name) ?? []) counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    let best: NodeId | undefined
    for (const [id, count] of counts) {
      const most = best === undefined ? 0 : (counts.get(best) ?? 0)
      if (best === undefined || count > most || (count === most && id < best)) best = id
    }
    return best
  }
}
