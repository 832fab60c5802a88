// What the scheduler knows of the cluster, kept up to date change by change: per node what is free and used, per
// service where its tasks are, per service version where they failed lately. Rebuildable from the store at any time;
// decides nothing.
import { InvariantError } from '../proto/lib/assert.ts'
import {
  familyOfBind,
  holdsResources,
  isActive,
  type Node,
  type NodeId,
  type SpecHash,
  type Task,
  type TaskSpecRecord,
  TaskState,
} from '../proto/objects/index.ts'
import { type Demand, demandOf, type Strategy } from './demand.ts'
import { FailureRecord } from './failure-record.ts'
import { GenericHoldings } from './generic.ts'
import { ServiceSpread } from './service-spread.ts'
import { TouchLog } from './touch-log.ts'
import { VolumeHolders } from './volume-holders.ts'

/** One node as filters and ranks see it. */
export interface NodeEntry {
  /** Dense; reused after the node is dropped. */
  readonly index: number
  node: Node
  /** Takes tasks: ready and active. */
  open: boolean
  reservedNanoCpus: number
  reservedMemoryBytes: number
  /** Tasks that are neither stopped nor asked to stop. */
  activeTasks: number
  /** Users of each host port (see demand.ts), and of `tcp/8080/*`: those bound to whatever address. */
  hostPorts: Map<string, number> | undefined
  /** What tasks hold of its generic resources; undefined: nothing so far. */
  generic: GenericHoldings | undefined
}

/** What an index is built from, in one consistent state. */
export interface PlacementSource {
  readonly nodes: Iterable<Node>
  readonly tasks: Iterable<Task>
  readonly taskSpecs: Iterable<TaskSpecRecord>
  readonly strategy: Strategy
}

export class ClusterIndex {
  /** The cluster's, for specs that name none. */
  strategy: Strategy
  readonly failures = new FailureRecord()
  /** Active tasks of each service by node index. */
  readonly services = new ServiceSpread()
  readonly volumes = new VolumeHolders()
  /** Nodes of which anything changed. */
  readonly touched = new TouchLog()
  /** Rises whenever a node comes, goes or changes its attributes. */
  attributesVersion = 0
  readonly #entries: (NodeEntry | undefined)[] = []
  readonly #freeIndexes: number[] = []
  readonly #byId = new Map<NodeId, NodeEntry>()
  readonly #demands = new Map<SpecHash, Demand>()
  /** The one that was asked for last, as most often it is next. */
  #lastDemand: Demand | undefined

  constructor(strategy: Strategy) {
    this.strategy = strategy
  }

  /** The index of a whole cluster. O(nodes + tasks). */
  static from(source: PlacementSource): ClusterIndex {
    const index = new ClusterIndex(source.strategy)
    for (const record of source.taskSpecs) index.putSpec(record)
    for (const node of source.nodes) index.putNode(node)
    for (const task of source.tasks) index.changeTask(undefined, task)
    return index
  }

  /** Indexes of nodes are below this. */
  get capacity(): number {
    return this.#entries.length
  }

  get nodeCount(): number {
    return this.#byId.size
  }

  /** The nodes, by index. */
  *entries(): Iterable<NodeEntry> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry
  }

  entry(index: number): NodeEntry {
    const entry = this.#entries[index]
    if (entry === undefined) throw new InvariantError('no node has this index', { index })
    return entry
  }

  /** The node with that index, if there is one. */
  entryAt(index: number): NodeEntry | undefined {
    return this.#entries[index]
  }

  entryOf(id: NodeId): NodeEntry | undefined {
    return this.#byId.get(id)
  }

  demandOf(hash: SpecHash): Demand | undefined {
    if (hash !== this.#lastDemand?.specHash) this.#lastDemand = this.#demands.get(hash)
    return this.#lastDemand
  }

  putSpec(record: TaskSpecRecord): void {
    if (!this.#demands.has(record.hash)) {
      this.#demands.set(record.hash, demandOf(record.hash, record.spec))
    }
  }

  /** Only after the last task of the spec was taken out. */
  dropSpec(hash: SpecHash): void {
    this.#demands.delete(hash)
    this.#lastDemand = undefined
  }

  /** Adds the node, or takes over its new attributes. Its tasks stay counted. */
  putNode(node: Node): void {
    const open = node.state === 'ready' && node.spec.availability === 'active'
    this.attributesVersion += 1
    this.volumes.put(node)
    const known = this.#byId.get(node.id)
    if (known !== undefined) {
      known.node = node
      known.open = open
      this.touched.add(known.index)
      return
    }
    const entry: NodeEntry = {
      index: this.#freeIndexes.pop() ?? this.#entries.length,
      node,
      open,
      reservedNanoCpus: 0,
      reservedMemoryBytes: 0,
      activeTasks: 0,
      hostPorts: undefined,
      generic: undefined,
    }
    this.#entries[entry.index] = entry
    this.#byId.set(node.id, entry)
    this.touched.add(entry.index)
  }

  /** Forgets the node and whatever was counted on it. O(services). */
  dropNode(id: NodeId): void {
    const entry = this.#byId.get(id)
    if (entry === undefined) return
    this.attributesVersion += 1
    this.touched.add(entry.index)
    this.#byId.delete(id)
    this.volumes.drop(id)
    this.#entries[entry.index] = undefined
    this.#freeIndexes.push(entry.index)
    this.services.dropNode(entry.index)
    this.failures.dropNode(entry.index)
  }

  /** Takes over one change of a task. Returns whether it made room on a node. */
  changeTask(before: Task | undefined, after: Task | undefined): boolean {
    if (after !== undefined) this.#noteFailure(before, after)
    if (before !== undefined && after !== undefined && countsAlike(before, after)) return false
    if (before !== undefined) this.#uncount(before)
    if (after !== undefined) this.#count(after)
    return makesRoom(before, after)
  }

  /**
   * Counts a waiting task on a node, before that is committed, with what it gets of generic resources there.
   * `unplace` takes it back.
   */
  place(task: Task, entry: NodeEntry, generic = task.generic): void {
    this.#reserve(task, entry, 1)
    holdGeneric(entry, generic, 1)
    if (!isActive(task)) return
    entry.activeTasks += 1
    this.services.add(task.serviceId, entry.index)
  }

  /** Takes a placed task back; without effect when the node was dropped meanwhile. */
  unplace(task: Task, entry: NodeEntry, generic = task.generic): void {
    if (this.#entries[entry.index] !== entry) return
    this.#reserve(task, entry, -1)
    holdGeneric(entry, generic, -1)
    if (!isActive(task)) return
    entry.activeTasks -= 1
    if (entry.activeTasks < 0) {
      throw new InvariantError('a node has a negative number of tasks', { nodeId: entry.node.id })
    }
    this.services.take(task.serviceId, entry.index)
  }

  #count(task: Task): void {
    const entry = this.#entryHolding(task)
    if (entry !== undefined) this.place(task, entry)
  }

  #uncount(task: Task): void {
    const entry = this.#entryHolding(task)
    if (entry !== undefined) this.unplace(task, entry)
  }

  #entryHolding(task: Task): NodeEntry | undefined {
    if (task.nodeId === undefined || !holdsResources(task)) return undefined
    return this.#byId.get(task.nodeId)
  }

  #reserve(task: Task, entry: NodeEntry, sign: 1 | -1): void {
    this.touched.add(entry.index)
    const demand = this.demandOf(task.specHash)
    if (demand === undefined) return
    entry.reservedNanoCpus += sign * demand.nanoCpus
    entry.reservedMemoryBytes += sign * demand.memoryBytes
    for (const port of demand.hostPorts) countPort(entry, port, sign)
  }

  #noteFailure(before: Task | undefined, after: Task): void {
    if (after.state !== TaskState.FAILED && after.state !== TaskState.REJECTED) return
    if (before?.state === after.state || after.nodeId === undefined) return
    const entry = this.#byId.get(after.nodeId)
    if (entry !== undefined) this.failures.add(after, entry.index)
  }
}

function countsAlike(a: Task, b: Task): boolean {
  return (
    a.nodeId === b.nodeId &&
    holdsResources(a) === holdsResources(b) &&
    isActive(a) === isActive(b) &&
    a.specHash === b.specHash
  )
}

function holdGeneric(entry: NodeEntry, generic: Task['generic'], sign: 1 | -1): void {
  if (generic.length === 0) return
  entry.generic ??= new GenericHoldings()
  entry.generic.add(generic, sign)
}

function countPort(entry: NodeEntry, port: string, sign: 1 | -1): void {
  entry.hostPorts ??= new Map()
  const [protocol, number, address] = port.split('/')
  const onAll = `${protocol}/${number}`
  // Also under all addresses of its family, and of both.
  const keys =
    address === undefined ? [port] : [port, `${onAll}/*`, `${onAll}/*${familyOfBind(address)}`]
  for (const key of keys) {
    const users = (entry.hostPorts.get(key) ?? 0) + sign
    if (users > 0) entry.hostPorts.set(key, users)
    else entry.hostPorts.delete(key)
  }
}

function makesRoom(before: Task | undefined, after: Task | undefined): boolean {
  if (before === undefined || before.nodeId === undefined || !holdsResources(before)) return false
  return after === undefined || !holdsResources(after) || (isActive(before) && !isActive(after))
}
