// Adds a voter in one request: first as a learner, then, once it has caught up, by joint consensus as a voter. One at a
// time, and only as long as this member leads: nothing of it outlives the leadership.
// Source: thesis 4.2.1.
import type { Status } from '../core/config.ts'
import { isJoint } from '../core/quorum.ts'
import type { RaftNode } from '../core/raft-node.ts'
import type { ConfChangeStep, Index, NodeId } from '../core/types.ts'
import { CatchUp } from './catch-up.ts'
import type { AddVoterOutcome } from './outcomes.ts'
import { type Answer, type PendingProposals, refusal } from './pending.ts'

/** Election time-outs, in all, for which other changes and transfers are waited for. */
const waitElectionsMax = 20

interface Time {
  /** That have passed since the last look. */
  readonly ticks: number
  readonly electionTicks: number
}

interface Addition {
  readonly id: NodeId
  readonly term: number
  readonly answer: Answer<AddVoterOutcome>
  /** From when it is a learner. */
  catchUp: CatchUp | undefined
  /** A change of ours is under way: its outcome goes on. */
  isChanging: boolean
  /** For what others do to end. */
  waitedTicks: number
}

export class VoterAddition {
  readonly #core: RaftNode
  readonly #proposals: PendingProposals
  #running: Addition | undefined

  constructor(core: RaftNode, proposals: PendingProposals) {
    this.#core = core
    this.#proposals = proposals
  }

  start(id: NodeId, electionTicks: number, answer: Answer<AddVoterOutcome>): void {
    const { role, leader, term } = this.#core
    if (role !== 'leader') {
      answer({ kind: 'not-leader', leader })
      return
    }
    if (this.#running !== undefined) {
      answer({ kind: 'busy' })
      return
    }
    const catchUp = undefined
    this.#running = { id, term, answer, catchUp, isChanging: false, waitedTicks: 0 }
    this.#look(this.#running, { ticks: 0, electionTicks })
  }

  tick(time: Time): void {
    const addition = this.#running
    if (addition === undefined) return
    this.#core.postponeHandOver()
    if (!addition.isChanging) this.#look(addition, time)
  }

  /** Leadership ended. */
  lose(): void {
    this.#end({ kind: 'lost' })
  }

  #look(addition: Addition, time: Time): void {
    const status = this.#core.status()
    if (status.role !== 'leader' || status.term !== addition.term) {
      this.#end({ kind: 'lost' })
      return
    }
    const { id } = addition
    const { conf, confIndex, applied, term, lastIndex } = status
    if (isJoint(conf) || confIndex > applied) {
      this.#wait(addition, time, lastIndex)
    } else if (conf.voters.includes(id)) {
      this.#end({ kind: 'committed', index: confIndex, term: this.#core.termAt(confIndex) ?? term })
    } else if (conf.learners.includes(id)) {
      this.#promote(addition, status, time)
    } else if (addition.catchUp !== undefined) {
      this.#end({ kind: 'refused', reason: `member ${id} was removed while it caught up` })
    } else {
      this.#change(addition, { kind: 'add-learner', id }, time)
    }
  }

  #promote(addition: Addition, status: Status, time: Time): void {
    const { id } = addition
    const peer = status.peers.find((one) => one.id === id)
    // Its progress is there as long as it is a member.
    if (peer === undefined) return
    addition.catchUp ??= new CatchUp(status.lastIndex)
    const { lastIndex } = status
    const { ticks, electionTicks } = time
    const step = addition.catchUp.tick(ticks, { peer, lastIndex, electionTicks })
    if (step.kind === 'failed') {
      this.#end({ kind: 'not-caught-up', reason: `learner ${id}: ${step.reason}` })
    } else if (step.kind === 'caught-up') {
      this.#change(addition, { kind: 'add-voter', id }, time)
    }
  }

  #change(addition: Addition, step: ConfChangeStep, time: Time): void {
    const result = this.#core.proposeConfChange({ steps: [step] })
    if (result.kind === 'busy' || result.kind === 'transferring') {
      this.#wait(addition, time, this.#core.status().lastIndex)
      return
    }
    if (result.kind !== 'accepted') {
      this.#end(refusal(result))
      return
    }
    addition.isChanging = true
    this.#proposals.addChange(result, (outcome) => {
      addition.isChanging = false
      if (this.#running !== addition) return
      if (outcome.kind !== 'committed' || step.kind === 'add-voter') this.#end(outcome)
    })
  }

  /** Another change or a transfer goes first; what was caught up until then proves nothing afterwards. */
  #wait(addition: Addition, { ticks, electionTicks }: Time, lastIndex: Index): void {
    if (addition.catchUp !== undefined) addition.catchUp = new CatchUp(lastIndex)
    addition.waitedTicks += ticks
    if (addition.waitedTicks > waitElectionsMax * electionTicks) this.#end({ kind: 'busy' })
  }

  #end(outcome: AddVoterOutcome): void {
    const addition = this.#running
    this.#running = undefined
    addition?.answer(outcome)
  }
}
