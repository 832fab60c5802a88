// What one session is told: configuration, a full set, then increments, read from the store at the moment of sending,
// so that a slow agent makes nothing pile up. Not for who wakes it (assignment-hub.ts).
import { assignmentUpdateToProto } from '../../proto/codec/assignment.ts'
import { nodeRoleToProto } from '../../proto/codec/node.ts'
import { assignedPayloadToProto } from '../../proto/codec/payload.ts'
import type { ManagerMessage, SessionConfig } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'
import {
  type AssignedPayload,
  type AssignedTask,
  type AssignmentUpdate,
  isDraining,
  type NodeId,
  type SpecHash,
  type Stamp,
  type Task,
  type TaskId,
  type TaskSpecRecord,
  TaskState,
} from '../../proto/objects/index.ts'
import { loginFor } from '../controlapi/registry-logins.ts'
import type { ReadTx, Store } from '../store/store.ts'
import { type DuePayloads, NodePayloads } from './node-payloads.ts'

/** While the agent is busy with changes, the next ones wait this long for company. */
const gatherMs = 20
/** So many waiting changes go at once. */
const changesMax = 100

export interface NodeFeedDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Logger
  readonly nodeId: NodeId
  readonly send: (message: ManagerMessage) => Promise<void>
  /** What all agents of this manager are told alike. */
  readonly common: () => Omit<SessionConfig, 'role'>
  /** Raft index up to which marks have been given. */
  readonly markedIndex: () => number
}

interface Assigned {
  readonly tasks: readonly AssignedTask[]
  readonly specs: readonly TaskSpecRecord[]
}

/** An update, and secrets and configs that have to be there before it. */
interface Due {
  readonly update: AssignmentUpdate
  readonly fresh: readonly AssignedPayload[]
}

export class NodeFeed {
  readonly nodeId: NodeId
  readonly #deps: NodeFeedDeps
  readonly #dirty = new Set<TaskId>()
  /** Tasks the agent knows of. */
  #known = new Set<TaskId>()
  readonly #payloads = new NodePayloads()
  #sent: Stamp | undefined
  #isWholeDue = false
  #isConfigDue = false
  #configText = ''
  #sentAtMs = Number.NEGATIVE_INFINITY
  #wake: () => void = () => {}

  constructor(deps: NodeFeedDeps) {
    this.#deps = deps
    this.nodeId = deps.nodeId
  }

  /** The task changed at that index. */
  markTask(id: TaskId, index: number): void {
    if (this.#sent === undefined || index <= this.#sent.index) return
    this.#dirty.add(id)
    this.#wake()
  }

  /** It has its image now: the node need not have the credentials any longer. */
  markPulled(id: TaskId, index: number): void {
    if (this.#payloads.isPulling(id)) this.markTask(id, index)
  }

  /** A full set is due: at first, and after changes were missed. */
  markAll(): void {
    this.#isWholeDue = true
    this.#wake()
  }

  markConfig(): void {
    this.#isConfigDue = true
    this.#wake()
  }

  /** What the agent is to know of the cluster now; the first config of a session is sent by the caller. */
  config(): SessionConfig {
    const wish = this.#deps.store.view((tx) => tx.get('nodes', this.nodeId)?.spec.role)
    const config = { ...this.#deps.common(), role: nodeRoleToProto(wish ?? 'worker') }
    this.#configText = JSON.stringify(config)
    return config
  }

  /** Sends what is due until the signal aborts. Errors: those of `send`. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#wake()
    signal.addEventListener('abort', stop, { once: true })
    try {
      while (!signal.aborted) {
        if (this.#isConfigDue) await this.#sendConfig()
        else if (this.#isWholeDue) await this.#sendSet()
        else if (this.#dirty.size > 0) await this.#sendChanges(signal)
        else await this.#marked()
      }
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  #marked(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  async #sendConfig(): Promise<void> {
    this.#isConfigDue = false
    const before = this.#configText
    const config = this.config()
    if (this.#configText === before) return
    await this.#deps.send({ kind: { $case: 'config', value: config } })
  }

  async #sendSet(): Promise<void> {
    this.#isWholeDue = false
    this.#dirty.clear()
    const { store, log } = this.#deps
    this.#payloads.clear()
    const { update, fresh } = store.view((tx): Due => {
      const tasks = [...tx.find('tasks', 'byNode', this.nodeId)].filter(isAssigned)
      const stamp = { epoch: epochOf(tx), index: store.appliedIndex }
      const assigned = withSpecs(tx, tasks, log)
      const { ids: payloadIds, fresh } = this.#payloadsOf(tx, assigned)
      return { update: { kind: 'set', stamp, ...assigned, payloadIds }, fresh }
    })
    if (update.kind !== 'set') return
    this.#known = new Set(update.tasks.map((task) => task.id))
    await this.#sendUpdate(update, fresh)
  }

  async #sendChanges(signal: AbortSignal): Promise<void> {
    const { clock, store, log, markedIndex } = this.#deps
    const dueMs = this.#sentAtMs + gatherMs - clock.monotonicMs()
    if (dueMs > 0 && this.#dirty.size < changesMax) await wait(clock, dueMs, signal)
    if (this.#isWholeDue || this.#sent === undefined) return
    const previous = this.#sent
    const ids = [...this.#dirty].slice(0, changesMax)
    for (const id of ids) this.#dirty.delete(id)
    const { update, fresh } = store.view((tx): Due => {
      const rows = ids.flatMap((id) => tx.get('tasks', id) ?? [])
      const tasks = rows.filter((task) => task.nodeId === this.nodeId && isAssigned(task))
      const assigned = new Set(tasks.map((task) => task.id))
      const remove = ids.filter((id) => !assigned.has(id) && this.#known.has(id))
      // What is read here may be newer than the stamp: then it is sent once more, which does no harm.
      const isLast = this.#dirty.size === 0
      const index = isLast ? Math.max(markedIndex(), previous.index) : previous.index
      const stamp = { epoch: previous.epoch, index }
      const now = withSpecs(tx, tasks, log)
      for (const id of remove) this.#payloads.forget(id)
      const { ids: payloadIds, fresh } = this.#payloadsOf(tx, now)
      const specs = this.#unknown(now.specs, now.tasks)
      const changes = { previous, stamp, update: now.tasks, remove, specs, payloadIds }
      return { update: { kind: 'changes', ...changes }, fresh }
    })
    if (update.kind !== 'changes') return
    for (const task of update.update) this.#known.add(task.id)
    for (const id of update.remove) this.#known.delete(id)
    if (update.update.length + update.remove.length > 0) await this.#sendUpdate(update, fresh)
  }

  /** The agent keeps a spec as long as a task uses it: what a new task needs is sent along. */
  #unknown(
    specs: readonly TaskSpecRecord[],
    tasks: readonly AssignedTask[],
  ): readonly TaskSpecRecord[] {
    const fresh = new Set<SpecHash>()
    for (const task of tasks) if (!this.#known.has(task.id)) fresh.add(task.specHash)
    return specs.filter((record) => fresh.has(record.hash))
  }

  /** What the node is to have of secrets and configs once it has these tasks. */
  #payloadsOf(tx: ReadTx, { tasks, specs }: Assigned): DuePayloads {
    const byHash = new Map(specs.map(({ hash, spec }) => [hash, spec]))
    for (const task of tasks) this.#payloads.note(task, byHash.get(task.specHash))
    return this.#payloads.due(tx)
  }

  /** Secrets and configs go before what needs them, each in a message of its own: together they may be too much for one. */
  async #sendUpdate(update: AssignmentUpdate, fresh: readonly AssignedPayload[]): Promise<void> {
    this.#sent = update.stamp
    for (const payload of fresh) {
      await this.#deps.send({ kind: { $case: 'payload', value: assignedPayloadToProto(payload) } })
    }
    await this.#deps.send({ kind: assignmentUpdateToProto(update) })
    this.#sentAtMs = this.#deps.clock.monotonicMs()
  }
}

/** Whether the node of the task has anything to do with it. */
export function isAssigned(task: Task): boolean {
  return task.state >= TaskState.ASSIGNED && task.state !== TaskState.ORPHANED
}

function epochOf(tx: ReadTx): number {
  for (const cluster of tx.all('cluster')) return cluster.epoch
  return 0
}

function withSpecs(tx: ReadTx, tasks: readonly Task[], log: Logger): Assigned {
  const specs = new Map<SpecHash, TaskSpecRecord>()
  const assigned: AssignedTask[] = []
  for (const task of tasks) {
    const record = specs.get(task.specHash) ?? tx.get('taskSpecs', task.specHash)
    if (record === undefined) {
      log.error({ taskId: task.id, specHash: task.specHash }, 'task without its spec')
      continue
    }
    specs.set(task.specHash, record)
    assigned.push(assignedTask(tx, task, record))
  }
  return { tasks: assigned, specs: [...specs.values()] }
}

function assignedTask(tx: ReadTx, task: Task, { spec }: TaskSpecRecord): AssignedTask {
  const service = tx.get('services', task.serviceId)
  const isPulled = task.state > TaskState.PREPARING
  const login = isPulled ? undefined : loginFor(tx, task.serviceId, spec.container.image)
  return {
    id: task.id,
    serviceId: task.serviceId,
    // Of a removed service only the end of its tasks is left to do; names no longer matter.
    serviceName: service?.spec.name ?? '',
    serviceLabels: service?.spec.labels ?? {},
    slot: task.slot,
    isForNode: task.forNodeId !== undefined,
    specHash: task.specHash,
    // It serves on until no node leads connections to it.
    desiredState: isDraining(task) ? TaskState.RUNNING : task.desiredState,
    state: task.state,
    attachments: task.attachments,
    generic: task.generic,
    isDrained: task.isDrained,
    ...(login && { registryLoginId: login.id }),
  }
}
