// Runs one Raft node: time, durable log, peers, state machine and requests around the pure core.
// Nothing here reads a clock or a random source of its own, so the simulator runs this very code.
import { defaultRaftTuning, type NodeView, type RaftTuning } from '../core/config.ts'
import { RaftNode } from '../core/raft-node.ts'
import type {
  ConfChange,
  Entry,
  Index,
  Message,
  NodeId,
  Ready,
  SnapshotMeta,
} from '../core/types.ts'
import { Applier } from './applier.ts'
import type { DriverOptions, DriverStatus } from './driver-options.ts'
import type { PeerMessage, SnapshotFrame } from './environment.ts'
import { FlushQueue } from './flush-queue.ts'
import { HeldAppends } from './held-appends.ts'
import { isSnapshotFrame, laneOf } from './lanes.ts'
import { LeadershipWatch } from './leadership-watch.ts'
import type {
  AddVoterOutcome,
  ChangeOutcome,
  Leadership,
  ProposeOutcome,
  ReadOutcome,
  TransferOutcome,
} from './outcomes.ts'
import { Pace } from './pace.ts'
import { type Answer, PendingProposals, PendingReads, refusal } from './pending.ts'
import { RoundTrips } from './round-trips.ts'
import { SnapshotMaker, snapshotPolicyOf } from './snapshot-maker.ts'
import { SnapshotReceiver } from './snapshot-receiver.ts'
import { SnapshotSender } from './snapshot-sender.ts'
import { Ticker } from './ticker.ts'
import { Transfers } from './transfers.ts'
import { VoterAddition } from './voter-addition.ts'

const defaultTickMs = 50
/**
 * Ticks that are counted at once: a stall of this process is not the silence of its peers, whose messages
 * may be waiting to be read. Leases decide nothing, so that a clock may be slow.
 */
const ticksAtOnceMax = 2

/** One member: ties the core to its storage, transport and state machine. Answers come by callback. */
export class RaftDriver {
  readonly id: NodeId
  readonly #options: DriverOptions
  readonly #tuning: RaftTuning
  readonly #tickMs: number
  readonly #core: RaftNode
  readonly #ticker: Ticker
  readonly #pace: Pace
  readonly #roundTrips: RoundTrips
  readonly #held: HeldAppends
  readonly #flushes: FlushQueue
  readonly #applier: Applier
  readonly #maker: SnapshotMaker
  readonly #sender: SnapshotSender
  readonly #receiver: SnapshotReceiver
  readonly #watch: LeadershipWatch
  readonly #proposals: PendingProposals
  readonly #reads: PendingReads
  readonly #transfers: Transfers
  readonly #addition: VoterAddition
  #electionTicks: number
  #isPumpDue = false
  #isPumping = false
  #isStopped = false
  #isRepairing: boolean
  /** Indexes of received snapshots that are on their way into the state machine. */
  #installing: Index[] = []

  /** Takes part from `start` on. */
  constructor(options: DriverOptions) {
    const { id, storage, clock, random } = options
    this.id = id
    this.#options = options
    this.#tuning = { ...defaultRaftTuning, ...options.tuning }
    this.#tickMs = options.tickMs ?? defaultTickMs
    this.#electionTicks = this.#tuning.electionTicks
    const applied = storage.snapshots.newest?.index ?? 0
    this.#core = new RaftNode({
      ...this.#tuning,
      id,
      restored: { ...storage.restored, applied },
      log: storage.log,
      random: () => random.float(),
      ...(options.priorityOf && { priorityOf: options.priorityOf }),
    })
    this.#isRepairing = storage.restored.repairing
    this.#ticker = new Ticker(clock, this.#tickMs, (count) => this.#enter(() => this.#tick(count)))
    this.#pace = new Pace({ ...this.#tuning, tickMs: this.#tickMs })
    this.#roundTrips = new RoundTrips(this.#pace)
    this.#reads = new PendingReads(random.bytes(6), this.#tuning.pendingReadsMax)
    this.#proposals = new PendingProposals(options.pendingProposalsMax)
    this.#transfers = new Transfers(id, this.#core, options.priorityOf)
    this.#addition = new VoterAddition(this.#core, this.#proposals)
    this.#watch = new LeadershipWatch(id, (leadership) => options.onLeadership?.(leadership))
    this.#held = new HeldAppends(clock, (message) => this.#enter(() => this.#sendNow(message)))
    this.#flushes = this.#makeFlushes()
    this.#applier = this.#makeApplier()
    this.#maker = this.#makeMaker()
    this.#sender = this.#makeSender()
    this.#receiver = this.#makeReceiver()
  }

  /** Restores the state machine from the newest snapshot, and begins to take part. */
  start(): void {
    this.#enter(() => {
      const held = this.#options.storage.snapshots.hold()
      if (held !== undefined) this.#applier.restore(held.reader.meta, held)
      // A state machine that refused it at once has ended this driver already.
      if (this.#isStopped) return
      this.#ticker.start()
      const { conf } = this.#core.status()
      const isAlone = conf.voters.length === 1 && conf.voters[0] === this.id
      if (isAlone && conf.outgoing.length === 0) this.#core.campaign()
    })
  }

  /** A message from a peer, in any order, any number of times. */
  receive(message: PeerMessage): void {
    this.#enter(() => {
      if (isSnapshotFrame(message)) {
        this.#receiveFrame(message)
        return
      }
      this.#roundTrips.received(message, this.#core.term, this.#options.clock.monotonicMs())
      this.#core.step(message)
    })
  }

  /** The transport noticed that messages to a peer were lost. */
  unreachable(id: NodeId): void {
    this.#enter(() => this.#core.reportUnreachable(id))
  }

  /** The peer's process has ended: its host refuses connections to it. Followers elect another leader at once. */
  gone(id: NodeId): void {
    this.#enter(() => this.#core.reportGone(id))
  }

  /** Replicates bytes, which are not empty and must not change any more. */
  propose(data: Uint8Array, answer: Answer<ProposeOutcome>): void {
    if (data.length === 0) throw new RangeError('a proposal is not empty')
    if (!this.#enter(() => this.#propose(data, answer))) answer({ kind: 'lost' })
  }

  /** Changes the membership; answered when the new configuration holds alone. */
  change(change: ConfChange, answer: Answer<ChangeOutcome>): void {
    const isTaken = this.#enter(() => {
      if (this.#proposals.isFull) return answer({ kind: 'busy' })
      const result = this.#core.proposeConfChange(change)
      if (result.kind === 'accepted') this.#proposals.addChange(result, answer)
      else answer(refusal(result))
    })
    if (!isTaken) answer({ kind: 'lost' })
  }

  /**
   * Makes a member a voter safely: adds it as a learner unless it is one, waits until it keeps up with the log, and
   * promotes it. One at a time; ends with this leadership at the latest. Source: thesis 4.2.1.
   */
  addVoter(id: NodeId, answer: Answer<AddVoterOutcome>): void {
    const isTaken = this.#enter(() => this.#addition.start(id, this.#electionTicks, answer))
    if (!isTaken) answer({ kind: 'lost' })
  }

  /** A linearizable read point, on any member. */
  readIndex(answer: Answer<ReadOutcome>): void {
    const isTaken = this.#enter(() => this.#reads.ask(answer))
    if (!isTaken) answer({ kind: 'no-leader' })
  }

  /** Hands leadership to a voter; without one, to the best: of highest priority and up to date. */
  transferLeadership(to: NodeId | undefined, answer: Answer<TransferOutcome>): void {
    const isTaken = this.#enter(() => this.#transfers.start(to, this.#electionTicks, answer))
    if (!isTaken) answer({ kind: 'failed', reason: 'this member has stopped' })
  }

  /**
   * Gives up the transfer that is under way, so that proposals are taken again; its outcome is `aborted`. False: there
   * was none, or it is too late.
   */
  abortTransfer(): boolean {
    let isAborted = false
    this.#enter(() => {
      isAborted = this.#transfers.abort()
    })
    return isAborted
  }

  /** Leads no more in this term. */
  stepDown(): void {
    this.#enter(() => this.#core.stepDown())
  }

  /** Takes a snapshot at the next pause between two batches, and compacts. */
  compact(): void {
    this.#enter(() => {
      this.#maker.ask()
      this.#applier.pause()
    })
  }

  /** Of the core and of what is stored. */
  status(): DriverStatus {
    const { snapshots, log } = this.#options.storage
    return {
      ...this.#core.status(),
      snapshotIndex: snapshots.newest?.index ?? 0,
      snapshotBytes: snapshots.newestBytes,
      logBytes: log.bytes,
      electionTimeoutMs: this.#electionTicks * this.#tickMs,
    }
  }

  /** As the core sees it, which may be ahead of what onLeadership was told; costs hardly anything. */
  get leadership(): Leadership {
    const { role, leader, term } = this.#core
    return { role, leader, term }
  }

  /** Of the core, live. */
  get view(): NodeView {
    return this.#core
  }

  /** Ends taking part and closes the storage; `done` gets a failure of the last flush. */
  stop(done: (err?: Error) => void): void {
    if (this.#isStopped) {
      done()
      return
    }
    this.#end()
    this.#options.storage.close(done)
  }

  /** Runs one input and then what follows from it. False: this driver has ended. */
  #enter(run: () => void): boolean {
    if (this.#isStopped) return false
    // After a pause the quorum is asked before anything else, whatever input comes first.
    this.#ticker.catchUp((this.#electionTicks + 1) * this.#tickMs)
    try {
      run()
      this.#pumpSoon()
    } catch (err) {
      this.#fail(err as Error)
    }
    return true
  }

  #pumpSoon(): void {
    if (this.#isPumpDue || this.#isPumping) return
    const { defer } = this.#options
    if (defer === undefined) {
      this.#pump()
      return
    }
    this.#isPumpDue = true
    defer(() => {
      this.#isPumpDue = false
      if (this.#isStopped) return
      try {
        this.#pump()
      } catch (err) {
        this.#fail(err as Error)
      }
    })
  }

  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    try {
      while (!this.#isStopped) {
        const hasAsked = this.#reads.forward(this.#core)
        if (this.#core.hasReady()) this.#handle(this.#core.ready())
        else if (!hasAsked) break
      }
    } finally {
      this.#isPumping = false
    }
  }

  #handle(ready: Ready): void {
    for (const note of ready.notes) this.#options.onNote?.(note)
    if (ready.softState !== undefined) this.#changedRole(ready.softState.role === 'leader')
    if (ready.snapshot !== undefined) this.#installing.push(ready.snapshot.index)
    this.#send(ready.messages)
    this.#flushes.take(ready)
    for (const context of ready.abortedReads) this.#reads.aborted(context)
    for (const { context, index } of ready.readStates) {
      this.#reads.confirmed(context, index, this.#applier.index)
    }
    this.#applier.entries(ready.committedEntries)
  }

  #changedRole(isLeader: boolean): void {
    const { role, leader, term } = this.#core
    if (!isLeader) {
      this.#proposals.lose(this.#core)
      this.#addition.lose()
      this.#sender.stop()
    } else this.#roundTrips.leads()
    this.#watch.changed({ role, leader, term })
    this.#transfers.leaderIs(leader)
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.kind === 'snapshot') {
        this.#sender.start(message.to, message.term)
        continue
      }
      if (!this.#held.holds(message)) this.#sendNow(message)
    }
  }

  #sendNow(message: Message): void {
    this.#roundTrips.sent(message, this.#options.clock.monotonicMs())
    const isTaken = this.#options.transport.send(laneOf(message), message)
    if (!isTaken && message.kind === 'append') this.#core.reportUnreachable(message.to)
  }

  #sendFrame(frame: SnapshotFrame): void {
    if (!this.#isStopped) this.#options.transport.send('snapshot', frame)
  }

  #receiveFrame(frame: SnapshotFrame): void {
    if (frame.to !== this.id) return
    const { term, commit } = this.#core
    if (frame.kind === 'snapshot-ack') this.#sender.acknowledged(frame)
    else if (frame.kind === 'snapshot-chunk') this.#receiver.chunk(frame)
    else if (frame.term < term) this.#receiver.refuse(frame)
    else this.#receiver.offered(frame, frame.meta.index <= commit)
  }

  #propose(data: Uint8Array, answer: Answer<ProposeOutcome>): void {
    const result = this.#proposals.isFull ? ({ kind: 'busy' } as const) : this.#core.propose(data)
    if (result.kind === 'accepted') this.#proposals.add(result, answer)
    else if (result.kind === 'not-leader') answer(result)
    else answer({ kind: 'busy' })
  }

  #tick(count: number): void {
    const isResumed = count > this.#electionTicks
    const ticks = isResumed ? 1 : Math.min(count, ticksAtOnceMax)
    if (isResumed) {
      this.#roundTrips.forget()
      this.#core.resumed()
    }
    for (let i = 0; i < ticks; i++) this.#core.tick()
    this.#transfers.tick()
    this.#addition.tick({ ticks, electionTicks: this.#electionTicks })
    this.#electionTicks = this.#pace.electionTicks()
    this.#core.setElectionTicks(this.#electionTicks)
    if (this.#isRepairing && !this.#core.status().repairing) this.#repaired()
  }

  #repaired(): void {
    this.#isRepairing = false
    this.#options.storage.repaired((err) => {
      if (err !== undefined) this.#fail(err)
      else this.#options.onNote?.({ kind: 'repair-durable', facts: { term: this.#core.term } })
    })
  }

  /** Ends with an error, once. */
  #fail(err: Error): void {
    if (this.#isStopped) return
    this.#end()
    this.#options.onFailed(err)
  }

  #end(): void {
    this.#ticker.stop()
    this.#held.stop()
    this.#maker.stop()
    this.#applier.stop()
    this.#sender.stop()
    this.#isStopped = true
    this.#proposals.lose()
    this.#reads.lose()
    this.#addition.lose()
    this.#transfers.end({ kind: 'failed', reason: 'this member has stopped' })
  }

  #makeFlushes(): FlushQueue {
    const { storage, clock } = this.#options
    return new FlushQueue({
      log: storage.log,
      nowMs: () => clock.monotonicMs(),
      onFlushed: (tookMs) => this.#pace.flushTook(tookMs),
      publish: (meta, done) => this.#receiver.publish(meta, done),
      onDurable: (ready) => this.#enter(() => this.#durable(ready)),
      send: (messages) => {
        if (!this.#isStopped) this.#send(messages)
      },
      onFailed: (err) => this.#fail(err),
    })
  }

  #durable(ready: Ready): void {
    const { snapshots } = this.#options.storage
    if (ready.snapshot !== undefined) {
      const held = snapshots.hold()
      if (held !== undefined) this.#applier.restore(held.reader.meta, held)
    }
    this.#core.persisted(ready.sequence)
  }

  #makeApplier(): Applier {
    return new Applier({
      stateMachine: this.#options.stateMachine,
      onApplied: (entries, index) => this.#enter(() => this.#applied(entries, index)),
      onRestored: (meta) => this.#enter(() => this.#restored(meta)),
      onPause: (index) => this.#enter(() => this.#pause(index)),
      onFailed: (err) => this.#fail(err),
    })
  }

  #applied(entries: readonly Entry[], index: Index): void {
    this.#core.applied(index)
    const last = entries.at(-1)
    // Before the outcomes: who proposed may want to know that it leads.
    if (last !== undefined) this.#watch.applied(last.term)
    this.#proposals.applied(entries)
    this.#reads.applied(index)
  }

  #restored({ index }: SnapshotMeta): void {
    this.#installing = this.#installing.filter((at) => at > index)
    this.#core.applied(index)
    this.#reads.applied(index)
  }

  #pause(index: Index): void {
    // The core's log begins behind a received snapshot already, and knows nothing of older entries.
    if (this.#installing.length === 0) this.#maker.pause(index)
  }

  #makeMaker(): SnapshotMaker {
    const { storage, stateMachine, snapshotPolicy } = this.#options
    return new SnapshotMaker({
      log: storage.log,
      snapshots: storage.snapshots,
      stateMachine,
      policy: snapshotPolicyOf(snapshotPolicy),
      metaAt: (index) => this.#core.snapshotMeta(index),
      neededAfter: () => this.#core.neededAfter(),
      onSaved: (meta, compactTo) =>
        this.#enter(() => {
          this.#core.snapshotSaved(meta)
          if (compactTo < 1) return
          this.#core.compact(compactTo)
          storage.log.compact(compactTo)
        }),
      onWanted: () => this.#applier.pause(),
      onFailed: (err) => this.#fail(err),
    })
  }

  #makeSender(): SnapshotSender {
    const { storage, clock } = this.#options
    return new SnapshotSender({
      id: this.id,
      clock,
      snapshots: storage.snapshots,
      send: (frame) => this.#sendFrame(frame),
      onEnded: (to, ok) => {
        this.#enter(() => this.#core.reportSnapshot(to, ok))
      },
      onFailed: (err) => this.#fail(err),
    })
  }

  #makeReceiver(): SnapshotReceiver {
    const { storage } = this.#options
    return new SnapshotReceiver({
      id: this.id,
      snapshots: storage.snapshots,
      send: (frame) => this.#sendFrame(frame),
      onComplete: ({ from, to, term, meta }) => {
        const before = this.#installing.length
        this.#enter(() => {
          this.#core.step({ kind: 'snapshot', from, to, term, meta })
          this.#pump()
        })
        return this.#installing.length > before
      },
      onFailed: (err) => this.#fail(err),
    })
  }
}
