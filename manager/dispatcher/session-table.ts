// The leader's knowledge of sessions in this term: which one counts for each node, and when it was last heard.
// In memory only and without I/O; a new leader learns it anew from the managers' reports.
import type { SessionBeat } from '../../proto/gen/tsswarm/v1/membership.ts'
import {
  type Node,
  type NodeDescription,
  type NodeId,
  type SessionId,
  sessionId,
} from '../../proto/objects/index.ts'
import { downAtMs } from './liveness.ts'

export interface TableEntry {
  readonly nodeId: NodeId
  /** Undefined: expected, but not heard of in this term. */
  readonly sessionId: SessionId | undefined
  readonly managerId: NodeId | undefined
  /** On the monotonic clock: which of two sessions came later has nothing to do with stalls. */
  readonly openedAtMs: number
  /** On the StallMeter, as all other times here. */
  readonly beatAtMs: number
  /** Undefined: as the store has it. */
  readonly description: NodeDescription | undefined
  readonly address: string
  readonly isDown: boolean
  /** It said goodbye; undefined: it did not. */
  readonly leaving: Leaving | undefined
}

interface Leaving {
  /** Down at this time, unless it comes back. */
  readonly untilMs: number
  /** False: it has left for good. */
  readonly returns: boolean
}

/** SessionBeat with checked fields. */
export interface Beat extends Omit<SessionBeat, 'nodeId' | 'description'> {
  readonly nodeId: NodeId
  readonly description: NodeDescription | undefined
}

/** A new leader waits this long for a node that said goodbye to the one before. */
const returnMs = 15_000

/** The same moment on two clocks. */
export interface Now {
  readonly monotonicMs: number
  /** Of the StallMeter. */
  readonly judgedMs: number
}

/** `write`: the store should learn of it. `close`: the session lost to a newer one. */
export type BeatOutcome = 'noted' | 'write' | 'close' | 'unknown-node'

export class SessionTable {
  readonly #entries = new Map<NodeId, TableEntry>()
  readonly #managers = new Map<NodeId, { readonly atMs: number; readonly heartbeatMs: number }>()
  readonly #heartbeatMs: number

  /**
   * `expected`: nodes that were ready, or expected back, when the term began. `startedAtMs`: when their time begins, which may
   * still be to come. `heartbeatMs`: what agents are told at least.
   */
  constructor(expected: Iterable<Node>, startedAtMs: number, heartbeatMs: number) {
    this.#heartbeatMs = heartbeatMs
    for (const node of expected) {
      this.#entries.set(node.id, {
        nodeId: node.id,
        sessionId: undefined,
        managerId: node.sessionManagerId,
        openedAtMs: Number.NEGATIVE_INFINITY,
        beatAtMs: startedAtMs,
        description: undefined,
        address: '',
        isDown: false,
        leaving:
          node.state === 'disconnected'
            ? { untilMs: startedAtMs + returnMs, returns: true }
            : undefined,
      })
    }
  }

  get(id: NodeId): TableEntry | undefined {
    return this.#entries.get(id)
  }

  get size(): number {
    return this.#entries.size
  }

  /** The manager was heard; its agents were told that period. */
  noteManager(id: NodeId, heartbeatMs: number, nowMs: number): void {
    this.#managers.set(id, { atMs: nowMs, heartbeatMs: Math.max(heartbeatMs, this.#heartbeatMs) })
  }

  /** A session as its manager reports it; `exists` tells whether the node is in the store. */
  noteBeat(managerId: NodeId, beat: Beat, now: Now, exists: (id: NodeId) => boolean): BeatOutcome {
    const id = sessionId(beat.sessionId)
    const before = this.#entries.get(beat.nodeId)
    const openedAtMs = now.monotonicMs - beat.openedAgeMs
    const isNew = before?.sessionId !== id
    if (isNew && !exists(beat.nodeId)) return 'unknown-node'
    if (isNew && before?.sessionId !== undefined && openedAtMs < before.openedAtMs) return 'close'
    this.#entries.set(beat.nodeId, {
      nodeId: beat.nodeId,
      sessionId: id,
      managerId,
      openedAtMs: isNew ? openedAtMs : before.openedAtMs,
      beatAtMs: Math.max(
        now.judgedMs - beat.ageMs,
        Math.min(before?.beatAtMs ?? Number.NEGATIVE_INFINITY, now.judgedMs),
      ),
      description: beat.description ?? (isNew ? undefined : before.description),
      address: beat.address,
      isDown: beat.leavingGraceMs === 0,
      leaving:
        beat.leavingGraceMs === undefined
          ? undefined
          : {
              untilMs: now.judgedMs + beat.leavingGraceMs,
              returns: beat.leavingGraceMs > 0,
            },
    })
    const isNews =
      isNew || before.isDown || beat.description !== undefined || beat.leavingGraceMs !== undefined
    return isNews || before.address !== beat.address ? 'write' : 'noted'
  }

  /** Marks what has been silent for too long as down, and says which nodes that are and when to look again. */
  judge(nowMs: number): { readonly down: readonly NodeId[]; readonly nextAtMs: number } {
    const down: NodeId[] = []
    let nextAtMs = Number.POSITIVE_INFINITY
    for (const entry of this.#entries.values()) {
      if (entry.isDown) continue
      const atMs = this.#downAtMs(entry, nowMs)
      if (atMs > nowMs) nextAtMs = Math.min(nextAtMs, atMs)
      else down.push(entry.nodeId)
    }
    return { down, nextAtMs }
  }

  markDown(id: NodeId): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) this.#entries.set(id, { ...entry, isDown: true })
  }

  forget(id: NodeId): void {
    this.#entries.delete(id)
  }

  /** Lets go of nodes and managers that are no more: a term may last for months. */
  retain(exists: (id: NodeId) => boolean): void {
    for (const known of [this.#entries, this.#managers]) {
      for (const id of known.keys()) if (!exists(id)) known.delete(id)
    }
  }

  /** One that said that it comes back is not given up sooner than one that fell silent. */
  #downAtMs(entry: TableEntry, nowMs: number): number {
    const { leaving } = entry
    if (leaving === undefined) return this.#silentAtMs(entry, nowMs)
    return leaving.returns
      ? Math.max(leaving.untilMs, this.#silentAtMs(entry, nowMs))
      : leaving.untilMs
  }

  #silentAtMs({ nodeId, managerId, beatAtMs }: TableEntry, nowMs: number): number {
    const manager = managerId === undefined ? undefined : this.#managers.get(managerId)
    const heartbeatMs = manager?.heartbeatMs ?? this.#longestPeriodMs()
    const managerAtMs = manager?.atMs
    const heard = { nodeId, managerId, beatAtMs, heartbeatMs, managerAtMs }
    return downAtMs(heard, nowMs)
  }

  #longestPeriodMs(): number {
    let longestMs = this.#heartbeatMs
    for (const { heartbeatMs } of this.#managers.values())
      longestMs = Math.max(longestMs, heartbeatMs)
    return longestMs
  }
}
