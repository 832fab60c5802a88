// What the leader does with the sessions that managers report: knows which counts, judges who is down, writes nodes
// and statuses. In memory, anew each term. Not for the sessions themselves (dispatcher.ts).

import { taskStatusFromProto } from '../../proto/codec/assignment.ts'
import { nodeDescriptionFromProto } from '../../proto/codec/node.ts'
import { hasCode, SwarmError } from '../../proto/errors.ts'
import { StatusBatch } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type {
  NodeStatusAck,
  NodeStatusBatch,
  SessionBeat,
  SessionReport,
  SessionReportAck,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController, type NamedLoop, runAll } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { type Node, type NodeDescription, type NodeId, nodeId } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Store } from '../store/store.ts'
import { SessionTable, type TableEntry } from './session-table.ts'
import { StallMeter } from './stall-meter.ts'
import { StatusWriter } from './status-writer.ts'

/** At most this long between two looks at who is down. */
const judgeMs = 100
const nodesPerWriteMax = 50
const retryMs = 100

export interface LeaderSessionsDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export type SendToManager = (ack: SessionReportAck) => Promise<void>

export interface LeaderSessions {
  /**
   * Serves the reports of one manager until its stream or this manager's leadership ends.
   * Errors: NOT_LEADER, PERMISSION_DENIED.
   */
  handleReports(
    caller: Caller,
    incoming: AsyncIterable<SessionReport>,
    send: SendToManager,
    signal: AbortSignal,
  ): Promise<void>
  /** Runs while this manager leads. */
  readonly loop: NamedLoop
}

/** One for each manager; its loop is among those of the leader. */
export function createLeaderSessions(deps: LeaderSessionsDeps): LeaderSessions {
  let term: LeaderTerm | undefined
  return {
    handleReports: async (caller, incoming, send, signal) => {
      if (caller.kind !== 'node' || caller.role !== 'manager') {
        throw new SwarmError('PERMISSION_DENIED', 'only managers report sessions')
      }
      if (term === undefined) throw notLeader()
      await term.handleReports(caller.nodeId, incoming, send, signal)
    },
    loop: {
      name: 'sessions',
      run: async (signal) => {
        const own = new LeaderTerm(deps, signal)
        term = own
        try {
          await own.run()
        } finally {
          if (term === own) term = undefined
        }
      },
    },
  }
}

/** The knowledge of one term. */
class LeaderTerm {
  readonly #deps: LeaderSessionsDeps
  readonly #signal: AbortSignal
  readonly #meter: StallMeter
  readonly #table: SessionTable
  readonly #statuses: StatusWriter
  readonly #dirtyNodes = new Set<NodeId>()
  #wakeWriter: () => void = () => {}

  constructor(deps: LeaderSessionsDeps, leading: AbortSignal) {
    const { store, clock, random } = deps
    const { signal } = childController(leading).controller
    this.#deps = deps
    this.#signal = signal
    this.#meter = new StallMeter(clock)
    this.#meter.start(signal)
    this.#statuses = new StatusWriter({ store, clock, random, signal })
    this.#table = store.view((tx) => {
      let heartbeatMs = 500
      for (const cluster of tx.all('cluster')) heartbeatMs = cluster.spec.heartbeatMs
      const expected = [...tx.all('nodes')].filter(
        ({ state }) => state === 'ready' || state === 'disconnected',
      )
      return new SessionTable(expected, this.#meter.nowMs(), heartbeatMs)
    })
  }

  run(): Promise<void> {
    return runAll(this.#signal, [
      { name: 'liveness', run: (signal) => this.#judge(signal) },
      { name: 'node states', run: (signal) => this.#writeNodes(signal) },
    ])
  }

  async handleReports(
    managerId: NodeId,
    incoming: AsyncIterable<SessionReport>,
    send: SendToManager,
    signal: AbortSignal,
  ): Promise<void> {
    const { controller, release } = childController(signal)
    const link = new ManagerLink(this.#deps.clock, send)
    const ended = new Promise<never>((_, reject) => {
      const end = (): void => reject(notLeader())
      if (this.#signal.aborted) end()
      this.#signal.addEventListener('abort', end, { once: true })
      controller.signal.addEventListener('abort', () => {
        this.#signal.removeEventListener('abort', end)
        reject(new SwarmError('CANCELLED', 'the reporting manager went away'))
      })
    })
    ended.catch(() => {})
    try {
      await Promise.race([this.#read(managerId, incoming, link), ended])
    } finally {
      controller.abort()
      link.close()
      release()
    }
  }

  async #read(
    managerId: NodeId,
    incoming: AsyncIterable<SessionReport>,
    link: ManagerLink,
  ): Promise<void> {
    for await (const report of incoming) {
      this.#table.noteManager(managerId, report.heartbeatMs, this.#meter.nowMs())
      for (const beat of report.sessions) this.#noteBeat(managerId, beat, link)
      for (const batch of report.statuses) this.#noteStatuses(batch, link)
      link.answer(report.sequence)
    }
  }

  #noteBeat(managerId: NodeId, beat: SessionBeat, link: ManagerLink): void {
    const id = nodeId(beat.nodeId)
    const description = this.#description(beat)
    const now = { monotonicMs: this.#deps.clock.monotonicMs(), judgedMs: this.#meter.nowMs() }
    const exists = (one: NodeId): boolean =>
      this.#deps.store.view((tx) => tx.get('nodes', one)) !== undefined
    const outcome = this.#table.noteBeat(
      managerId,
      { ...beat, nodeId: id, description },
      now,
      exists,
    )
    if (outcome === 'write') this.#markNode(id)
    if (outcome === 'close' || outcome === 'unknown-node') {
      this.#deps.log.warn({ nodeId: id, sessionId: beat.sessionId, outcome }, 'session refused')
      link.closeSession(beat.sessionId)
    }
  }

  /** Managers check what agents say; one of another version may still say what this one does not understand. */
  #description(beat: SessionBeat): NodeDescription | undefined {
    try {
      return beat.description && nodeDescriptionFromProto(beat.description)
    } catch (err) {
      this.#deps.log.error({ nodeId: beat.nodeId, err }, 'node description not understood')
      return undefined
    }
  }

  #noteStatuses(batch: NodeStatusBatch, link: ManagerLink): void {
    this.#writeStatuses(batch).then(
      (isWritten) => {
        const { nodeId, sessionId, sequence } = batch
        if (isWritten) link.acknowledge({ nodeId, sessionId, sequence })
      },
      (err: unknown) => {
        if (hasCode(err, 'NOT_LEADER')) return
        this.#deps.log.error({ nodeId: batch.nodeId, err }, 'task statuses not written')
      },
    )
  }

  /** False when they are of an older session: the node says it all again over its present one. */
  async #writeStatuses(batch: NodeStatusBatch): Promise<boolean> {
    const id = nodeId(batch.nodeId)
    if (this.#table.get(id)?.sessionId !== batch.sessionId) return false
    const statuses = StatusBatch.decode(batch.statuses).statuses.map(taskStatusFromProto)
    await this.#statuses.write(id, statuses)
    return true
  }

  #markNode(id: NodeId): void {
    this.#dirtyNodes.add(id)
    this.#wakeWriter()
  }

  async #judge(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps
    while (!signal.aborted) {
      let { down, nextAtMs } = this.#table.judge(this.#meter.nowMs())
      if (down.length > 0) {
        // What has arrived but was not read yet is read before the verdict.
        await wait(clock, 1, signal)
        await wait(clock, 1, signal)
        ;({ down, nextAtMs } = this.#table.judge(this.#meter.nowMs()))
      }
      for (const id of down) {
        log.warn({ nodeId: id }, 'node down')
        this.#table.markDown(id)
        this.#markNode(id)
      }
      const inMs = Math.max(1, nextAtMs - this.#meter.nowMs())
      await wait(clock, Math.min(judgeMs, inMs), signal)
    }
  }

  #newStates(tx: ReadTx, ids: readonly NodeId[]): readonly Node[] {
    return ids.flatMap((id) => {
      const node = tx.get('nodes', id)
      const entry = this.#table.get(id)
      if (node === undefined) this.#table.forget(id)
      return node === undefined || entry === undefined ? [] : (nodeAs(node, entry, tx.nowMs) ?? [])
    })
  }

  async #writeNodes(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#wakeWriter()
    signal.addEventListener('abort', stop, { once: true })
    while (!signal.aborted) {
      const ids = [...this.#dirtyNodes].slice(0, nodesPerWriteMax)
      if (ids.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wakeWriter = resolve
        })
        continue
      }
      for (const id of ids) this.#dirtyNodes.delete(id)
      try {
        // After a change of leader most nodes are as the store has them: no entry then.
        if (this.#deps.store.view((tx) => this.#newStates(tx, ids)).length === 0) continue
        await this.#deps.store.update((tx) => {
          for (const node of this.#newStates(tx, ids)) tx.update('nodes', node)
        })
      } catch (err) {
        if (signal.aborted || hasCode(err, 'NOT_LEADER')) return
        this.#deps.log.warn({ err }, 'node states not written: trying again')
        for (const id of ids) this.#dirtyNodes.add(id)
        await wait(this.#deps.clock, retryMs, signal)
      }
    }
  }
}

function describes(node: Node, next: Node): boolean {
  return JSON.stringify(node.description) === JSON.stringify(next.description)
}

/** The node as the table knows it; undefined when it is that already. */
export function nodeAs(node: Node, entry: TableEntry, nowMs: number): Node | undefined {
  const next = nextNode(node, entry, nowMs)
  const isSame =
    next.state === node.state &&
    next.sessionId === node.sessionId &&
    next.sessionManagerId === node.sessionManagerId &&
    next.address === node.address &&
    describes(node, next)
  return isSame ? undefined : next
}

function nextNode(node: Node, entry: TableEntry, nowMs: number): Node {
  const { isDown, leaving } = entry
  if (isDown && leaving?.returns === false) {
    return goneNode(node, { state: 'down', message: 'the node has left', nowMs })
  }
  if (isDown) return goneNode(node, { state: 'down', message: 'heartbeat failure', nowMs })
  if (leaving === undefined) return readyNode(node, entry, nowMs)
  const message = 'its daemon was stopped and is expected back'
  return goneNode(node, { state: 'disconnected', message, nowMs })
}

function goneNode(
  node: Node,
  facts: {
    readonly state: 'down' | 'disconnected'
    readonly message: string
    readonly nowMs: number
  },
): Node {
  return {
    ...node,
    state: facts.state,
    stateAtMs: node.state === facts.state ? node.stateAtMs : facts.nowMs,
    stateMessage: facts.message,
    sessionId: undefined,
    sessionManagerId: undefined,
  }
}

function readyNode(node: Node, entry: TableEntry, nowMs: number): Node {
  return {
    ...node,
    state: 'ready',
    stateAtMs: node.state === 'ready' ? node.stateAtMs : nowMs,
    stateMessage: '',
    sessionId: entry.sessionId,
    sessionManagerId: entry.managerId,
    description: entry.description ?? node.description,
    address: entry.address === '' ? node.address : entry.address,
  }
}

/** Answers to one manager, gathered for a moment. */
class ManagerLink {
  readonly #clock: Clock
  readonly #send: SendToManager
  #sequence = 0
  #acks: NodeStatusAck[] = []
  #closes: string[] = []
  #isScheduled = false
  #isClosed = false

  constructor(clock: Clock, send: SendToManager) {
    this.#clock = clock
    this.#send = send
  }

  answer(sequence: number): void {
    this.#sequence = sequence
    this.#schedule()
  }

  acknowledge(ack: NodeStatusAck): void {
    this.#acks.push(ack)
    this.#schedule()
  }

  closeSession(id: string): void {
    this.#closes.push(id)
    this.#schedule()
  }

  close(): void {
    this.#isClosed = true
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.setTimer(0, () => {
      this.#isScheduled = false
      if (this.#isClosed) return
      const ack = { sequence: this.#sequence, acks: this.#acks, closeSessionIds: this.#closes }
      this.#acks = []
      this.#closes = []
      // A broken stream is noticed where it is read.
      this.#send(ack).catch(() => {})
    })
  }
}

function notLeader(): SwarmError {
  return new SwarmError('NOT_LEADER', 'this manager does not lead: report to the leader')
}
