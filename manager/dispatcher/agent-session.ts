// One agent's session as its manager sees it: when it was last heard, and which statuses the leader does not yet have.
// Not for assignments (node-feed.ts).
import { taskStatusFromProto } from '../../proto/codec/assignment.ts'
import { nodeDescriptionFromProto } from '../../proto/codec/node.ts'
import { SwarmError } from '../../proto/errors.ts'
import {
  type ManagerMessage,
  type OverlayAck,
  StatusBatch,
  type TaskStatus as TaskStatusProto,
} from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type { NodeStatusBatch, SessionBeat } from '../../proto/gen/tsswarm/v1/membership.ts'
import type { NodeDescription } from '../../proto/gen/tsswarm/v1/objects.ts'
import type { NodeId, SessionId, TaskStatus } from '../../proto/objects/index.ts'

/** More statuses than a node can have tasks: somebody makes them up. */
const statusesMax = 20_000
/** More networks than a node can hold: somebody makes them up. */
const networksMax = 10_000
/** No agent is waited for longer than this. */
const graceMaxMs = 60_000
/** Batches on their way to the leader; what comes meanwhile is gathered, the latest of each task. */
const inFlightMax = 8

interface Batch {
  /** The agent's. */
  readonly sequence: number
  readonly statuses: ReadonlyMap<string, TaskStatusProto>
  isCommitted: boolean
}

export interface SessionFacts {
  readonly nodeId: NodeId
  readonly sessionId: SessionId
  readonly description: NodeDescription | undefined
  readonly address: string
  /** On the monotonic clock. */
  readonly openedAtMs: number
  /** The same moment on the StallMeter. */
  readonly heardAtMs: number
  readonly send: (message: ManagerMessage) => Promise<void>
  /** Whether the store has the status, or a later one, already. */
  readonly isKnown: (status: TaskStatus) => boolean
  /** Ends the session with that error. */
  readonly close: (reason: SwarmError) => void
}

export class AgentSession {
  readonly nodeId: NodeId
  readonly sessionId: SessionId
  readonly #facts: SessionFacts
  #description: NodeDescription | undefined
  #beatAtMs: number
  #isBeatDue = true
  #isDescriptionDue = true
  #overlay: OverlayAck | undefined
  #isOverlayDue = false
  /** Set once the agent said goodbye. */
  #graceMs: number | undefined
  #pending = new Map<string, TaskStatusProto>()
  #sequence = 0
  #inFlight: Batch[] = []
  /** Acknowledged so far. */
  #told = 0

  constructor(facts: SessionFacts) {
    this.#facts = facts
    this.nodeId = facts.nodeId
    this.sessionId = facts.sessionId
    if (facts.description !== undefined) this.describe(facts.description)
    this.#beatAtMs = facts.heardAtMs
  }

  beat(nowMs: number): void {
    this.#beatAtMs = nowMs
    this.#isBeatDue = true
  }

  /** Errors: INVALID_ARGUMENT for missing fields. */
  describe(description: NodeDescription): void {
    nodeDescriptionFromProto(description)
    this.#description = description
    this.describeAgain()
  }

  /** The leader is to hear what the agent said last of its node. */
  describeAgain(): void {
    this.#isDescriptionDue = true
    this.#isBeatDue = true
  }

  /** How far it followed the overlay. Errors: RESOURCE_EXHAUSTED. */
  followed(overlay: OverlayAck): void {
    if (overlay.networks.length > networksMax) {
      throw new SwarmError(
        'RESOURCE_EXHAUSTED',
        `node ${this.nodeId} says that it holds more than ${networksMax} networks`,
      )
    }
    this.#overlay = overlay
    this.#isOverlayDue = true
    this.#isBeatDue = true
  }

  /**
   * Takes statuses for the leader. What is known, as most of what a new session repeats, costs the leader nothing.
   * Errors: INVALID_ARGUMENT; RESOURCE_EXHAUSTED when more tasks are reported than can be.
   */
  addStatuses(batch: StatusBatch): void {
    for (const proto of batch.statuses) {
      const status = taskStatusFromProto(proto)
      const isOpen = this.#pending.has(status.taskId) || !this.#facts.isKnown(status)
      if (isOpen) this.#pending.set(status.taskId, proto)
    }
    this.#sequence = batch.sequence
    this.#acknowledgeAll()
    if (this.#pending.size > statusesMax) {
      throw new SwarmError(
        'RESOURCE_EXHAUSTED',
        `node ${this.nodeId} reports more than ${statusesMax} tasks`,
      )
    }
  }

  /** The agent ends on purpose and will be back within that time; 0: never. */
  leave(graceMs: number): void {
    this.#graceMs = Math.min(graceMs, graceMaxMs)
    this.#isBeatDue = true
  }

  close(reason: SwarmError): void {
    this.#facts.close(reason)
  }

  /** A new link to a leader that may know nothing. */
  startAnew(): void {
    this.#isBeatDue = true
    this.#isDescriptionDue = true
    this.#isOverlayDue = true
    const newer = this.#pending
    this.#pending = new Map()
    for (const { statuses } of this.#inFlight) this.#merge(statuses)
    this.#merge(newer)
    this.#inFlight = []
  }

  /** What the leader has not heard; undefined: nothing. */
  takeBeat(nowMs: number, monotonicMs: number): SessionBeat | undefined {
    if (!this.#isBeatDue) return undefined
    const description = this.#isDescriptionDue ? this.#description : undefined
    const overlay = this.#isOverlayDue ? this.#overlay : undefined
    this.#isOverlayDue = false
    this.#isBeatDue = false
    this.#isDescriptionDue = false
    return {
      nodeId: this.nodeId,
      sessionId: this.sessionId,
      ageMs: Math.max(0, Math.round(nowMs - this.#beatAtMs)),
      description,
      address: this.#facts.address,
      openedAgeMs: Math.max(0, Math.round(monotonicMs - this.#facts.openedAtMs)),
      leavingGraceMs: this.#graceMs,
      overlay,
    }
  }

  /** Statuses for the leader; undefined: none, or enough are on their way. */
  takeStatuses(): NodeStatusBatch | undefined {
    if (this.#pending.size === 0 || this.#inFlight.length >= inFlightMax) return undefined
    const sequence = this.#sequence
    const statuses = this.#pending
    this.#pending = new Map()
    this.#inFlight.push({ sequence, statuses, isCommitted: false })
    const bytes = StatusBatch.encode({ sequence, statuses: [...statuses.values()] }).finish()
    return { nodeId: this.nodeId, sessionId: this.sessionId, sequence, statuses: bytes }
  }

  /** The leader committed the batch: tells the agent up to where everything is. */
  acknowledge(sequence: number): void {
    if (this.#noteCommitted(sequence)) this.#acknowledgeAll()
  }

  /** With nothing on its way everything is committed. */
  #acknowledgeAll(): void {
    if (this.#inFlight.length === 0 && this.#pending.size === 0) this.#tell(this.#sequence)
  }

  #noteCommitted(sequence: number): boolean {
    const batch = this.#inFlight.find((one) => one.sequence === sequence)
    if (batch === undefined) return false
    batch.isCommitted = true
    let upTo: number | undefined
    while (this.#inFlight[0]?.isCommitted === true) upTo = this.#inFlight.shift()?.sequence
    if (upTo !== undefined) this.#tell(upTo)
    return upTo !== undefined
  }

  #tell(sequence: number): void {
    if (sequence <= this.#told) return
    this.#told = sequence
    // A session that broke meanwhile is noticed where it is read.
    this.#facts.send({ kind: { $case: 'ack', value: { sequence } } }).catch(() => {})
  }

  #merge(statuses: ReadonlyMap<string, TaskStatusProto>): void {
    for (const [id, status] of statuses) this.#pending.set(id, status)
  }
}
