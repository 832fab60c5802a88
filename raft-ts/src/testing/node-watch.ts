// Watches one life of a node, step by step: what it is, how far it has committed, what its log holds and which
// configuration it goes by. Tells the oracle, and counts what was reached. Changes nothing.
// Source: Raft paper figures 2 and 3; thesis 4.1.
import type { NodeView } from '../core/config.ts'
import { voteResult } from '../core/quorum.ts'
import type { ConfState, Index, NodeId, Role, Term } from '../core/types.ts'
import type { CoverageName } from './coverage.ts'
import type { Oracle, WatchedNode } from './oracle.ts'

export interface WatchOptions {
  readonly id: NodeId
  readonly life: number
  readonly view: NodeView
  readonly oracle: Oracle
  readonly count: (name: CoverageName) => void
  /** Whether what this node has on disk holds the entry, as far as is known; true for one that is gone. */
  readonly isDurableAt: (id: NodeId, index: Index, term: Term) => boolean
}

export class NodeWatch implements WatchedNode {
  readonly id: NodeId
  readonly life: number
  readonly #options: WatchOptions
  readonly #view: NodeView
  readonly #oracle: Oracle
  #role: Role = 'follower'
  #term: Term = 0
  #commit: Index = 0
  #lastIndex: Index
  #lastTerm: Term | undefined
  #conf: ConfState | undefined
  #confIndex: Index = 0
  /** Its log is known to hold all committed entries up to here. */
  #held: Index = 0

  constructor(options: WatchOptions) {
    const { view } = options
    this.id = options.id
    this.life = options.life
    this.#options = options
    this.#view = view
    this.#oracle = options.oracle
    this.#lastIndex = view.lastIndex
    this.#lastTerm = view.termAt(view.lastIndex)
  }

  get term(): Term {
    return this.#view.term
  }

  get firstIndex(): Index {
    return this.#view.firstIndex
  }

  termAt(index: Index): Term | undefined {
    return this.#view.termAt(index)
  }

  /** After every step of the node's process. */
  look(): void {
    const { role, term, commit, lastIndex, conf } = this.#view
    if (term !== this.#term) this.#enteredTerm(term)
    if (role !== this.#role) this.#changedRole(role)
    const lastTerm = this.#view.termAt(lastIndex)
    const isLogChanged = lastIndex !== this.#lastIndex || lastTerm !== this.#lastTerm
    if (isLogChanged) this.#changedLog(lastIndex, lastTerm)
    if (commit !== this.#commit) this.#committed(commit)
    if (isLogChanged || conf !== this.#conf) this.#checkConf(conf)
    this.#raiseHeld()
  }

  #enteredTerm(term: Term): void {
    if (term < this.#term) {
      this.#oracle.fail('a term never falls', { node: this.id, from: this.#term, to: term })
    }
    this.#term = term
    // Whoever leads on in another term was elected anew, within one step.
    if (this.#role === 'leader' && this.#view.role === 'leader') this.#role = 'follower'
  }

  #changedRole(role: Role): void {
    const before = this.#role
    this.#role = role
    if (role === 'leader') {
      this.#options.count('electionsWon')
      this.#oracle.leads(this)
    }
    if (role !== 'follower') return
    if (before === 'leader') this.#options.count('stepDowns')
    if (before === 'candidate') this.#options.count('electionsLost')
    if (before === 'pre-candidate') this.#options.count('preVotesLost')
  }

  #changedLog(lastIndex: Index, lastTerm: Term | undefined): void {
    const { firstIndex } = this.#view
    const before = this.#lastIndex
    const isCut = before >= firstIndex && this.#view.termAt(before) !== this.#lastTerm
    this.#lastIndex = lastIndex
    this.#lastTerm = lastTerm
    if (isCut) this.#truncated(firstIndex)
  }

  /**
   * A node in a term in which an entry was known to be committed never drops it again. (One in an earlier term
   * may: it holds it by chance, and gets it anew.)
   */
  #truncated(firstIndex: Index): void {
    this.#options.count('truncations')
    while (this.#held >= firstIndex) {
      const known = this.#oracle.committedAt(this.#held)
      if (known?.term === this.#view.termAt(this.#held)) return
      if (known !== undefined && known.knownIn <= this.#term) {
        this.#oracle.fail('a committed entry is never truncated', {
          node: this.id,
          index: this.#held,
          term: known.term,
        })
      }
      this.#held -= 1
    }
  }

  #raiseHeld(): void {
    const last = Math.min(this.#lastIndex, this.#oracle.lastCommitted)
    if (this.#held >= last) return
    this.#held = Math.max(this.#held, Math.min(last, this.#view.firstIndex - 1))
    while (this.#held < last) {
      const known = this.#oracle.committedAt(this.#held + 1)
      if (known?.term !== this.#view.termAt(this.#held + 1)) return
      this.#held += 1
    }
  }

  #committed(commit: Index): void {
    if (commit < this.#commit) {
      this.#oracle.fail('a commit index never falls', {
        node: this.id,
        from: this.#commit,
        to: commit,
      })
    }
    const isLeader = this.#role === 'leader'
    const isOwnTerm = this.#view.termAt(commit) === this.#term
    if (isLeader && commit - 1 > this.#commit && isOwnTerm) this.#countEarlier(commit - 1)
    this.#commit = commit
    if (isLeader) this.#checkDurable(commit)
    this.#oracle.committedTo(this, commit)
  }

  #countEarlier(index: Index): void {
    const term = this.#view.termAt(index)
    if (term !== undefined && term < this.#term) this.#options.count('commitsOfEarlierTerms')
  }

  /** What a leader counts as committed is on the disks of a quorum. */
  #checkDurable(index: Index): void {
    const { conf } = this.#view
    const term = this.#view.termAt(index)
    if (term === undefined) return
    const voters = new Set([...conf.voters, ...conf.outgoing])
    const holding = new Map(
      [...voters].map((id) => [id, this.#options.isDurableAt(id, index, term)]),
    )
    if (voteResult(conf, holding) === 'won') return
    this.#oracle.fail('a leader commits what a quorum has on disk', {
      leader: this.id,
      index,
      term,
      holding: [...holding],
    })
  }

  /** A node goes by the newest configuration in its log, committed or not. */
  #checkConf(conf: ConfState): void {
    const { confIndex } = this.#view
    this.#conf = conf
    this.#confIndex = confIndex
    for (const known of this.#oracle.confsOf(this, confIndex)) {
      if (known.index === confIndex && isSame(known.conf, conf)) continue
      this.#oracle.fail('a node uses the newest configuration in its log', {
        node: this.id,
        newest: known.index,
        uses: this.#confIndex,
        conf,
      })
    }
  }
}

function isSame(one: ConfState, other: ConfState): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other)
}
