// The Raft state machine's public face: one node, no I/O, no clock.
// The rules are in admit.ts and step-*.ts; here effects are collected and taken.
import { admit } from './admit.ts'
import { invariant } from './assert.ts'
import { advanceCommit, advanceReads, stepDown } from './commit.ts'
import { enterChange } from './confchange.ts'
import type { ConfAt, NodeView, RaftConfig, Status } from './config.ts'
import { answerVote, campaign, campaignSoon, ownVoteDurable } from './election.ts'
import {
  appendConf,
  appendData,
  isActive,
  leadingOf,
  sendAppends,
  sendHeartbeats,
  startReadRound,
} from './replication.ts'
import { shiftWhile } from './shift-while.ts'
import { emptyOutbox, NodeState } from './state.ts'
import { stepCandidate } from './step-candidate.ts'
import { checkRepaired, stepFollower, tickFollower } from './step-follower.ts'
import { abortTransfer, startTransfer, stepLeader, tickLeader } from './step-leader.ts'
import type {
  ConfChange,
  ConfState,
  HardState,
  Index,
  Message,
  NodeId,
  ProposeResult,
  ReadIndexResult,
  Ready,
  Role,
  SnapshotMeta,
  SoftState,
  Term,
} from './types.ts'

interface HardFlight {
  readonly sequence: number
  readonly hardState: HardState
}

/** One Raft node. Every method is synchronous; effects come out of ready(). */
export class RaftNode implements NodeView {
  readonly #node: NodeState
  #sequence = 0
  /** Hard and soft state as last taken. */
  #hardState: HardState
  #softState: SoftState = { role: 'follower', leader: undefined }
  #flights: HardFlight[] = []

  constructor(config: RaftConfig) {
    invariant(config.id !== '', 'a node has an id')
    invariant(
      config.heartbeatTicks > 0 && config.electionTicks > config.heartbeatTicks,
      'heartbeats are more frequent than elections',
    )
    this.#node = new NodeState(config)
    this.#hardState = this.#node.hardState
  }

  /** Time passes by one tick. */
  tick(): void {
    this.#node.handOvers.tick()
    if (this.#node.role === 'leader') tickLeader(this.#node)
    else tickFollower(this.#node)
  }

  /**
   * The driver noticed that time passed without ticks (a stopped process). A leader takes no proposal before
   * a quorum answered it again, and steps down unless that happens within two heartbeats.
   */
  resumed(): void {
    const node = this.#node
    const { leading } = node
    if (leading === undefined) {
      node.electionElapsed = 0
      return
    }
    const silentTicks = node.electionTicks - 2 * node.config.heartbeatTicks
    for (const progress of leading.progress.values()) {
      progress.hasAnswered = true
      progress.silentTicks = Math.max(progress.silentTicks, silentTicks)
    }
    leading.reads.startProof()
    leading.unprovenRound = leading.reads.latest
    sendHeartbeats(node)
    advanceReads(node)
  }

  /** Longer or shorter election time-outs from now on, when round trips or flushes are slow. */
  setElectionTicks(ticks: number): void {
    invariant(ticks > this.#node.config.heartbeatTicks, 'elections are slower than heartbeats')
    if (ticks === this.#node.electionTicks) return
    this.#node.electionTicks = ticks
    this.#node.patienceTicks = this.#node.drawPatience()
  }

  /** A peer's message. A snapshot message is stepped only once its content is here, complete and verified. */
  step(message: Message): void {
    const node = this.#node
    if (!admit(node, message)) return
    if (message.kind === 'vote' || message.kind === 'pre-vote') answerVote(node, message)
    else if (node.role === 'leader') stepLeader(node, message)
    else if (node.role === 'follower') stepFollower(node, message)
    else stepCandidate(node, message)
  }

  /** Leader only: appends an entry. It is committed if what is applied at the index has the term. */
  propose(data: Uint8Array): ProposeResult {
    invariant(data.length > 0, 'a proposal is not empty: that is a new leader’s entry')
    const refused = this.#refusal()
    if (refused !== undefined) return refused
    const { pendingBytes } = this.#node.log
    if (pendingBytes > 0 && pendingBytes + data.length > this.#node.config.pendingBytesMax) {
      return { kind: 'busy' }
    }
    return { kind: 'accepted', index: appendData(this.#node, data), term: this.#node.term }
  }

  /** Leader only: starts a membership change; a joint one is left by itself. Source: thesis 4.3. */
  proposeConfChange(change: ConfChange): ProposeResult {
    const node = this.#node
    const refused = this.#refusal()
    if (refused !== undefined) return refused
    if (node.confs.latest.index > node.log.commit) {
      return { kind: 'refused', reason: 'a membership change is under way' }
    }
    // Before that, an earlier leader's change may still be on its way to be committed.
    if (node.log.commit < leadingOf(node).firstIndex) return { kind: 'busy' }
    const entered = enterChange(node.conf, change)
    if (entered.kind === 'refused') return entered
    return { kind: 'accepted', index: appendConf(node, entered.conf), term: node.term }
  }

  /**
   * A linearizable read: once the state machine applied the ReadState's index, it may be answered from there.
   * On a follower the leader is asked. Source: thesis 6.4.
   */
  readIndex(context: bigint): ReadIndexResult {
    invariant(context >= 0n, 'a read context is not negative')
    const node = this.#node
    if (node.leading !== undefined) {
      return { kind: node.leading.reads.add({ from: node.id, context }) ? 'pending' : 'busy' }
    }
    if (node.leader === undefined) return { kind: 'no-leader' }
    if (!node.forwarded.add(context)) return { kind: 'busy' }
    node.send({ kind: 'read-index', to: node.leader, context })
    return { kind: 'pending' }
  }

  /** Leader only. Until it is done or an election time-out has passed, proposals answer transferring. */
  transferLeadership(to: NodeId): void {
    if (this.#node.leading !== undefined && to !== this.#node.id) startTransfer(this.#node, to)
  }

  /** Leader only: gives up a transfer that is under way; proposals are taken again at once. False: there was none. */
  abortTransfer(): boolean {
    return this.#node.leading !== undefined && abortTransfer(this.#node, 'asked')
  }

  /** Leader only: no hand-over to a voter of higher priority begins for the time being (some election time-outs). */
  postponeHandOver(): void {
    const { leading } = this.#node
    if (leading !== undefined) leading.preferredTicks = 0
  }

  /** Tries to become leader now. No-op for a leader, a learner and a member under repair. */
  campaign(): void {
    campaign(this.#node, 'asked')
  }

  /** Leader only: leads no more in this term; the best voter is asked to campaign. */
  stepDown(): void {
    if (this.#node.leading !== undefined) stepDown(this.#node, 'asked')
  }

  /**
   * The process of this peer has ended, which its host told: its followers need not wait until it was silent for long
   * enough. They ask one another all the same, if PreVote is on, so that a false report alone elects nobody.
   */
  reportGone(id: NodeId): void {
    const node = this.#node
    if (node.leading !== undefined || node.leader !== id) return
    node.note('leader-gone', { leader: id })
    node.electionElapsed = Math.max(node.electionElapsed, node.electionTicks)
    // All its followers are told at about the same moment.
    campaignSoon(node, Math.ceil(node.electionTicks / 4))
  }

  /** Whether ready() would hand out anything. Cheap. */
  hasReady(): boolean {
    const { log, outbox, leading } = this.#node
    return (
      log.hasUnhanded ||
      log.hasCommitted ||
      outbox.messages.length > 0 ||
      outbox.messagesAfterPersist.length > 0 ||
      outbox.readStates.length > 0 ||
      outbox.abortedReads.length > 0 ||
      outbox.notes.length > 0 ||
      outbox.snapshot !== undefined ||
      leading?.sendsDue === true ||
      this.#wantsReadRound() ||
      this.#softStateChanged() ||
      this.#hardStateChanged()
    )
  }

  /** Takes all effects. May be taken again while earlier ones are being flushed. */
  ready(): Ready {
    const node = this.#node
    this.#sendDue()
    const { outbox } = node
    node.outbox = emptyOutbox()
    this.#sequence += 1
    const entries = node.log.takeUnhanded()
    const votedAnew = node.term !== this.#hardState.term || node.vote !== this.#hardState.vote
    const mustFlush = entries.length > 0 || outbox.snapshot !== undefined || votedAnew
    const hardState = this.#hardStateChanged() ? node.hardState : undefined
    const softState = this.#softStateChanged() ? this.#currentSoftState() : undefined
    this.#hardState = hardState ?? this.#hardState
    this.#softState = softState ?? this.#softState
    if (mustFlush) {
      node.log.handedIn(this.#sequence)
      this.#flights.push({ sequence: this.#sequence, hardState: this.#hardState })
    }
    const ready: { -readonly [Key in keyof Ready]: Ready[Key] } = {
      sequence: this.#sequence,
      mustFlush,
      entries,
      messages: outbox.messages,
      messagesAfterPersist: outbox.messagesAfterPersist,
      committedEntries: node.log.takeCommitted(),
      readStates: outbox.readStates,
      abortedReads: outbox.abortedReads,
      notes: outbox.notes,
    }
    // Set one by one: to spread what is mostly absent costs as much as all the rest.
    if (hardState !== undefined) ready.hardState = hardState
    if (softState !== undefined) ready.softState = softState
    if (outbox.snapshot !== undefined) ready.snapshot = outbox.snapshot
    return ready
  }

  /** Every Ready with mustFlush up to this sequence is durable. */
  persisted(sequence: number): void {
    const node = this.#node
    node.log.persisted(sequence)
    const done = shiftWhile(this.#flights, (flight) => flight.sequence <= sequence)
    node.durable = done.at(-1)?.hardState ?? node.durable
    checkRepaired(node)
    if (node.leading !== undefined) advanceCommit(node)
    else ownVoteDurable(node)
  }

  /** The state machine applied all up to index (a snapshot counts as its index). */
  applied(index: Index): void {
    this.#node.log.appliedTo(index)
  }

  /** What a snapshot of the state machine at this applied index stands for. */
  snapshotMeta(index: Index): SnapshotMeta {
    const term = this.#node.log.term(index)
    invariant(term !== undefined, 'the snapshot is of an entry that is in the log', { index })
    return { index, term, conf: this.#node.confs.at(index).conf }
  }

  /** The caller's snapshot is durable: it serves slow peers, and entries up to it may be compacted. */
  snapshotSaved(meta: SnapshotMeta): void {
    this.#node.log.saved(meta)
  }

  /**
   * Entries after this index are still to be acknowledged by a peer that answers, or follow the snapshot that is on
   * its way to one. The last index when there is no such peer, and when this node does not lead.
   */
  neededAfter(): Index {
    const { log, leading, electionTicks } = this.#node
    // More patient than the quorum check: a snapshot costs more than a few entries kept.
    const active = [...(leading?.progress.values() ?? [])].filter(
      (peer) => peer.silentTicks < 2 * electionTicks,
    )
    return Math.min(log.lastIndex, ...active.map((peer) => peer.heldIndex))
  }

  /** Entries up to and including index will be deleted; index <= the newest snapshot's. */
  compact(index: Index): void {
    this.#node.log.compact(index)
    this.#node.confs.compact(index)
  }

  /** The content of a snapshot message was delivered, or not. To be called for every one. */
  reportSnapshot(id: NodeId, ok: boolean): void {
    this.#node.leading?.progress.get(id)?.endSnapshot(ok)
  }

  /** Messages to this peer were lost. */
  reportUnreachable(id: NodeId): void {
    this.#node.leading?.progress.get(id)?.unreachable()
  }

  /** Of status(), at hardly any cost. */
  get role(): Role {
    return this.#node.role
  }
  /** The leader of this term; undefined while it is not known. */
  get leader(): NodeId | undefined {
    return this.#node.leader
  }
  /** The term this node is in, durable or not yet. */
  get term(): Term {
    return this.#node.term
  }
  get vote(): NodeId | undefined {
    return this.#node.vote
  }
  get commit(): Index {
    return this.#node.log.commit
  }
  get firstIndex(): Index {
    return this.#node.log.firstIndex
  }
  get lastIndex(): Index {
    return this.#node.log.lastIndex
  }
  get conf(): ConfState {
    return this.#node.conf
  }
  get confIndex(): Index {
    return this.#node.confs.latest.index
  }
  /** Index of the configuration that held at index, which must not be compacted. */
  confIndexAt(index: Index): Index {
    return this.#node.confs.at(index).index
  }
  get isRepairing(): boolean {
    return this.#node.repair !== undefined
  }

  /** A copy of the node's state, for people and metrics. Cost: one step a peer. */
  status(): Status {
    const node = this.#node
    const { id, role, term, vote, leader, log, conf, confs, leading, repair } = node
    const progress = [...(leading?.progress.values() ?? [])]
    return {
      id,
      role,
      term,
      vote,
      leader,
      commit: log.commit,
      applied: log.applied,
      firstIndex: log.firstIndex,
      lastIndex: log.lastIndex,
      stable: log.stable,
      conf,
      confIndex: confs.latest.index,
      transferringTo: leading?.transferee,
      repairing: repair !== undefined,
      pendingBytes: log.pendingBytes,
      peers: progress.map((peer) =>
        peer.status(conf.learners.includes(peer.id), isActive(node, peer)),
      ),
    }
  }

  /** The term of the entry at index; undefined when it is compacted or beyond the end. */
  termAt(index: Index): Term | undefined {
    return this.#node.log.term(index)
  }

  /** The configuration that held at an index that is not compacted. */
  confAt(index: Index): ConfAt {
    return this.#node.confs.at(index)
  }

  /** Why nothing can be proposed here now. */
  #refusal(): ProposeResult | undefined {
    const { leading, leader } = this.#node
    if (leading === undefined) return { kind: 'not-leader', leader }
    if (leading.transferee !== undefined) return { kind: 'transferring' }
    return leading.unprovenRound === 0 ? undefined : { kind: 'busy' }
  }

  #sendDue(): void {
    const { leading } = this.#node
    if (leading === undefined) return
    if (this.#wantsReadRound()) {
      startReadRound(this.#node)
      advanceReads(this.#node)
    }
    if (leading.sendsDue) sendAppends(this.#node)
  }

  /** Nothing is read before an entry of the own term is committed: the commit index may be behind. */
  #wantsReadRound(): boolean {
    const { leading, log } = this.#node
    return leading?.reads.wantsRound === true && log.commit >= leading.firstIndex
  }

  #currentSoftState(): SoftState {
    return { role: this.#node.role, leader: this.#node.leader }
  }

  #softStateChanged(): boolean {
    return this.#softState.role !== this.#node.role || this.#softState.leader !== this.#node.leader
  }

  #hardStateChanged(): boolean {
    const { term, vote, log } = this.#node
    const last = this.#hardState
    return last.term !== term || last.vote !== vote || last.commit !== log.commit
  }
}
