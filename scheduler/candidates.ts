// The nodes that may take tasks of one class of demands, best first, while one pass places them. A pass only adds
// tasks, so a node that a class filter refuses stays refused for the pass.
import type { ServiceId } from '../proto/objects/index.ts'
import type { ClusterIndex, NodeEntry } from './cluster-index.ts'
import type { Demand } from './demand.ts'
import type { Filter } from './filters/filter.ts'
import { classFilters, consumingFilters } from './filters/filters.ts'
import { maxReplicasFilter } from './filters/max-replicas.ts'
import type { Rank } from './rank.ts'
import { type Arrangement, FlatArrangement, SpreadTree } from './spread-tree.ts'

/** Nodes that one filter turned away. */
export interface Refusal {
  readonly filter: Filter
  readonly nodes: number
}

const noTroubles: ReadonlyMap<number, number> = new Map()

export class Candidates {
  readonly #index: ClusterIndex
  readonly #demand: Demand
  readonly #rank: Rank
  readonly #nodes: Arrangement
  readonly #consuming: readonly Filter[]
  readonly #refused = new Map<Filter, number>()
  #count = 0
  #service: ServiceId | undefined
  #troubled = noTroubles
  /** Nodes whose keys are the group's own, to be set back when it is done; some may occur twice. */
  readonly #touched: number[] = []

  /** Asks every node. O(nodes x filters). */
  constructor(index: ClusterIndex, demand: Demand, rank: Rank) {
    this.#index = index
    this.#demand = demand
    this.#rank = rank
    this.#consuming = consumingFilters(demand)
    this.#nodes =
      demand.spread.length > 0
        ? new SpreadTree(index, demand.spread)
        : new FlatArrangement(index.capacity)
    const filters = classFilters(demand)
    for (const entry of index.entries()) {
      const refuses = filters.find((filter) => !filter.accepts(entry, demand, 0))
      if (refuses !== undefined) {
        this.#refuse(refuses)
        continue
      }
      this.#count += 1
      this.#nodes.append(entry.index, rank.first(0, 0), rank.second(entry))
    }
    this.#nodes.order()
  }

  /** Turns to the tasks of one service version. O(its nodes x log nodes). */
  open(service: ServiceId, specVersion: number, nowMs: number): void {
    this.#service = service
    this.#troubled = this.#index.failures.troubled(service, specVersion, nowMs)
    this.#index.services.each(service, (index, tasks) => {
      this.#touched.push(index)
      this.#nodes.count(index, tasks)
    })
    for (const index of this.#troubled.keys()) this.#touched.push(index)
    for (const index of this.#touched) this.#rekey(index)
  }

  /** The best node for the group's next task, undefined when none may take it. */
  best(): NodeEntry | undefined {
    const index = this.#nodes.best()
    return index < 0 ? undefined : this.#index.entry(index)
  }

  /** Takes over that a task of the group was placed on the best node, and whether there are more. */
  placed(entry: NodeEntry, more: boolean): void {
    this.#rank.placed(entry)
    this.#touched.push(entry.index)
    this.#nodes.count(entry.index, 1)
    const refuses = this.#consuming.find((filter) => !filter.accepts(entry, this.#demand, 0))
    if (refuses === undefined) {
      // Without more, close does it.
      if (more) this.#rekey(entry.index)
      return
    }
    this.#refuse(refuses)
    this.#count -= 1
    this.#nodes.remove(entry.index)
  }

  /** Ends the group. */
  close(): void {
    this.#service = undefined
    this.#troubled = noTroubles
    for (const index of this.#touched) this.#nodes.uncount(index)
    for (const index of this.#touched) this.#rekey(index)
    this.#touched.length = 0
  }

  /** Why no (further) node takes a task of the open group, in the order of the filters. */
  refusals(): readonly Refusal[] {
    const refusals: Refusal[] = []
    for (const filter of classFilters(this.#demand)) {
      const nodes = this.#refused.get(filter) ?? 0
      if (nodes > 0) refusals.push({ filter, nodes })
    }
    if (this.#count > 0 && this.best() === undefined) {
      refusals.push({ filter: maxReplicasFilter, nodes: this.#count })
    }
    return refusals
  }

  #refuse(filter: Filter): void {
    this.#refused.set(filter, (this.#refused.get(filter) ?? 0) + 1)
  }

  #rekey(index: number): void {
    if (!this.#nodes.has(index)) {
      this.#nodes.refresh(index)
      return
    }
    const entry = this.#index.entry(index)
    this.#nodes.set(index, this.#firstKey(entry), this.#rank.second(entry))
  }

  #firstKey(entry: NodeEntry): number {
    if (this.#service === undefined) return this.#rank.first(0, 0)
    const tasks = this.#index.services.on(this.#service, entry.index)
    const limit = this.#demand.maxReplicasPerNode
    if (limit > 0 && tasks >= limit) return Number.POSITIVE_INFINITY
    return this.#rank.first(tasks, this.#troubled.get(entry.index) ?? 0)
  }
}
