// What the leader does with the sessions that managers report: knows which counts, judges who is down, writes nodes
// and statuses. In memory, anew each term. Not for the sessions themselves (dispatcher.ts).

import { taskStatusFromProto } from '../../proto/codec/assignment.ts'
import { nodeDescriptionFromProto } from '../../proto/codec/node.ts'
import { hasCode, SwarmError } from '../../proto/errors.ts'
import { type OverlayAck, StatusBatch } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type {
  NodeStatusBatch,
  SessionBeat,
  SessionReport,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController, type NamedLoop, runAll } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import {
  boundConditions,
  connectionsLevel,
  type Node,
  type NodeDescription,
  type NodeId,
  networkId,
  networksLevel,
  nodeId,
  optionsLevel,
  runtimesLevel,
} from '../../proto/objects/index.ts'
import type { AckTable } from '../overlay/ack-table.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Store } from '../store/store.ts'
import { ManagerLink, type SendToManager } from './manager-link.ts'
import { nodeAs } from './node-state.ts'
import { SessionTable } from './session-table.ts'
import { StallMeter } from './stall-meter.ts'
import { StatusWriter } from './status-writer.ts'

/** At most this long between two looks at who is down. */
const judgeMs = 100
/** How often what is known of removed nodes is let go. */
const retainEveryMs = 60_000
const nodesPerWriteMax = 50
const retryMs = 100

export interface LeaderSessionsDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Told how far nodes have followed the overlay. */
  readonly acks?: AckTable
  /** In the first term nodes may take so much longer to come back; default 0. */
  readonly firstTermGraceMs?: number
}

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
  let graceMs = deps.firstTermGraceMs ?? 0
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
        const own = new LeaderTerm(deps, signal, graceMs)
        graceMs = 0
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

  constructor(deps: LeaderSessionsDeps, leading: AbortSignal, graceMs: number) {
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
      return new SessionTable(expected, this.#meter.nowMs() + graceMs, heartbeatMs)
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
    if (outcome !== 'close' && outcome !== 'unknown-node') {
      if (beat.overlay !== undefined) this.#noteOverlay(id, beat.overlay)
    } else {
      this.#deps.log.warn({ nodeId: id, sessionId: beat.sessionId, outcome }, 'session refused')
      link.closeSession(beat.sessionId)
    }
  }

  #noteOverlay(id: NodeId, { epoch, networks }: OverlayAck): void {
    const reached = networks.map((one) => [networkId(one.networkId), one.raftIndex] as const)
    this.#deps.acks?.note(id, epoch, new Map(reached))
  }

  /** Managers check what agents say; one of another version may still say what this one does not understand. */
  #description(beat: SessionBeat): NodeDescription | undefined {
    try {
      if (beat.description === undefined) return undefined
      const described = nodeDescriptionFromProto(beat.description)
      const { conditions, localSubnet, slotVolumes, runtimes, resources, ...rest } = described
      const { generic: _, ...plain } = resources
      const level = this.#level()
      // Managers of an older program would not keep them.
      return {
        ...rest,
        resources: level >= optionsLevel ? resources : plain,
        ...(slotVolumes !== undefined && level >= optionsLevel && { slotVolumes }),
        ...(runtimes !== undefined && level >= runtimesLevel && { runtimes }),
        ...(conditions !== undefined &&
          level >= networksLevel && { conditions: boundConditions(conditions) }),
        ...(localSubnet !== undefined && level >= connectionsLevel && { localSubnet }),
      }
    } catch (err) {
      this.#deps.log.error({ nodeId: beat.nodeId, err }, 'node description not understood')
      return undefined
    }
  }

  #level(): number {
    return this.#deps.store.view((tx) => [...tx.all('cluster')][0]?.featureLevel ?? 0)
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
    // Images may have health checks before all managers know what that is.
    const hasHealth = this.#level() >= optionsLevel
    await this.#statuses.write(
      id,
      hasHealth ? statuses : statuses.map((one) => ({ ...one, health: undefined })),
    )
    return true
  }

  #markNode(id: NodeId): void {
    this.#dirtyNodes.add(id)
    this.#wakeWriter()
  }

  async #judge(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps
    let retainAtMs = this.#meter.nowMs() + retainEveryMs
    while (!signal.aborted) {
      if (this.#meter.nowMs() >= retainAtMs) {
        retainAtMs = this.#meter.nowMs() + retainEveryMs
        this.#retain()
      }
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

  #retain(): void {
    this.#deps.store.view((tx) => this.#table.retain((id) => tx.get('nodes', id) !== undefined))
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

function notLeader(): SwarmError {
  return new SwarmError('NOT_LEADER', 'this manager does not lead: report to the leader')
}
