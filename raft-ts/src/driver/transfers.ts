// Hand-overs of leadership that a caller asked for: at most one at a time, answered exactly once.
import type { RaftNode } from '../core/raft-node.ts'
import type { NodeId } from '../core/types.ts'
import type { TransferOutcome } from './outcomes.ts'
import type { Answer } from './pending.ts'
import { transferTarget } from './transfer-target.ts'

/** Election time-outs until nobody is known to lead: the core gives up, or another member is elected, long before. */
const patience = 4

export class Transfers {
  readonly #id: NodeId
  readonly #core: RaftNode
  readonly #priorityOf: (id: NodeId) => number
  #waiting: { readonly answer: Answer<TransferOutcome>; ticksLeft: number } | undefined

  constructor(id: NodeId, core: RaftNode, priorityOf: (id: NodeId) => number = () => 0) {
    this.#id = id
    this.#core = core
    this.#priorityOf = priorityOf
  }

  start(to: NodeId | undefined, electionTicks: number, answer: Answer<TransferOutcome>): void {
    const status = this.#core.status()
    // A hand-over that the core began by itself, to a member of higher priority, gives way to the caller's.
    const isOwn = this.#waiting === undefined
    const found = transferTarget(isOwn ? { ...status, transferringTo: undefined } : status, {
      wanted: to,
      priorityOf: this.#priorityOf,
    })
    if (found.kind === 'outcome') {
      answer(found.outcome)
      return
    }
    this.#core.transferLeadership(found.id)
    this.end({ kind: 'failed', reason: 'another transfer was begun' })
    this.#waiting = { answer, ticksLeft: electionTicks * patience }
  }

  /** Whether one was under way, the caller's or the core's own. */
  abort(): boolean {
    if (!this.#core.abortTransfer()) return false
    this.end({ kind: 'aborted' })
    return true
  }

  /** Somebody leads. */
  leaderIs(leader: NodeId | undefined): void {
    if (leader !== undefined && leader !== this.#id) this.end({ kind: 'done', leader })
  }

  tick(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    const { role, transferringTo } = this.#core.status()
    if (role === 'leader' && transferringTo === undefined) {
      const reason = 'the member to take over did not, and this one leads on'
      this.end({ kind: 'failed', reason })
      return
    }
    waiting.ticksLeft -= 1
    if (waiting.ticksLeft > 0) return
    this.end({ kind: 'failed', reason: 'leadership was given up, and nobody is known to lead yet' })
  }

  end(outcome: TransferOutcome): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.answer(outcome)
  }
}
