// Nodes in a tree of label values, so that a service's tasks are spread over branches first: at each level the branch
// with the fewest of them that still has room. Arranges candidates; does not judge nodes.
// Source: Docker Swarm's placement preferences.
import type { ClusterIndex } from './cluster-index.ts'
import { type SpreadPreference, spreadValue } from './constraints.ts'
import { IndexedHeap } from './indexed-heap.ts'

/** A set of nodes that knows its best one. Node indexes as in ClusterIndex; keys as in Rank, Infinity is never best. */
export interface Arrangement {
  has(index: number): boolean
  /** Adds a node to begin with; `order` must follow the last one. */
  append(index: number, first: number, second: number): void
  order(): void
  /** Adds an absent node later. */
  add(index: number, first: number, second: number): void
  set(index: number, first: number, second: number): void
  remove(index: number): void
  /** The node with the least keys, -1 when there is none. */
  best(): number
  /** Adds to the service's tasks on the node (a candidate or not). Takes effect with the next `set` or `refresh`. */
  count(index: number, tasks: number): void
  /** Forgets the service's tasks in all branches of the node. */
  uncount(index: number): void
  refresh(index: number): void
}

/** All nodes alike: no preferences. */
export class FlatArrangement extends IndexedHeap implements Arrangement {
  best(): number {
    const top = this.top()
    return top >= 0 && this.firstKey(top) < Number.POSITIVE_INFINITY ? top : -1
  }

  count(): void {}
  uncount(): void {}
  refresh(): void {}
}

interface Branch {
  readonly parent: Branch | undefined
  /** Position among the parent's children. */
  readonly place: number
  readonly children: Branch[]
  readonly byValue: Map<string, Branch>
  /** Of a leaf: its nodes, candidates or not, by their local number. */
  readonly nodes: number[]
  /** Of a leaf: its nodes; else its children. */
  heap: IndexedHeap
  /** Of the service at hand, on all nodes of the branch. */
  serviceTasks: number
}

const noHeap = new IndexedHeap(0)
const tieWeight = 2 ** 22

export class SpreadTree implements Arrangement {
  readonly #root: Branch = branch(undefined, 0)
  readonly #leaves: Branch[] = []
  readonly #locals: number[] = []

  /** The tree of all nodes, still without candidates. O(nodes x preferences). */
  constructor(cluster: ClusterIndex, preferences: readonly SpreadPreference[]) {
    for (const entry of cluster.entries()) {
      let at = this.#root
      for (const preference of preferences) at = child(at, spreadValue(preference, entry.node))
      this.#leaves[entry.index] = at
      this.#locals[entry.index] = at.nodes.length
      at.nodes.push(entry.index)
    }
    makeHeaps(this.#root)
  }

  has(index: number): boolean {
    return this.#leafOf(index).heap.has(this.#locals[index] ?? -1)
  }

  append(index: number, first: number, second: number): void {
    this.#leafOf(index).heap.append(this.#locals[index] ?? 0, first, second)
  }

  order(): void {
    orderHeaps(this.#root)
  }

  add(index: number, first: number, second: number): void {
    const leaf = this.#leafOf(index)
    leaf.heap.add(this.#locals[index] ?? 0, first, second)
    refreshUp(leaf)
  }

  set(index: number, first: number, second: number): void {
    const leaf = this.#leafOf(index)
    leaf.heap.set(this.#locals[index] ?? 0, first, second)
    refreshUp(leaf)
  }

  remove(index: number): void {
    const leaf = this.#leafOf(index)
    leaf.heap.remove(this.#locals[index] ?? 0)
    refreshUp(leaf)
  }

  best(): number {
    let at = this.#root
    while (!isClosed(at)) {
      const top = at.heap.top()
      const below = at.children[top]
      if (below === undefined) return at.nodes[top] ?? -1
      at = below
    }
    return -1
  }

  count(index: number, tasks: number): void {
    for (let at: Branch | undefined = this.#leafOf(index); at !== undefined; at = at.parent) {
      at.serviceTasks += tasks
    }
  }

  uncount(index: number): void {
    for (let at: Branch | undefined = this.#leafOf(index); at !== undefined; at = at.parent) {
      at.serviceTasks = 0
    }
  }

  refresh(index: number): void {
    refreshUp(this.#leafOf(index))
  }

  #leafOf(index: number): Branch {
    return this.#leaves[index] ?? this.#root
  }
}

function branch(parent: Branch | undefined, place: number): Branch {
  return {
    parent,
    place,
    children: [],
    byValue: new Map(),
    nodes: [],
    heap: noHeap,
    serviceTasks: 0,
  }
}

function child(parent: Branch, value: string): Branch {
  const known = parent.byValue.get(value)
  if (known !== undefined) return known
  const made = branch(parent, parent.children.length)
  parent.children.push(made)
  parent.byValue.set(value, made)
  return made
}

function makeHeaps(at: Branch): void {
  at.heap = new IndexedHeap(Math.max(at.children.length, at.nodes.length))
  for (const below of at.children) makeHeaps(below)
}

function orderHeaps(at: Branch): void {
  for (const below of at.children) {
    orderHeaps(below)
    at.heap.append(below.place, openTasks(below), tie(below))
  }
  at.heap.order()
}

/** No node of the branch can take a task of the service. */
function isClosed(at: Branch): boolean {
  const top = at.heap.top()
  return top < 0 || at.heap.firstKey(top) === Number.POSITIVE_INFINITY
}

function openTasks(at: Branch): number {
  return isClosed(at) ? Number.POSITIVE_INFINITY : at.serviceTasks
}

/** Between branches with equally many tasks: the one whose best node is better. */
function tie(at: Branch): number {
  const top = at.heap.top()
  if (top < 0) return 0
  if (at.children.length > 0) return at.heap.secondKey(top)
  return at.heap.firstKey(top) * tieWeight + at.heap.secondKey(top)
}

function refreshUp(from: Branch): void {
  for (let at = from; at.parent !== undefined; at = at.parent) {
    at.parent.heap.set(at.place, openTasks(at), tie(at))
  }
}
