// What one node knows, and the few moves every role shares: send, note, become follower.
// The rules of each role are in step-*.ts; nothing outside core/ sees this.

import { ConfHistory } from './conf-history.ts'
import type { RaftConfig } from './config.ts'
import { HandOvers } from './hand-overs.ts'
import { RaftLog } from './log.ts'
import type { Progress } from './progress.ts'
import { emptyConf, isVoter } from './quorum.ts'
import { ForwardedReads, type ReadRounds } from './read-index.ts'
import type {
  ConfState,
  HardState,
  Index,
  Message,
  NodeId,
  Note,
  ReadState,
  Role,
  SnapshotMeta,
  Term,
} from './types.ts'

/** What only a leader has, from its election to its end. */
export interface Leading {
  /** Peers by id, never the leader itself. Outlives removal until the removal is committed. */
  readonly progress: Map<NodeId, Progress>
  readonly reads: ReadRounds
  /** The entry appended on election; nothing is read before it is committed. */
  readonly firstIndex: Index
  transferee: NodeId | undefined
  transferTicks: number
  /** Read round that must be answered before proposals are taken again; 0: none. */
  unprovenRound: number
  /** The voter of higher priority that could take over, since so many ticks. */
  preferred: NodeId | undefined
  preferredTicks: number
  /** The commit index a heartbeat ago. */
  commitSeen: Index
  /** Something may be sendable: appends are made when the Ready is taken, so that proposals share them. */
  sendsDue: boolean
}

/** Being repaired: the read whose answer tells when the log is whole again. */
export interface Repair {
  readonly context: bigint
  /** Up to here it must reach; asked for anew in each term, whose leader may lack what the one before never committed. */
  target: Index | undefined
  /** Up to here the log was found to match that of the leader of `matchedTerm`, in this life. */
  matched: Index
  matchedTerm: Term
  /** Since the leader was last told. */
  ticks: number
}

export interface Outbox {
  messages: Message[]
  messagesAfterPersist: Message[]
  readStates: ReadState[]
  abortedReads: bigint[]
  notes: Note[]
  snapshot: SnapshotMeta | undefined
}

/**
 * Rounds of pre-votes that are repeated quickly: whoever refused one because it still heard from the leader hears from it
 * no more soon after. Who finds no quorum for longer is cut off, and slows down.
 */
const quickPreVotesMax = 3

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
/** A message without sender and term, which the node fills in: made for one call of send, and not used again. */
export type Draft = DistributiveOmit<Message, 'from' | 'term'> & { from?: NodeId; term?: Term }

export function emptyOutbox(): Outbox {
  return {
    messages: [],
    messagesAfterPersist: [],
    readStates: [],
    abortedReads: [],
    notes: [],
    snapshot: undefined,
  }
}

export class NodeState {
  readonly config: RaftConfig
  readonly id: NodeId
  readonly log: RaftLog
  readonly confs: ConfHistory
  readonly forwarded: ForwardedReads
  readonly handOvers = new HandOvers()
  term: Term
  vote: NodeId | undefined
  role: Role = 'follower'
  leader: NodeId | undefined
  /** Who led last as far as this node knows, perhaps still. */
  lastLeader: NodeId | undefined
  leading: Leading | undefined
  repair: Repair | undefined
  /** Answers to the present campaign. */
  votes = new Map<NodeId, boolean>()
  /** Term and vote that are on disk: the own vote counts only from then on. */
  durable: { readonly term: Term; readonly vote: NodeId | undefined }
  /** The last append with entries was dropped for want of room. */
  isOverrun = false
  electionTicks: number
  electionElapsed = 0
  /** Since a leader was known. */
  preVoteRounds = 0
  heartbeatElapsed = 0
  forwardedElapsed = 0
  /** This follower's own time-out, drawn anew every time. */
  patienceTicks: number
  outbox: Outbox = emptyOutbox()

  constructor(config: RaftConfig) {
    const { restored } = config
    this.config = config
    this.id = config.id
    this.log = new RaftLog(config.log, config, restored)
    this.confs = new ConfHistory(
      { index: restored.snapshot?.index ?? 0, conf: restored.snapshot?.conf ?? emptyConf },
      restored.confs,
    )
    this.forwarded = new ForwardedReads(config.pendingReadsMax)
    this.term = restored.hardState.term
    this.vote = restored.hardState.vote
    this.durable = { term: this.term, vote: this.vote }
    this.electionTicks = config.electionTicks
    this.patienceTicks = this.drawPatience()
    if (restored.repairing) {
      // Negative, so that no caller's context is met; random, so that no answer to an earlier life is taken.
      this.repair = {
        context: -1n - BigInt(Math.floor(config.random() * 2 ** 48)),
        target: undefined,
        matched: 0,
        matchedTerm: 0,
        ticks: 0,
      }
    }
  }

  priorityOf(id: NodeId): number {
    return this.config.priorityOf?.(id) ?? 0
  }

  get conf(): ConfState {
    return this.confs.inUse(this.log.commit).conf
  }

  /**
   * May this node become leader: its log is whole, and it is a voter or was one in a configuration that may
   * still be in force. A voter that holds its own removal may be the only one with a log long enough to be
   * elected and so to commit it; its own vote does not count then. Source: thesis 4.2.2.
   */
  get isPromotable(): boolean {
    if (this.repair !== undefined) return false
    return this.confs.since(this.log.commit).some(({ conf }) => isVoter(conf, this.id))
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.commit }
  }

  send(draft: Draft): void {
    this.outbox.messages.push(this.#address(draft))
  }

  /** For what rests on the hard state or log of this moment: it waits until they are durable. */
  sendAfterPersist(draft: Draft): void {
    this.outbox.messagesAfterPersist.push(this.#address(draft))
  }

  note(kind: string, facts: Note['facts'] = {}): void {
    this.outbox.notes.push({ kind, facts: { term: this.term, ...facts } })
  }

  /**
   * Between one and two election time-outs, so that candidates seldom meet; nearer to one, as the first to lose
   * patience decides how long there is no leader. Source: Raft paper 5.2 and 9.3.
   */
  drawPatience(): number {
    return this.electionTicks + Math.floor(this.config.random() ** 2 * this.electionTicks)
  }

  /** How long a candidate waits for votes, which wait for two disks and a round trip. */
  drawCampaignPatience(): number {
    return this.electionTicks + Math.floor(this.config.random() * this.electionTicks)
  }

  /** For a round of pre-votes, which waits for no disk: between a quarter and half of an election time-out. */
  drawPreVotePatience(): number {
    if (this.preVoteRounds > quickPreVotesMax) return this.drawCampaignPatience()
    const quarter = Math.ceil(this.electionTicks / 4)
    return (
      Math.max(quarter, this.config.heartbeatTicks) + Math.floor(this.config.random() * quarter)
    )
  }

  resetTimers(): void {
    this.electionElapsed = 0
    this.heartbeatElapsed = 0
    this.patienceTicks = this.drawPatience()
  }

  /** Whoever leads now is another one: reads under way with the old one are lost. */
  setLeader(leader: NodeId | undefined): void {
    if (leader !== undefined) this.preVoteRounds = 0
    if (leader === this.leader) return
    this.leader = leader
    this.lastLeader = leader ?? this.lastLeader
    this.abortReads(this.forwarded.abandon())
  }

  abortReads(contexts: readonly bigint[]): void {
    for (const context of contexts) if (context >= 0n) this.outbox.abortedReads.push(context)
  }

  #address(draft: Draft): Message {
    draft.from = this.id
    draft.term ??= this.term
    return draft as Message
  }
}

/** Raises the term and forgets the vote of the old one. */
export function enterTerm(node: NodeState, term: Term): void {
  node.term = term
  node.vote = undefined
  if (node.repair !== undefined) node.repair.target = undefined
}

/** Follows `leader` (undefined: not known yet) in this term, which may be the present one. */
export function becomeFollower(node: NodeState, term: Term, leader: NodeId | undefined): void {
  if (term > node.term) enterTerm(node, term)
  if (node.role !== 'follower') node.note('became-follower', { leader: leader ?? '' })
  node.role = 'follower'
  node.votes.clear()
  endLeading(node)
  node.setLeader(leader)
  node.resetTimers()
}

function endLeading(node: NodeState): void {
  if (node.leading === undefined) return
  const own = node.leading.reads.abandon().filter((read) => read.from === node.id)
  node.abortReads(own.map((read) => read.context))
  node.leading = undefined
}
