// What does not work on this node, gathered from the parts that notice it. In memory: who notices it once does so again.
import { isSameValue } from '../proto/lib/same-value.ts'
import { boundConditions, type NodeCondition } from '../proto/objects/index.ts'

export class NodeConditions {
  readonly #bySource = new Map<string, readonly NodeCondition[]>()
  readonly #listeners = new Set<() => void>()

  /** What that part of the node notices now, in place of what it told before. An empty list: all is well. */
  set(source: string, conditions: readonly NodeCondition[]): void {
    const before = this.list()
    const bounded = boundConditions(conditions)
    if (bounded.length === 0) this.#bySource.delete(source)
    else this.#bySource.set(source, bounded)
    if (isSameValue(before, this.list())) return
    for (const listener of [...this.#listeners]) listener()
  }

  /** By source; no more than boundConditions lets through. */
  list(): readonly NodeCondition[] {
    const sources = [...this.#bySource].sort(([a], [b]) => (a < b ? -1 : 1))
    return boundConditions(sources.flatMap(([, conditions]) => conditions))
  }

  /** Calls the listener after each change of the list; the result ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
