// The way into the scheduler: told of every committed change, it plans which waiting task goes to which node, and what
// to tell of those that no node takes. A state machine without I/O; whoever runs it commits the plans.
import {
  isActive,
  type Node,
  type NodeId,
  type SpecHash,
  type Task,
  type TaskId,
  type TaskSpecRecord,
  TaskState,
} from '../proto/objects/index.ts'
import { Candidates, type GroupKey } from './candidates.ts'
import { ClusterIndex, type PlacementSource } from './cluster-index.ts'
import type { Demand, Strategy } from './demand.ts'
import { missingSpecSummary, summaryOf } from './explain.ts'
import { PendingTasks } from './pending.ts'
import { rankOf } from './rank.ts'

export interface SchedulingEnv {
  /** Cluster time. */
  readonly nowMs: number
  /** In [0, 1). */
  readonly random: () => number
}

export interface SchedulingPlan {
  /** New versions of tasks; `version` is the one the decision saw. */
  readonly updates: readonly Task[]
  readonly assigned: number
  readonly unplaced: number
  /** Cluster time at which to plan again although nothing changed. */
  readonly wakeAtMs: number | undefined
}

/** A pass stops here, so that a huge backlog does not hold up the process. */
export const passTasksMax = 10_000

/** Stuck tasks are tried again at most this often, however much the cluster changes. */
const retryEveryMs = 50
/** A changed explanation of a stuck task is written at most this often (less if that were over 1,000 a second). */
const explainEveryMs = 5_000

interface Group extends GroupKey {
  readonly tasks: Task[]
}

interface Batch {
  readonly demand: Demand
  readonly groups: Map<string, Group>
}

/** What one pass collects. */
interface Pass {
  readonly env: SchedulingEnv
  readonly updates: Task[]
  assigned: number
  unplaced: number
  wakeAtMs: number
}

export class Scheduler {
  readonly index: ClusterIndex
  readonly #pending = new PendingTasks()
  /** Asked to stop before they got a node: nobody else will end them. */
  readonly #abandoned = new Map<TaskId, Task>()
  #roomMade = false
  /** Not before this. */
  #retryAtMs = 0
  /** When an outdated explanation may be written. */
  #explainAtMs = Infinity

  constructor(index: ClusterIndex) {
    this.index = index
  }

  /** A scheduler that knows the whole cluster. O(nodes + tasks). */
  static from(source: PlacementSource): Scheduler {
    const scheduler = new Scheduler(new ClusterIndex(source.strategy))
    for (const record of source.taskSpecs) scheduler.putSpec(record)
    for (const node of source.nodes) scheduler.putNode(node)
    for (const task of source.tasks) scheduler.changeTask(undefined, task)
    return scheduler
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

  /** Takes over one committed change of a task. */
  changeTask(before: Task | undefined, after: Task | undefined): void {
    if (this.index.changeTask(before, after)) this.#roomMade = true
    const id = (after ?? before)?.id
    if (id === undefined) return
    if (after !== undefined && isWaiting(after)) this.#pending.put(after)
    else this.#pending.drop(id)
    if (after !== undefined && isAbandoned(after)) this.#abandoned.set(id, after)
    else if (this.#abandoned.size > 0) this.#abandoned.delete(id)
  }

  /** A planned update that was refused, because the task or its node has changed meanwhile. */
  refused(update: Task): void {
    this.index.release(update.id)
    this.#pending.giveBack(update.id, update.version)
  }

  /** Plans for at most tasksMax waiting tasks and counts them as placed until told otherwise. */
  plan(env: SchedulingEnv, tasksMax = passTasksMax): SchedulingPlan {
    const pass: Pass = { env, updates: [], assigned: 0, unplaced: 0, wakeAtMs: Infinity }
    this.index.failures.prune(env.nowMs)
    for (const task of this.#abandoned.values()) pass.updates.push(shutDown(task, env.nowMs))
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
    for (const task of this.#pending.take(tasksMax)) {
      const demand = this.index.demandOf(task.specHash)
      if (demand === undefined) {
        this.#leave(pass, task, missingSpecSummary(task))
        continue
      }
      let batch = batches.get(demand.classKey)
      if (batch === undefined) {
        batch = { demand, groups: new Map() }
        batches.set(demand.classKey, batch)
      }
      const key = `${task.serviceId}/${task.specVersion}`
      const group = batch.groups.get(key)
      if (group !== undefined) group.tasks.push(task)
      else {
        const { serviceId: service, specVersion } = task
        batch.groups.set(key, { service, specVersion, tasks: [task] })
      }
    }
    return batches.values()
  }

  #placeBatch(pass: Pass, batch: Batch): void {
    const rank = rankOf(batch.demand.strategy ?? this.index.strategy, pass.env.random)
    const candidates = new Candidates(this.index, batch.demand, rank)
    for (const group of batch.groups.values()) {
      candidates.open(group, pass.env.nowMs)
      this.#placeGroup(pass, group, candidates)
      candidates.close()
    }
  }

  #placeGroup(pass: Pass, group: Group, candidates: Candidates): void {
    let summary: string | undefined
    for (const task of group.tasks) {
      const entry = candidates.best()
      if (entry === undefined) {
        summary ??= summaryOf(candidates.refusals())
        this.#leave(pass, task, summary)
        continue
      }
      const placed = assign(task, entry.node.id, pass.env.nowMs)
      this.index.reserve(placed)
      candidates.placed(entry)
      pass.updates.push(placed)
      pass.assigned += 1
    }
  }

  #leave(pass: Pass, task: Task, summary: string): void {
    this.#pending.stick(task.id)
    pass.unplaced += 1
    if (task.err === summary) return
    const { nowMs } = pass.env
    const everyMs = Math.max(explainEveryMs, this.#pending.stuckCount)
    const dueMs = task.err === '' ? nowMs : task.updatedAtMs + everyMs
    if (nowMs >= dueMs) pass.updates.push({ ...task, err: summary })
    else this.#explainAtMs = Math.min(this.#explainAtMs, dueMs)
  }
}

/** Wants a node. */
function isWaiting(task: Task): boolean {
  return task.state === TaskState.PENDING && task.nodeId === undefined && isActive(task)
}

function isAbandoned(task: Task): boolean {
  return task.state < TaskState.ASSIGNED && task.desiredState === TaskState.SHUTDOWN
}

function assign(task: Task, node: NodeId, nowMs: number): Task {
  return {
    ...task,
    nodeId: node,
    state: TaskState.ASSIGNED,
    stateAtMs: nowMs,
    appliedAtMs: nowMs,
    message: 'scheduler assigned task to node',
    err: '',
  }
}

function shutDown(task: Task, nowMs: number): Task {
  return {
    ...task,
    state: TaskState.SHUTDOWN,
    stateAtMs: nowMs,
    appliedAtMs: nowMs,
    message: 'shut down before a node was assigned',
    err: '',
  }
}
