// Sees everything that happens in a simulation and knows what must never happen. Any broken promise is thrown
// as a Violation. It only watches: nothing it does changes the run.
// Source: Raft paper figure 3 (the five properties); thesis 4.1, 4.3 (configurations), 6.4 (reads).
import { membersOf, voteResult } from '../core/quorum.ts'
import type { ConfState, Entry, Index, Message, NodeId, SnapshotMeta, Term } from '../core/types.ts'
import type { PeerMessage } from '../driver/environment.ts'
import { emptyDigest, entryDigest, extendDigest } from './digest.ts'

/** A promise of Raft was broken. */
export class Violation extends Error {
  readonly facts: Readonly<Record<string, unknown>>

  constructor(promise: string, facts: Readonly<Record<string, unknown>>) {
    super(`${promise} ${JSON.stringify(facts)}`)
    this.name = 'Violation'
    this.facts = facts
  }
}

/** What is known of an entry wherever it was seen. */
interface SeenEntry {
  readonly prevTerm: Term
  readonly digest: number
}

/** A committed entry: applied somewhere. */
interface Committed {
  readonly term: Term
  /** Of the state after it. */
  readonly digest: number
  /** A term in which it was known to be committed. */
  readonly knownIn: Term
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
}

/** Sees all that the nodes of a simulation do, and holds it against what Raft promises. */
export class Oracle {
  readonly #leaders = new Map<Term, string>()
  readonly #votes = new Map<string, NodeId>()
  readonly #seen = new Map<Index, Map<Term, SeenEntry>>()
  /** By index; 0 is the empty state. */
  readonly #committed: Committed[] = [{ term: 0, digest: emptyDigest, knownIn: 0 }]
  readonly #overlaps = new Map<string, boolean>()
  readonly #configuredIds = new Set<NodeId>()
  #conf: ConfState | undefined
  #violation: Violation | undefined
  #acknowledged: Index = 0
  acknowledgements = 0
  reads = 0

  /** The first broken promise: kept, because whoever caused it may catch what is thrown. */
  get violation(): Violation | undefined {
    return this.#violation
  }

  /** The newest committed configuration. */
  get conf(): ConfState | undefined {
    return this.#conf
  }

  /** Whether a committed configuration ever named this node. */
  wasMember(id: NodeId): boolean {
    return this.#configuredIds.has(id)
  }

  /** Highest index that was applied anywhere. */
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

  /** Every message, when it is sent. */
  sent(message: PeerMessage): void {
    if (message.kind === 'append') this.#appended(message)
    if (message.kind !== 'vote-response' || !message.granted) return
    const key = `${message.from} ${message.term}`
    const earlier = this.#votes.get(key)
    if (earlier !== undefined && earlier !== message.to) {
      this.#fail('a node votes once a term', {
        node: message.from,
        term: message.term,
        for: [earlier, message.to],
      })
    }
    this.#votes.set(key, message.to)
  }

  /** Whether this life is known to lead in the term. */
  knowsLeader(term: Term, node: Pick<WatchedNode, 'id' | 'life'>): boolean {
    return this.#leaders.get(term) === `${node.id}#${node.life}`
  }

  /** A node was seen leading. */
  leads(node: WatchedNode): void {
    const life = `${node.id}#${node.life}`
    const known = this.#leaders.get(node.term)
    if (known === life) return
    if (known !== undefined) {
      this.#fail('a term has one leader', { term: node.term, leaders: [known, life] })
    }
    this.#leaders.set(node.term, life)
    this.#holdsAllCommitted(node)
  }

  /** A node's state machine applies an entry to a state with this digest. Returns the next one. */
  applied(
    node: { readonly id: NodeId; readonly term: Term },
    entry: Entry,
    digest: number,
  ): number {
    const next = extendDigest(digest, entry)
    const known = this.#committed[entry.index]
    if (known !== undefined) {
      if (known.term !== entry.term || known.digest !== next) {
        this.#fail('state machines apply the same entries', {
          node: node.id,
          index: entry.index,
          terms: [known.term, entry.term],
        })
      }
      return next
    }
    if (entry.index !== this.#committed.length) {
      this.#fail('state machines apply without gaps', {
        node: node.id,
        index: entry.index,
      })
    }
    this.#committed.push({ term: entry.term, digest: next, knownIn: node.term })
    if (entry.kind === 'conf') this.#configured(entry.conf, entry.index)
    return next
  }

  /** A node's state machine was replaced by a snapshot's content. */
  restored(id: NodeId, meta: SnapshotMeta, digest: number): void {
    const known = this.#committed[meta.index]
    if (known?.term === meta.term && known.digest === digest) return
    this.#fail('a snapshot is a committed state', {
      node: id,
      index: meta.index,
      terms: [known?.term, meta.term],
    })
  }

  /** A client was told that its proposal, made when `before` was the highest acknowledged index, was applied. */
  acknowledged({ index, term, before }: Acknowledgement): void {
    if (index <= before) {
      this.#fail('what is proposed later is applied later', { index, before })
    }
    if (this.#committed[index]?.term !== term) {
      this.#fail('what is acknowledged is committed', { index, term })
    }
    this.#acknowledged = Math.max(this.#acknowledged, index)
    this.acknowledgements += 1
  }

  /** A read that began when `acknowledgedBefore` was the highest acknowledged index is served at `index`. */
  read(acknowledgedBefore: Index, index: Index): void {
    this.reads += 1
    if (index >= acknowledgedBefore) return
    this.#fail('a read sees all that was acknowledged before it', {
      index,
      acknowledgedBefore,
    })
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
    this.#fail('a leader holds all committed entries', {
      leader: node.id,
      term: node.term,
      index,
      terms: [this.#committed[index]?.term, term],
    })
  }

  /** Log matching: index and term determine an entry and the one before it. */
  #appended(message: Extract<Message, { kind: 'append' }>): void {
    let prevTerm = message.prevTerm
    for (const entry of message.entries) {
      let byTerm = this.#seen.get(entry.index)
      if (byTerm === undefined) {
        byTerm = new Map()
        this.#seen.set(entry.index, byTerm)
      }
      const known = byTerm.get(entry.term)
      const digest = entryDigest(entry)
      if (known === undefined) byTerm.set(entry.term, { prevTerm, digest })
      else if (known.prevTerm !== prevTerm || known.digest !== digest) {
        this.#fail('index and term determine the log up to there', {
          from: message.from,
          index: entry.index,
          term: entry.term,
        })
      }
      prevTerm = entry.term
    }
  }

  /** Every quorum of a configuration shares a voter with every quorum of the next. */
  #configured(conf: ConfState, index: Index): void {
    const before = this.#conf
    this.#conf = conf
    for (const id of membersOf(conf)) this.#configuredIds.add(id)
    if (before === undefined || this.#overlap(before, conf)) return
    this.#fail('successive configurations overlap', { index, before, conf })
  }

  #fail(promise: string, facts: Readonly<Record<string, unknown>>): never {
    const violation = new Violation(promise, facts)
    this.#violation ??= violation
    throw violation
  }

  #overlap(one: ConfState, other: ConfState): boolean {
    const key = [one, other]
      .map((conf) => `${conf.voters.join()}/${conf.outgoing.join()}`)
      .join(' ')
    const known = this.#overlaps.get(key)
    if (known !== undefined) return known
    const result = quorumsOverlap(one, other)
    this.#overlaps.set(key, result)
    return result
  }
}

/** True when no quorum of one avoids all quorums of the other. Tries all sets of voters: for few nodes only. */
export function quorumsOverlap(one: ConfState, other: ConfState): boolean {
  const ids = [...new Set([...membersOf(one), ...membersOf(other)])]
  for (let bits = 0; bits < 2 ** ids.length; bits++) {
    const votes = new Map<NodeId, boolean>()
    const rest = new Map<NodeId, boolean>()
    for (const [i, id] of ids.entries()) (bits & (1 << i) ? votes : rest).set(id, true)
    if (voteResult(one, votes) === 'won' && voteResult(other, rest) === 'won') return false
  }
  return true
}
