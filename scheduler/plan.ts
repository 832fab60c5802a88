// The way into the scheduler: told of every committed change, it plans which waiting task goes to which node, and what
// to tell of those that no node takes. A state machine without I/O; whoever runs it commits the plans.
import {
  holdsResources,
  isActive,
  type Node,
  type NodeId,
  type ServiceId,
  type SpecHash,
  type Task,
  type TaskId,
  type TaskSpecRecord,
  TaskState,
} from '../proto/objects/index.ts'
import { CandidatePool } from './candidate-pool.ts'
import type { Candidates, Refusal } from './candidates.ts'
import { ClusterIndex, type NodeEntry, type PlacementSource } from './cluster-index.ts'
import type { Demand, Strategy } from './demand.ts'
import { missingSpecSummary, summaryOf } from './explain.ts'
import { claimGeneric } from './generic.ts'
import { PendingTasks, type Waiting } from './pending.ts'
import { refusingFilter } from './refusing-filter.ts'
import { volumeHomeOf, whyNotHome } from './volume-home.ts'

export interface SchedulingEnv {
  /** Cluster time. */
  readonly nowMs: number
  /** In [0, 1). */
  readonly random: () => number
}

/** A new version of a task; `task` is the one the decision saw. */
export type PlannedUpdate =
  | {
      readonly kind: 'assign'
      readonly task: Task
      readonly nodeId: NodeId
      readonly generic: Task['generic']
    }
  | { readonly kind: 'explain'; readonly task: Task; readonly err: string }
  /** Asked to stop before it got a node. */
  | { readonly kind: 'shut-down'; readonly task: Task }

export interface SchedulingPlan {
  readonly updates: readonly PlannedUpdate[]
  readonly assigned: number
  readonly unplaced: number
  /** Cluster time at which to plan again although nothing changed. */
  readonly wakeAtMs: number | undefined
}

/** A pass stops here, so that a huge backlog does not hold up the process; the more nodes, the more a pass costs. */
const passTasksMin = 2_000
const passTasksMax = 10_000

/** Tasks learned in one step. */
const learnTasks = 20_000

/** Stuck tasks are tried again at most this often, however much the cluster changes. */
const retryEveryMs = 50
/** A changed explanation of a stuck task is written at most this often (less if that were over 1,000 a second). */
const explainEveryMs = 5_000

/** Waiting tasks of one version of a service, as they came one after another. */
interface Group {
  readonly service: ServiceId
  readonly specVersion: number
  readonly waiting: Waiting[]
}

/** Waiting tasks that every node answers alike, apart from what it has of their service. */
interface Batch {
  readonly demand: Demand
  readonly groups: Group[]
}

/** What one pass collects. */
interface Pass {
  readonly env: SchedulingEnv
  readonly updates: PlannedUpdate[]
  assigned: number
  unplaced: number
  wakeAtMs: number
}

export class Scheduler {
  readonly index: ClusterIndex
  readonly #candidates: CandidatePool
  readonly #pending = new PendingTasks()
  /** Asked to stop before they got a node: nobody else will end them. */
  readonly #abandoned = new Map<TaskId, Task>()
  #roomMade = false
  #told: { readonly refusals: readonly Refusal[]; readonly summary: string } | undefined
  /** Not before this. */
  #retryAtMs = 0
  /** When an outdated explanation may be written. */
  #explainAtMs = Infinity

  constructor(index: ClusterIndex) {
    this.index = index
    this.#candidates = new CandidatePool(index)
  }

  /** A scheduler that knows the whole cluster. O(nodes + tasks). */
  static from(source: PlacementSource): Scheduler {
    const scheduler = new Scheduler(new ClusterIndex(source.strategy))
    for (const _ of scheduler.learn(source));
    return scheduler
  }

  /** Makes an empty scheduler know the whole cluster, step by step: others may run after each. */
  *learn(source: PlacementSource): Iterable<void> {
    for (const record of source.taskSpecs) this.putSpec(record)
    for (const node of source.nodes) this.putNode(node)
    let done = 0
    for (const task of source.tasks) {
      this.changeTask(undefined, task)
      done += 1
      if (done % learnTasks === 0) yield
    }
  }

  setStrategy(strategy: Strategy): void {
    this.index.strategy = strategy
  }

  putNode(node: Node): void {
    this.index.putNode(node)
    this.#roomMade = true
  }

  dropNode(id: NodeId): void {
    this.index.dropNode(id)
    this.#roomMade = true
  }

  putSpec(record: TaskSpecRecord): void {
    this.index.putSpec(record)
    this.#roomMade = true
  }

  dropSpec(hash: SpecHash): void {
    this.index.dropSpec(hash)
  }

  /** Takes over one committed change of a task; `before` is undefined when it was created. */
  changeTask(before: Task | undefined, after: Task | undefined): void {
    const id = (after ?? before)?.id
    if (id === undefined) return
    const known = before === undefined ? undefined : this.#pending.get(id)
    const isCounted = known !== undefined && this.#settle(known, after)
    if (!isCounted && this.index.changeTask(before, after)) this.#roomMade = true
    if (after === undefined || !isWaiting(after)) {
      if (known !== undefined) this.#pending.drop(known)
    } else if (known === undefined) this.#pending.add(after)
    else {
      known.task = after
      if (known.status === 'planned' || known.refused) this.#pending.renew(known)
    }
    if (after !== undefined && isAbandoned(after)) this.#abandoned.set(id, after)
    else if (this.#abandoned.size > 0) this.#abandoned.delete(id)
  }

  /** Ends a task's placement, because the task changed. Returns whether it is counted as it is now. */
  #settle(waiting: Waiting, after: Task | undefined): boolean {
    const { node, task, generic } = waiting
    if (node === undefined) return false
    waiting.node = undefined
    const isAsPlanned = after?.nodeId === node.node.id && holdsResources(after) && isActive(after)
    if (isAsPlanned) return true
    this.index.unplace(task, node, generic)
    this.#roomMade = true
    return false
  }

  /** A planned update that was refused, because the task or its node has changed meanwhile. */
  refused(update: PlannedUpdate): void {
    const known = this.#pending.get(update.task.id)
    if (known?.task !== update.task || known.node === undefined) return
    this.index.unplace(known.task, known.node, known.generic)
    known.node = undefined
    // It is tried again when it, or something else that matters, changes.
    this.#pending.stick(known, true)
  }

  /** Plans for at most tasksMax waiting tasks and counts them as placed until told otherwise. */
  plan(env: SchedulingEnv, tasksMax = passTasks(this.index.nodeCount)): SchedulingPlan {
    const pass: Pass = { env, updates: [], assigned: 0, unplaced: 0, wakeAtMs: Infinity }
    this.index.failures.prune(env.nowMs)
    for (const task of this.#abandoned.values()) pass.updates.push({ kind: 'shut-down', task })
    this.#abandoned.clear()
    this.#retry(pass)
    for (const batch of this.#batches(pass, tasksMax)) this.#placeBatch(pass, batch)
    const { updates, assigned, unplaced } = pass
    const more = this.#pending.freshCount > 0
    const wakeAtMs = more ? env.nowMs : Math.min(pass.wakeAtMs, this.#explainAtMs)
    return { updates, assigned, unplaced, wakeAtMs: wakeAtMs === Infinity ? undefined : wakeAtMs }
  }

  #retry(pass: Pass): void {
    const { nowMs } = pass.env
    const due = this.#roomMade || nowMs >= this.#explainAtMs
    if (this.#pending.stuckCount === 0 || !due) {
      this.#roomMade = false
      return
    }
    if (nowMs < this.#retryAtMs) {
      pass.wakeAtMs = Math.min(pass.wakeAtMs, this.#retryAtMs)
      return
    }
    // A tenth of a core at most, at about a microsecond a task.
    this.#retryAtMs = nowMs + Math.max(retryEveryMs, this.#pending.stuckCount / 100)
    this.#roomMade = false
    this.#explainAtMs = Infinity
    this.#pending.retryStuck()
  }

  /** The tasks of this pass by class of demand, then by service version; each in order of arrival. */
  #batches(pass: Pass, tasksMax: number): Iterable<Batch> {
    const batches = new Map<string, Batch>()
    let batch: Batch | undefined
    for (const waiting of this.#pending.take(tasksMax)) {
      const { task } = waiting
      const demand = this.index.demandOf(task.specHash)
      if (demand === undefined) {
        this.#leave(pass, waiting, missingSpecSummary(task))
        continue
      }
      if (task.forNodeId !== undefined) {
        this.#placeOn(task.forNodeId, pass, waiting, demand)
        continue
      }
      if (this.#placeHome(pass, waiting, demand)) continue
      if (batch?.demand !== demand) {
        batch = batches.get(demand.classKey) ?? { demand, groups: [] }
        batches.set(demand.classKey, batch)
      }
      addToGroup(batch, waiting)
    }
    return batches.values()
  }

  /** A task that is for one node only. */
  #placeOn(id: NodeId, pass: Pass, waiting: Waiting, demand: Demand): void {
    const entry = this.index.entryOf(id)
    const filter = entry && refusingFilter(entry, demand, 0)
    if (entry === undefined || filter !== undefined) {
      const refusals = filter === undefined ? [] : [{ filter, nodes: 1 }]
      this.#leave(pass, waiting, summaryOf(refusals))
      return
    }
    this.#assign(pass, waiting, demand, entry)
  }

  /** A task whose slot has volumes somewhere. Returns whether it is settled. */
  #placeHome(pass: Pass, waiting: Waiting, demand: Demand): boolean {
    const home = volumeHomeOf(this.index, waiting.task)
    if (home.kind === 'anywhere') return false
    const why = whyNotHome(this.index, waiting.task, demand, home)
    if (why !== undefined) this.#leave(pass, waiting, `no suitable node (${why})`)
    else if (home.kind === 'node') this.#assign(pass, waiting, demand, home.entry)
    return true
  }

  #assign(pass: Pass, waiting: Waiting, demand: Demand, entry: NodeEntry): void {
    const { task } = waiting
    const generic = claimGeneric(entry.node.description, entry.generic, demand.generic)
    this.index.place(task, entry, generic)
    waiting.node = entry
    waiting.generic = generic
    pass.updates.push({ kind: 'assign', task, nodeId: entry.node.id, generic })
    pass.assigned += 1
  }

  #placeBatch(pass: Pass, batch: Batch): void {
    const strategy = batch.demand.strategy ?? this.index.strategy
    const candidates = this.#candidates.take(batch.demand, strategy, pass.env.random)
    for (const group of batch.groups) this.#placeGroup(pass, group, batch.demand, candidates)
    candidates.leave()
  }

  #placeGroup(pass: Pass, group: Group, demand: Demand, candidates: Candidates): void {
    candidates.open(group.service, group.specVersion, pass.env.nowMs)
    let left = group.waiting.length
    for (const waiting of group.waiting) {
      left -= 1
      const entry = candidates.best()
      if (entry === undefined) {
        this.#leave(pass, waiting, this.#summaryOf(candidates.refusals()))
        continue
      }
      this.#assign(pass, waiting, demand, entry)
      candidates.placed(entry, left > 0)
    }
    candidates.close()
  }

  /** Thousands of tasks are refused alike: their text is made once. */
  #summaryOf(refusals: readonly Refusal[]): string {
    if (this.#told?.refusals !== refusals) this.#told = { refusals, summary: summaryOf(refusals) }
    return this.#told.summary
  }

  #leave(pass: Pass, waiting: Waiting, summary: string): void {
    this.#pending.stick(waiting, false)
    pass.unplaced += 1
    const { task } = waiting
    if (task.err === summary) return
    const { nowMs } = pass.env
    const everyMs = Math.max(explainEveryMs, this.#pending.stuckCount)
    const dueMs = task.err === '' ? nowMs : task.updatedAtMs + everyMs
    if (nowMs >= dueMs) pass.updates.push({ kind: 'explain', task, err: summary })
    else this.#explainAtMs = Math.min(this.#explainAtMs, dueMs)
  }
}

function passTasks(nodes: number): number {
  return Math.min(passTasksMax, Math.max(passTasksMin, Math.round(nodes / 10)))
}

function addToGroup(batch: Batch, waiting: Waiting): void {
  const { serviceId: service, specVersion } = waiting.task
  const last = batch.groups[batch.groups.length - 1]
  if (last?.service === service && last.specVersion === specVersion) last.waiting.push(waiting)
  else batch.groups.push({ service, specVersion, waiting: [waiting] })
}

/** Wants a node. */
function isWaiting(task: Task): boolean {
  return task.state === TaskState.PENDING && task.nodeId === undefined && isActive(task)
}

function isAbandoned(task: Task): boolean {
  return task.state < TaskState.ASSIGNED && task.desiredState === TaskState.SHUTDOWN
}

/** The task as the plan wants it. */
export function updatedTask(update: PlannedUpdate, nowMs: number): Task {
  const { task } = update
  switch (update.kind) {
    case 'assign':
      return {
        ...task,
        nodeId: update.nodeId,
        generic: update.generic,
        state: TaskState.ASSIGNED,
        stateAtMs: nowMs,
        appliedAtMs: nowMs,
        message: 'scheduler assigned task to node',
        err: '',
      }
    case 'explain':
      return { ...task, err: update.err }
    case 'shut-down':
      return {
        ...task,
        state: TaskState.SHUTDOWN,
        stateAtMs: nowMs,
        appliedAtMs: nowMs,
        message: 'shut down before a node was assigned',
        err: '',
      }
  }
}
