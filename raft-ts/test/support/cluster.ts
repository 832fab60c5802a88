// A few nodes in memory with every message in the test's hands.
import {
  type ConfState,
  defaultRaftTuning,
  type Entry,
  type Message,
  type NodeId,
  newCluster,
  RaftNode,
  type RaftTuning,
  type Ready,
  type SoftState,
} from 'raft-ts'
import { MemoryLog } from './memory-log.ts'

export interface PeerOptions {
  readonly tuning?: Partial<RaftTuning>
  readonly disk?: MemoryLog
  readonly repairing?: boolean
  /** What random() returns: 0 makes the election time-out the shortest. */
  readonly random?: () => number
  readonly priorityOf?: (id: NodeId) => number
}

/** One node with its disk; `take` and `flush` by hand, or `pump` for both at once. */
export class Peer {
  readonly id: NodeId
  readonly disk: MemoryLog
  readonly node: RaftNode
  readonly applied: Entry[] = []
  readonly reads: { readonly index: number; readonly context: bigint }[] = []
  readonly aborted: bigint[] = []
  readonly notes: string[] = []
  soft: SoftState = { role: 'follower', leader: undefined }
  /** While true, nothing becomes durable and what waits for it stays. */
  isFlushHeld = false
  #unflushed: Ready[] = []

  constructor(id: NodeId, options: PeerOptions = {}) {
    this.id = id
    this.disk = options.disk ?? new MemoryLog()
    this.node = new RaftNode({
      ...defaultRaftTuning,
      ...options.tuning,
      id,
      log: this.disk,
      restored: this.disk.restored(options.repairing ?? false),
      random: options.random ?? (() => 0),
      ...(options.priorityOf && { priorityOf: options.priorityOf }),
    })
  }

  get role(): string {
    return this.node.status().role
  }

  get commit(): number {
    return this.node.status().commit
  }

  /** The applied data as text, without the empty entries of new leaders. */
  get texts(): readonly string[] {
    const texts: string[] = []
    for (const entry of this.applied) {
      if (entry.kind === 'data' && entry.data.length > 0) texts.push(textOf(entry.data))
    }
    return texts
  }

  /** Takes one Ready: applies what is committed, keeps the rest until flush. Returns it. */
  take(): Ready {
    const ready = this.node.ready()
    this.soft = ready.softState ?? this.soft
    this.applied.push(...ready.committedEntries)
    this.reads.push(...ready.readStates)
    this.aborted.push(...ready.abortedReads)
    for (const note of ready.notes) this.notes.push(note.kind)
    this.#unflushed.push(ready)
    const last = ready.committedEntries.at(-1)
    if (last !== undefined) this.node.applied(last.index)
    return ready
  }

  /** Makes durable all that was taken; returns the messages that waited for it. */
  flush(): readonly Message[] {
    const released: Message[] = []
    for (const ready of this.#unflushed.splice(0)) {
      this.disk.write(ready)
      released.push(...ready.messagesAfterPersist)
      if (!ready.mustFlush) continue
      this.node.persisted(ready.sequence)
      if (ready.snapshot !== undefined) this.node.applied(ready.snapshot.index)
    }
    return released
  }

  /** Takes and flushes until nothing is left to do; returns all messages. */
  pump(): readonly Message[] {
    const sent: Message[] = []
    for (let round = 0; round < 1000; round++) {
      while (this.node.hasReady()) sent.push(...this.take().messages)
      if (this.isFlushHeld || this.#unflushed.length === 0) return sent
      sent.push(...this.flush())
    }
    throw new Error(`${this.id} never comes to rest`)
  }

  /** The same disk in a new process. */
  restarted(options: PeerOptions = {}): Peer {
    return new Peer(this.id, { ...options, disk: this.disk })
  }

  propose(text: string): ReturnType<RaftNode['propose']> {
    return this.node.propose(bytesOf(text))
  }
}

/** Peers and the messages between them; `settle` delivers until all is quiet. */
export class Cluster {
  readonly peers = new Map<NodeId, Peer>()
  readonly sent: Message[] = []
  /** Messages for which this is true are lost. */
  loses: (message: Message) => boolean = () => false
  readonly #options: PeerOptions

  /** Founded by these voters, all with the same first entry on disk. */
  constructor(voters: readonly NodeId[], options: PeerOptions = {}) {
    this.#options = options
    for (const id of voters) this.add(id, foundedDisk(voters))
  }

  add(id: NodeId, disk: MemoryLog = new MemoryLog()): Peer {
    // Each of the first ten has another time-out: no split votes unless a test wants them.
    const order = this.peers.size / 10
    return this.put(new Peer(id, { random: () => drawOf(order % 1), ...this.#options, disk }))
  }

  put(peer: Peer): Peer {
    this.peers.set(peer.id, peer)
    return peer
  }

  get(id: NodeId): Peer {
    const peer = this.peers.get(id)
    if (peer === undefined) throw new Error(`no peer ${id}`)
    return peer
  }

  restart(id: NodeId): Peer {
    return this.put(this.get(id).restarted(this.#options))
  }

  /** Messages to and from this node are lost, besides what is lost already. */
  isolate(...ids: readonly NodeId[]): void {
    const before = this.loses
    this.loses = (message) =>
      before(message) || ids.includes(message.from) !== ids.includes(message.to)
  }

  heal(): void {
    this.loses = () => false
  }

  tick(ids: readonly NodeId[] = [...this.peers.keys()], times = 1): void {
    for (let i = 0; i < times; i++) {
      for (const id of ids) this.get(id).node.tick()
      this.settle()
    }
  }

  /** Delivers, flushes and applies until nothing happens any more. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      const messages = [...this.peers.values()].flatMap((peer) => peer.pump())
      if (messages.length === 0) return
      for (const message of messages) this.deliver(message)
    }
    throw new Error('the cluster never comes to rest')
  }

  deliver(message: Message): void {
    this.sent.push(message)
    if (this.loses(message)) {
      if (message.kind === 'snapshot') this.get(message.from).node.reportSnapshot(message.to, false)
      return
    }
    const receiver = this.peers.get(message.to)
    if (receiver === undefined) return
    receiver.node.step(message)
    if (message.kind === 'snapshot') this.get(message.from).node.reportSnapshot(message.to, true)
  }

  elect(id: NodeId): Peer {
    const peer = this.get(id)
    peer.node.campaign()
    this.settle()
    if (peer.role !== 'leader') throw new Error(`${id} was not elected`)
    return peer
  }
}

/** A disk as newCluster leaves it. */
export function foundedDisk(
  voters: readonly NodeId[],
  learners: readonly NodeId[] = [],
): MemoryLog {
  const disk = new MemoryLog()
  const { hardState, entries } = newCluster(voters)
  disk.write({
    hardState,
    entries: entries.map((entry) =>
      entry.kind === 'conf' ? { ...entry, conf: { ...entry.conf, learners } } : entry,
    ),
  })
  return disk
}

/** A disk whose log has one data entry a term given, after the founding entry (term 1). */
export function diskWithTerms(
  voters: readonly NodeId[],
  terms: readonly number[],
  term = terms.at(-1) ?? 1,
): MemoryLog {
  const disk = foundedDisk(voters)
  const entries = terms.map(
    (term, i): Entry => ({ kind: 'data', term, index: i + 2, data: bytesOf(`${term}.${i + 2}`) }),
  )
  disk.write({ hardState: { term, vote: undefined, commit: 1 }, entries })
  return disk
}

export function plainConf(voters: readonly NodeId[], learners: readonly NodeId[] = []): ConfState {
  return { voters, outgoing: [], learners, learnersNext: [] }
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

/** What random() must return for a time-out that far between the shortest and the longest. */
export function drawOf(part: number): number {
  return Math.sqrt(part + 1e-9)
}
