// What of a node's generic resources is held, and what a task is given of the rest. Each unit is one task's at a time.
// Source: SwarmKit's genericresource package: services ask for a number; of named ones the task gets names.
import { type NodeDescription, noGeneric } from '../proto/objects/index.ts'
import type { GenericResource } from '../proto/spec/generic-resource.ts'

/** What a task spec asks for of one kind. */
export interface GenericDemand {
  readonly kind: string
  readonly count: number
}

interface Held {
  count: number
  /** Of named ones, how many tasks hold each: more than one only while one of them is being moved away. */
  readonly names: Map<string, number>
}

/** Holdings of one node by kind. */
export class GenericHoldings {
  readonly #kinds = new Map<string, Held>()

  add(resources: readonly GenericResource[], sign: 1 | -1): void {
    for (const { kind, count, names } of resources) {
      const held = this.#kinds.get(kind) ?? { count: 0, names: new Map() }
      this.#kinds.set(kind, held)
      if (names.length === 0) held.count += sign * count
      for (const name of names) {
        const holders = (held.names.get(name) ?? 0) + sign
        if (holders > 0) held.names.set(name, holders)
        else held.names.delete(name)
      }
      if (held.count === 0 && held.names.size === 0) this.#kinds.delete(kind)
    }
  }

  /** Numbered ones that tasks hold. */
  count(kind: string): number {
    return this.#kinds.get(kind)?.count ?? 0
  }

  isHeld(kind: string, name: string): boolean {
    return this.#kinds.get(kind)?.names.has(name) === true
  }
}

type Offers = Pick<NodeDescription, 'resources'> | undefined

/** What the node has of the kind; undefined: none. */
export function offered(node: Offers, kind: string): GenericResource | undefined {
  return node?.resources.generic?.find((one) => one.kind === kind)
}

/** How many of the kind nobody holds. */
export function freeGeneric(node: Offers, held: GenericHoldings | undefined, kind: string): number {
  const all = offered(node, kind)
  if (all === undefined) return 0
  if (all.names.length > 0) return freeNames(all, held).length
  return Math.max(0, all.count - (held?.count(kind) ?? 0))
}

function freeNames(
  { kind, names }: GenericResource,
  held: GenericHoldings | undefined,
): readonly string[] {
  return held === undefined ? names : names.filter((name) => !held.isHeld(kind, name))
}

/** What a task that asks for this gets; only when there is enough. The first names in the node's order. */
export function claimGeneric(
  node: Offers,
  held: GenericHoldings | undefined,
  demands: readonly GenericDemand[],
): readonly GenericResource[] {
  if (demands.length === 0) return noGeneric
  return demands.map(({ kind, count }) => {
    const all = offered(node, kind)
    const isNamed = all !== undefined && all.names.length > 0
    return { kind, count, names: isNamed ? freeNames(all, held).slice(0, count) : [] }
  })
}

/** Whether the node offers all of this; what `held` holds of it is another's. */
export function stillOffers(
  node: Offers,
  held: GenericHoldings,
  resources: readonly GenericResource[],
): boolean {
  return resources.every(({ kind, count, names }) => {
    const all = offered(node, kind)
    if (all === undefined) return false
    if (names.length === 0) return all.names.length === 0 && count <= all.count - held.count(kind)
    return names.every((name) => all.names.includes(name) && !held.isHeld(kind, name))
  })
}
