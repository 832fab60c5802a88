// The nodes that may take tasks of one class of demands, best first. Kept from pass to pass: before each use it catches
// up with the nodes that changed.
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

/** Verdicts on nodes; above these: the number of the filter that refuses. */
const absent = 0
const accepted = 1
const refusedBy = 2

export class Candidates {
  readonly #index: ClusterIndex
  readonly #demand: Demand
  readonly #rank: Rank
  readonly #nodes: Arrangement
  readonly #filters: readonly Filter[]
  readonly #consuming: readonly Filter[]
  /** By node index. */
  readonly #verdicts: Uint8Array
  /** How many nodes have each verdict. */
  readonly #counts: number[]
  readonly #attributesVersion: number
  /** Up to where the index's log of touched nodes is taken over. */
  #position: number
  /** While nothing changed. */
  #refusals: readonly Refusal[] | undefined
  #service: ServiceId | undefined
  #troubled = noTroubles
  /** Nodes whose keys are the group's own, to be set back when it is done; some may occur twice. */
  readonly #touched: number[] = []

  /** Asks every node. O(nodes x filters). */
  constructor(index: ClusterIndex, demand: Demand, rank: Rank) {
    this.#index = index
    this.#demand = demand
    this.#rank = rank
    this.#filters = classFilters(demand)
    this.#consuming = consumingFilters(demand)
    this.#verdicts = new Uint8Array(index.capacity)
    this.#counts = new Array<number>(refusedBy + this.#filters.length).fill(0)
    this.#attributesVersion = index.attributesVersion
    this.#position = index.touched.end
    this.#nodes =
      demand.spread.length > 0
        ? new SpreadTree(index, demand.spread)
        : new FlatArrangement(index.capacity)
    for (const entry of index.entries()) {
      if (!this.#judge(entry.index, entry)) continue
      this.#nodes.append(entry.index, rank.first(0, 0), rank.second(entry))
    }
    this.#nodes.order()
  }

  /** Takes over what changed since the last use. False when it is better to ask every node anew. */
  catchUp(): boolean {
    const { touched, capacity, attributesVersion } = this.#index
    const count = touched.countSince(this.#position)
    if (count === undefined || count > capacity || capacity > this.#verdicts.length) return false
    // Labels decide about branches.
    if (this.#demand.spread.length > 0 && attributesVersion !== this.#attributesVersion)
      return false
    for (const index of touched.since(this.#position)) this.#review(index)
    this.#position = touched.end
    return true
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
    const { index } = entry
    this.#rank.placed(entry)
    this.#touched.push(index)
    this.#nodes.count(index, 1)
    const isFull = this.#consuming.some((filter) => !filter.accepts(entry, this.#demand, 0))
    if (isFull) {
      this.#judge(index, entry)
      this.#nodes.remove(index)
    } else if (more) this.#rekey(index)
    // Without more, close sets the key.
  }

  /** Ends the group. */
  close(): void {
    this.#service = undefined
    this.#troubled = noTroubles
    for (const index of this.#touched) this.#nodes.uncount(index)
    for (const index of this.#touched) this.#rekey(index)
    this.#touched.length = 0
  }

  /** All that was placed since it caught up, was placed with its knowledge. */
  leave(): void {
    this.#position = this.#index.touched.end
  }

  /** Why no (further) node takes a task of the open group, in the order of the filters. The same list while it is so. */
  refusals(): readonly Refusal[] {
    if (this.#demand.maxReplicasPerNode > 0) return this.#listRefusals()
    this.#refusals ??= this.#listRefusals()
    return this.#refusals
  }

  #listRefusals(): readonly Refusal[] {
    const refusals: Refusal[] = []
    for (const [number, filter] of this.#filters.entries()) {
      const nodes = this.#counts[refusedBy + number] ?? 0
      if (nodes > 0) refusals.push({ filter, nodes })
    }
    const fit = this.#counts[accepted] ?? 0
    if (fit > 0 && this.best() === undefined) {
      refusals.push({ filter: maxReplicasFilter, nodes: fit })
    }
    return refusals
  }

  /** Notes the verdict on a node. Returns whether it is accepted. */
  #judge(index: number, entry: NodeEntry | undefined): boolean {
    const verdict = entry === undefined ? absent : this.#verdictOn(entry)
    const before = this.#verdicts[index] ?? absent
    if (before !== verdict) {
      this.#refusals = undefined
      this.#verdicts[index] = verdict
      this.#counts[before] = (this.#counts[before] ?? 0) - 1
      this.#counts[verdict] = (this.#counts[verdict] ?? 0) + 1
    }
    return verdict === accepted
  }

  #verdictOn(entry: NodeEntry): number {
    const number = this.#filters.findIndex((filter) => !filter.accepts(entry, this.#demand, 0))
    return number < 0 ? accepted : refusedBy + number
  }

  #review(index: number): void {
    const entry = this.#index.entryAt(index)
    const isAccepted = this.#judge(index, entry)
    const isIn = this.#nodes.has(index)
    if (entry !== undefined && isAccepted) {
      const first = this.#rank.first(0, 0)
      const second = this.#rank.second(entry)
      if (isIn) this.#nodes.set(index, first, second)
      else this.#nodes.add(index, first, second)
    } else if (isIn) this.#nodes.remove(index)
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
