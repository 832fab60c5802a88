// How far each node has followed the overlay, as the leader knows it. In memory only; learnt anew each term from what agents repeat.
import type { Clock, Timer } from '../../proto/lib/clock.ts'
import type { NetworkId, NodeId } from '../../proto/objects/index.ts'
import type { NetworkAcks } from './network-acks.ts'

/**
 * So long a node that went down keeps addresses from being given again: what it leads to them would reach somebody else if
 * it came back. A node that is away for longer must not use up the pools of the others.
 */
export const staleMs = 60_000

export class AckTable implements NetworkAcks {
  /** Up to which Raft index, of each network that the node holds. */
  readonly #followed = new Map<NodeId, ReadonlyMap<NetworkId, number>>()
  /** Tasks that have not ended, by network and node: their node holds the network, or will in a moment. */
  readonly #tasks = new Map<NetworkId, Map<NodeId, number>>()
  /** Nodes whose word is waited for. */
  readonly #up = new Set<NodeId>()
  /** Nodes that went down lately, and what they held and had followed then. */
  readonly #stale = new Map<NodeId, ReadonlyMap<NetworkId, number>>()
  readonly #timers = new Map<NodeId, Timer>()
  /** Networks that each node holds, whether it has tasks on them or not. */
  #heldByAll: ReadonlySet<NetworkId> = new Set()
  /** What was worked out since something about the network changed. */
  readonly #reached = new Map<NetworkId, number>()
  readonly #listeners = new Set<() => void>()
  readonly #clock: Clock
  #epoch = 0
  #isLearning = false
  #isClosed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A new term begins: agents say again how far they are. */
  beginTerm(): void {
    this.#followed.clear()
    for (const id of [...this.#stale.keys()]) this.#endStale(id)
    this.learnAnew()
  }

  /** Nodes and tasks are told anew, all of them. */
  learnAnew(): void {
    this.#tasks.clear()
    this.#up.clear()
    this.#reached.clear()
  }

  /** While they are still being told, nothing counts as followed. */
  setLearning(isLearning: boolean): void {
    this.#isLearning = isLearning
    if (!isLearning) this.#tell()
  }

  setHeldByAll(networks: Iterable<NetworkId>): void {
    this.#heldByAll = new Set(networks)
    this.#reached.clear()
    this.#tell()
  }

  /** Of stamps of another epoch nothing is known. */
  setEpoch(epoch: number): void {
    if (epoch === this.#epoch) return
    this.#epoch = epoch
    this.#followed.clear()
    this.#reached.clear()
  }

  /** The node's kernel and resolver have all changes of each of these networks up to that index, and it holds no others. */
  note(node: NodeId, epoch: number, reached: ReadonlyMap<NetworkId, number>): void {
    if (epoch !== this.#epoch) return
    const before = this.#followed.get(node)
    const now = new Map(reached)
    // Of two sessions of a node the one that is read later may have spoken earlier.
    for (const [id, index] of now) now.set(id, Math.max(index, before?.get(id) ?? 0))
    this.#followed.set(node, now)
    for (const id of before?.keys() ?? []) this.#reached.delete(id)
    for (const id of now.keys()) this.#reached.delete(id)
    this.#tell()
  }

  /** A node that is not up is not waited for. */
  setUp(node: NodeId, isUp: boolean): void {
    if (isUp === this.#up.has(node)) return
    if (isUp) {
      this.#up.add(node)
      this.#endStale(node)
    } else {
      this.#up.delete(node)
      this.#beginStale(node)
      this.#followed.delete(node)
    }
    this.#reached.clear()
    if (!isUp) this.#tell()
  }

  /** It is gone for good. */
  drop(node: NodeId): void {
    this.setUp(node, false)
    this.#endStale(node)
    this.#tell()
  }

  /** A task on the network came to the node (1), or ended there (-1). */
  count(network: NetworkId, node: NodeId, step: 1 | -1): void {
    const nodes = this.#tasks.get(network) ?? new Map<NodeId, number>()
    this.#tasks.set(network, nodes)
    const sum = (nodes.get(node) ?? 0) + step
    if (sum > 0) nodes.set(node, sum)
    else nodes.delete(node)
    if (nodes.size === 0) this.#tasks.delete(network)
    this.#reached.delete(network)
  }

  reachedIndex(id: NetworkId): number {
    if (this.#isLearning) return 0
    const known = this.#reached.get(id)
    if (known !== undefined) return known
    let least = Number.POSITIVE_INFINITY
    for (const node of this.#up) least = Math.min(least, this.#indexOf(node, id))
    this.#reached.set(id, least)
    return least
  }

  forgottenIndex(id: NetworkId): number {
    let least = this.reachedIndex(id)
    for (const followed of this.#stale.values()) {
      least = Math.min(least, followed.get(id) ?? Number.POSITIVE_INFINITY)
    }
    return least
  }

  /** Nothing is waited for any more: a timer would keep the process for as long. */
  close(): void {
    this.#isClosed = true
    for (const id of [...this.#stale.keys()]) this.#endStale(id)
  }

  onRise(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Infinity: it has nothing to do with the network. 0: it has, and has not said anything of it. */
  #indexOf(node: NodeId, network: NetworkId): number {
    const index = this.#followed.get(node)?.get(network)
    if (index !== undefined) return index
    const isHeld = this.#heldByAll.has(network) || this.#tasks.get(network)?.has(node) === true
    return isHeld ? 0 : Number.POSITIVE_INFINITY
  }

  /** What it said last of each network that it held. */
  #beginStale(node: NodeId): void {
    if (this.#isClosed) return
    this.#stale.set(node, this.#followed.get(node) ?? new Map())
    const timer = this.#clock.setTimer(staleMs, () => {
      this.#endStale(node)
      this.#tell()
    })
    this.#timers.set(node, timer)
  }

  #endStale(node: NodeId): void {
    this.#timers.get(node)?.cancel()
    this.#timers.delete(node)
    this.#stale.delete(node)
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
