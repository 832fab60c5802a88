// Sees everything that happens in a simulation and knows what must never happen. Any broken promise is thrown
// as a Violation. It only watches: nothing it does changes the run.
// Source: Raft paper figure 3 (the five properties); thesis 4.1, 4.3 (configurations), 6.4 (reads).
import { isJoint, membersOf } from '../core/quorum.ts'
import type { ConfState, Entry, Index, Message, NodeId, SnapshotMeta, Term } from '../core/types.ts'
import type { PeerMessage } from '../driver/environment.ts'
import type { CoverageName } from './coverage.ts'
import { extendDigest } from './digest.ts'
import { Overlaps } from './overlap.ts'
import { type ConfEntry, SeenLogs } from './seen-logs.ts'

/** A promise of Raft was broken. */
export class Violation extends Error {
  /** What was promised, the same words for every breach of it. */
  readonly promise: string
  readonly facts: Readonly<Record<string, unknown>>

  constructor(promise: string, facts: Readonly<Record<string, unknown>>) {
    super(`${promise} ${JSON.stringify(facts)}`)
    this.name = 'Violation'
    this.promise = promise
    this.facts = facts
  }
}

/** A committed entry: below some node's commit index. */
interface Committed {
  readonly term: Term
  /** A term in which it was known to be committed. */
  readonly knownIn: Term
}

/** An entry that was applied somewhere. */
interface Applied {
  readonly entry: Entry
  /** Of the state after it. */
  readonly digest: number
}

/** A state machine's state before an entry is applied. */
export interface StateBefore {
  readonly index: Index
  readonly digest: number
}

/** A life of a node, as far as the oracle looks into it. */
export interface WatchedNode {
  readonly id: NodeId
  /** Which life of the node it is. */
  readonly life: number
  readonly term: Term
  /** Term of the entry at index in its log; undefined: compacted or beyond the end. */
  termAt(index: Index): Term | undefined
  readonly firstIndex: Index
}

/** What a client was told of its proposal. */
export interface Acknowledgement {
  readonly index: Index
  readonly term: Term
  /** The highest index acknowledged to anyone when it was proposed. */
  readonly before: Index
  readonly data: Uint8Array
}

/** Sees all that the nodes of a simulation do, and holds it against what Raft promises. */
export class Oracle {
  readonly #leaders = new Map<Term, string>()
  readonly #votes = new Map<string, NodeId>()
  readonly #logs = new SeenLogs()
  /** By index, from 1 on; 0 is nothing. */
  readonly #committed: Committed[] = [{ term: 0, knownIn: 0 }]
  readonly #applied: Applied[] = []
  readonly #overlaps = new Overlaps()
  readonly #configuredIds = new Set<NodeId>()
  #conf: ConfState | undefined
  #confEntry: Entry | undefined
  /** Where a cluster that lost its quorum began anew, maybe in several attempts: whatever held before. */
  #forced: { readonly from: Index; readonly to: Index } | undefined
  #violation: Violation | undefined
  #acknowledged: Index = 0
  readonly #count: (name: CoverageName) => void
  acknowledgements = 0
  reads = 0

  constructor(count: (name: CoverageName) => void = () => {}) {
    this.#count = count
  }

  /** The first broken promise: kept, because whoever caused it may catch what is thrown. */
  get violation(): Violation | undefined {
    return this.#violation
  }

  /** The newest configuration that was applied. */
  get conf(): ConfState | undefined {
    return this.#conf
  }

  /** Whether a configuration that was applied ever named this node. */
  wasMember(id: NodeId): boolean {
    return this.#configuredIds.has(id)
  }

  /** Highest index that was applied anywhere. */
  get lastApplied(): Index {
    return this.#applied.length
  }

  /** Highest index that is known to be committed. */
  get lastCommitted(): Index {
    return this.#committed.length - 1
  }

  /** Highest index that was acknowledged to a client. */
  get lastAcknowledged(): Index {
    return this.#acknowledged
  }

  get terms(): number {
    return this.#leaders.size
  }

  /** Every message, when it is sent, by this life of its sender. */
  sent(message: PeerMessage, life: number): void {
    if (message.kind === 'append') {
      this.#leading(message.term, `${message.from}#${life}`)
      this.#appended(message)
    } else if (message.kind === 'heartbeat') {
      this.#leading(message.term, `${message.from}#${life}`)
    } else if (message.kind === 'vote') {
      this.#voted(message.from, message.term, message.from)
    } else if (message.kind === 'vote-response' && message.granted) {
      this.#voted(message.from, message.term, message.to)
    }
  }

  /** A node has become leader. */
  leads(node: WatchedNode): void {
    this.#leading(node.term, `${node.id}#${node.life}`)
    this.#holdsAllCommitted(node)
  }

  /** A node's commit index is `commit`. */
  committedTo(node: WatchedNode, commit: Index): void {
    const term = node.termAt(commit)
    const known = this.#committed[commit]
    if (known !== undefined) {
      if (term === undefined || term === known.term) return
      this.fail('nodes commit the same entries', {
        node: node.id,
        index: commit,
        terms: [known.term, term],
      })
    }
    for (let index = this.#committed.length; index <= commit; index++) {
      const knownIn = node.term
      this.#committed.push({ term: node.termAt(index) ?? 0, knownIn })
    }
  }

  /** The committed entry at index, if it is known. */
  committedAt(index: Index): Committed | undefined {
    return this.#committed[index]
  }

  /** A node's state machine applies an entry. Returns the digest of the state after it. */
  applied(
    node: { readonly id: NodeId; readonly term: Term },
    entry: Entry,
    before: StateBefore,
  ): number {
    const { index } = entry
    if (index !== before.index + 1) {
      this.fail('state machines apply in order, without gaps', {
        node: node.id,
        index,
        after: before.index,
      })
    }
    const digest = extendDigest(before.digest, entry)
    const known = this.#applied[index - 1]
    if (known === undefined) {
      this.#appliedFirst(node, entry, digest)
      return digest
    }
    if (known.entry.term === entry.term && known.digest === digest) return digest
    return this.fail('state machines apply the same entries', {
      node: node.id,
      index,
      terms: [known.entry.term, entry.term],
    })
  }

  /** A node's state machine was replaced by a snapshot's content. */
  restored(id: NodeId, meta: SnapshotMeta, digest: number): void {
    const known = this.#applied[meta.index - 1]
    if (known?.entry.term === meta.term && known.digest === digest) return
    this.fail('a snapshot is a committed state', {
      node: id,
      index: meta.index,
      terms: [known?.entry.term, meta.term],
    })
  }

  /** A client was told that its proposal, made when `before` was the highest acknowledged index, was applied. */
  acknowledged({ index, term, before, data }: Acknowledgement): void {
    if (index <= before) {
      this.fail('what is proposed later is applied later', { index, before })
    }
    const entry = this.#applied[index - 1]?.entry
    const isThere = entry?.kind === 'data' && entry.term === term && isEqual(entry.data, data)
    if (!isThere) this.fail('what is acknowledged is committed', { index, term })
    this.#acknowledged = Math.max(this.#acknowledged, index)
    this.acknowledgements += 1
  }

  /** A client was told that this member votes, by a configuration at most at index that holds alone. */
  voterAdded(id: NodeId, index: Index): void {
    // A leader that took itself out may know more than was applied anywhere.
    const applied = this.#applied.slice(0, index).map(({ entry }) => entry)
    const sent = this.#logs.confs.filter(
      (entry) => entry.index <= index && this.#committed[entry.index]?.term === entry.term,
    )
    const confs = [...applied, ...sent].filter((entry) => entry.kind === 'conf')
    const entry = confs.sort((a, b) => a.index - b.index).at(-1)
    if (entry !== undefined && !isJoint(entry.conf) && entry.conf.voters.includes(id)) return
    this.fail('a voter that was added votes', { id, index, conf: entry?.conf })
  }

  /** A read that began when `acknowledgedBefore` was the highest acknowledged index is served at `index`. */
  read(acknowledgedBefore: Index, index: Index): void {
    this.reads += 1
    if (index >= acknowledgedBefore) return
    this.fail('a read sees all that was acknowledged before it', {
      index,
      acknowledgedBefore,
    })
  }

  /** Of the configurations seen anywhere, those that this node's log holds from an index on. */
  confsOf(node: WatchedNode, from: Index): readonly ConfEntry[] {
    return this.#logs.confs.filter(
      ({ index, term }) => index >= from && node.termAt(index) === term,
    )
  }

  /**
   * The cluster is lost but for this node, which begins a new one of its own with all that its log holds: what it
   * did not hold may be lost.
   */
  forcedNew(node: WatchedNode, last: Index): void {
    let kept = 0
    while (kept < Math.min(last, this.lastCommitted) && this.#keeps(node, kept + 1)) kept += 1
    this.#committed.length = kept + 1
    this.#applied.length = Math.min(this.#applied.length, kept)
    this.#acknowledged = Math.min(this.#acknowledged, kept)
    this.#leaders.clear()
    this.#votes.clear()
    this.#logs.forget()
    this.#forced = { from: kept, to: last + 1 }
  }

  /** Throws a Violation of the promise, and remembers the first one. */
  fail(promise: string, facts: Readonly<Record<string, unknown>>): never {
    const violation = new Violation(promise, facts)
    this.#violation ??= violation
    throw violation
  }

  #keeps(node: WatchedNode, index: Index): boolean {
    return index < node.firstIndex || node.termAt(index) === this.#committed[index]?.term
  }

  #leading(term: Term, life: string): void {
    const known = this.#leaders.get(term)
    if (known === undefined) this.#leaders.set(term, life)
    else if (known !== life) this.fail('a term has one leader', { term, leaders: [known, life] })
  }

  #voted(node: NodeId, term: Term, candidate: NodeId): void {
    const key = `${node} ${term}`
    const earlier = this.#votes.get(key)
    if (earlier !== undefined && earlier !== candidate) {
      this.fail('a node votes once a term', { node, term, for: [earlier, candidate] })
    }
    this.#votes.set(key, candidate)
  }

  #appliedFirst(node: { readonly id: NodeId }, entry: Entry, digest: number): void {
    const { index } = entry
    if (this.#committed[index]?.term !== entry.term || index !== this.#applied.length + 1) {
      this.fail('only committed entries are applied', {
        node: node.id,
        index,
        terms: [this.#committed[index]?.term, entry.term],
      })
    }
    this.#applied.push({ entry, digest })
    if (entry.kind === 'conf') this.#configured(entry)
  }

  /**
   * Leader completeness: a leader's log holds the last entry that was committed in an earlier term, and so all
   * before it. (One that was elected and is overtaken before it knows need not hold what came later.)
   */
  #holdsAllCommitted(node: WatchedNode): void {
    let index = this.lastCommitted
    while (index > 0 && (this.#committed[index]?.knownIn ?? 0) >= node.term) index -= 1
    if (index === 0 || index < node.firstIndex) return
    const term = node.termAt(index)
    if (term === this.#committed[index]?.term) return
    this.fail('a leader holds all committed entries', {
      leader: node.id,
      term: node.term,
      index,
      terms: [this.#committed[index]?.term, term],
    })
  }

  /** Log matching: index and term determine an entry and the one before it. */
  #appended(message: Extract<Message, { kind: 'append' }>): void {
    const other = this.#logs.appended(message)
    if (other === undefined) return
    const { index, term } = other
    this.fail('index and term determine the log up to there', { from: message.from, index, term })
  }

  /** Every quorum of a configuration shares a voter with every quorum of the next. */
  #configured(entry: ConfEntry): void {
    const before = this.#conf
    const { conf, index } = entry
    if (conf.outgoing.length === 0) this.#count('changesCommitted')
    if (before !== undefined && isJoint(before) && this.#confEntry?.term !== entry.term) {
      this.#count('jointsLeftByAnotherLeader')
    }
    this.#conf = conf
    this.#confEntry = entry
    for (const id of membersOf(conf)) this.#configuredIds.add(id)
    const { from, to } = this.#forced ?? { from: 0, to: 0 }
    if (before === undefined || (index > from && index <= to)) return
    if (this.#overlaps.has(before, conf)) return
    this.fail('successive configurations overlap', { index, before, conf })
  }
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}
