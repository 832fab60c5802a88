// What would become of tasks if a node were drained or a service changed: the decisions themselves and the scheduler, run over a copy of
// the cluster's state with agents that do as they are told at once. Changes nothing outside.
import {
  type DecisionEnv,
  holdsResources,
  isActive,
  isTerminal,
  type Node,
  type NodeId,
  type PlannedChange,
  placeOf,
  type Service,
  type ServiceId,
  type Task,
  type TaskId,
  type TaskSpecRecord,
  TaskState,
} from '../../proto/objects/index.ts'
import type { Strategy } from '../../scheduler/demand.ts'
import { explainTask, type TaskExplanation } from '../../scheduler/explain.ts'
import { Scheduler, updatedTask } from '../../scheduler/plan.ts'
import type { Depended } from './dependencies.ts'
import { reconcileService } from './reconcile-service.ts'
import type { ServiceView } from './service-view.ts'
import { slotsOf } from './slot.ts'

/** The whole state at one moment. */
export interface ClusterPicture {
  readonly nodes: Iterable<Node>
  readonly services: Iterable<Service>
  readonly tasks: Iterable<Task>
  readonly taskSpecs: Iterable<TaskSpecRecord>
  readonly strategy: Strategy
}

export type Supposition =
  | { readonly kind: 'drain'; readonly node: Node }
  /** The service as it would be, new or changed. */
  | { readonly kind: 'service'; readonly service: Service; readonly spec: TaskSpecRecord }

/** What would become of one place of a service. */
export interface Outcome {
  readonly kind: 'placed' | 'moved' | 'replaced' | 'removed' | 'unplaceable'
  /** The task that would have the place, or had it. */
  readonly task: Task
  readonly from: NodeId | undefined
  readonly to: NodeId | undefined
  /** Of an unplaceable one. */
  readonly why: TaskExplanation | undefined
}

export interface Forecast {
  /** By service, then by place. */
  readonly outcomes: readonly Outcome[]
  /** Places of the services concerned that stay as they are. */
  readonly kept: number
  /** It did not come to rest: the outcomes are as far as it got. */
  readonly isCut: boolean
}

/** Rounds and, of the cluster's time, a day: an update with a delay takes long. */
const roundsMax = 20_000
const horizonMs = 24 * 3_600_000

/** O(tasks of the cluster) to begin with; then as much as the action itself would cost. */
export function foresee(
  picture: ClusterPicture,
  supposition: Supposition,
  env: DecisionEnv,
): Forecast {
  const world = new SupposedWorld(picture, env)
  const before = world.heads()
  world.suppose(supposition)
  const isCut = !world.run()
  return { ...world.compare(before), isCut }
}

type Heads = ReadonlyMap<string, Task>

class SupposedWorld {
  readonly #nodes = new Map<NodeId, Node>()
  readonly #services = new Map<ServiceId, Service>()
  readonly #tasks = new Map<TaskId, Task>()
  readonly #ofService = new Map<ServiceId, Set<TaskId>>()
  readonly #specs = new Map<string, TaskSpecRecord>()
  readonly #scheduler: Scheduler
  readonly #env: DecisionEnv
  /** Services that are decided about. */
  readonly #concerned = new Set<ServiceId>()
  /** Whose tasks changed in any way. */
  readonly #touched = new Set<ServiceId>()
  readonly #startMs: number
  #nowMs: number

  constructor(picture: ClusterPicture, env: DecisionEnv) {
    this.#env = env
    this.#nowMs = env.nowMs
    this.#startMs = env.nowMs
    for (const node of picture.nodes) this.#nodes.set(node.id, node)
    for (const service of picture.services) this.#services.set(service.id, service)
    for (const record of picture.taskSpecs) this.#specs.set(record.hash, record)
    for (const task of picture.tasks) this.#keep(task)
    this.#scheduler = Scheduler.from({
      nodes: this.#nodes.values(),
      tasks: this.#tasks.values(),
      taskSpecs: this.#specs.values(),
      strategy: picture.strategy,
    })
  }

  suppose(supposition: Supposition): void {
    if (supposition.kind === 'service') {
      const { service, spec } = supposition
      this.#specs.set(spec.hash, spec)
      this.#scheduler.putSpec(spec)
      this.#services.set(service.id, service)
      this.#concern(service.id)
      return
    }
    const { node } = supposition
    const drained = { ...node, spec: { ...node.spec, availability: 'drain' as const } }
    this.#nodes.set(node.id, drained)
    this.#scheduler.putNode(drained)
    for (const task of this.#tasks.values()) {
      if (task.nodeId === node.id) this.#concern(task.serviceId)
    }
    for (const { id, spec } of this.#services.values()) {
      if (spec.mode.kind.startsWith('global')) this.#concern(id)
    }
  }

  /** Until nothing moves any more. False: it did not come to rest. */
  run(): boolean {
    for (let round = 0; round < roundsMax; round++) {
      const decided = this.#decide()
      const scheduled = this.#schedule()
      const isMoving = decided.changed || scheduled.changed || this.#act()
      if (isMoving) continue
      const nextMs = Math.min(decided.wakeAtMs, scheduled.wakeAtMs)
      if (nextMs === Number.POSITIVE_INFINITY) return true
      this.#nowMs = Math.max(nextMs, this.#nowMs + 1)
      if (this.#nowMs > this.#startMs + horizonMs) return false
    }
    return false
  }

  /** The task that has each place, of those that are wanted. */
  heads(): Heads {
    const heads = new Map<string, Task>()
    for (const [id, ids] of this.#ofService) {
      for (const { head } of slotsOf(this.#tasksOf(ids))) {
        if (isActive(head)) heads.set(`${id}/${placeOf(head)}`, head)
      }
    }
    return heads
  }

  compare(before: Heads): Omit<Forecast, 'isCut'> {
    const after = this.heads()
    const outcomes: Outcome[] = []
    let kept = 0
    for (const key of new Set([...before.keys(), ...after.keys()])) {
      const [was, is] = [before.get(key), after.get(key)]
      const id = (is ?? was)?.serviceId
      if (id === undefined || !(this.#touched.has(id) || this.#concerned.has(id))) continue
      const outcome = this.#outcome(was, is)
      if (outcome === undefined) kept += 1
      else outcomes.push(outcome)
    }
    return { outcomes, kept }
  }

  #outcome(was: Task | undefined, is: Task | undefined): Outcome | undefined {
    const from = was?.nodeId
    if (is === undefined) {
      return was && { kind: 'removed', task: was, from, to: undefined, why: undefined }
    }
    if (is.nodeId === undefined) {
      const why = explainTask(this.#scheduler.index, is)
      return { kind: 'unplaceable', task: is, from, to: undefined, why }
    }
    if (was?.id === is.id && from === is.nodeId) return undefined
    const isUpdate = is.reason === 'update' || is.reason === 'rollback'
    const kind = from === undefined ? 'placed' : isUpdate ? 'replaced' : 'moved'
    return { kind, task: is, from, to: is.nodeId, why: undefined }
  }

  #concern(id: ServiceId): void {
    this.#concerned.add(id)
  }

  #decide(): { readonly changed: boolean; readonly wakeAtMs: number } {
    let [changed, wakeAtMs] = [false, Number.POSITIVE_INFINITY]
    const plans = [...this.#concerned].map((id) =>
      reconcileService(this.#view(id), 'all', this.#now()),
    )
    for (const plan of plans) {
      for (const change of plan.changes) this.#apply(change)
      changed ||= plan.changes.length > 0
      if (plan.wakeAtMs !== undefined) wakeAtMs = Math.min(wakeAtMs, plan.wakeAtMs)
    }
    return { changed, wakeAtMs }
  }

  #schedule(): { readonly changed: boolean; readonly wakeAtMs: number } {
    const plan = this.#scheduler.plan({ nowMs: this.#nowMs, random: this.#env.random })
    for (const update of plan.updates) {
      this.#change(update.task, updatedTask(update, this.#nowMs))
    }
    return {
      changed: plan.updates.length > 0,
      wakeAtMs: plan.wakeAtMs ?? Number.POSITIVE_INFINITY,
    }
  }

  /** Every agent of a node that answers does at once what its tasks are to do. */
  #act(): boolean {
    let changed = false
    for (const id of this.#concerned) {
      for (const task of this.#tasksIn(id)) {
        const state = this.#nextState(task)
        if (state === undefined) continue
        const ran = state === TaskState.RUNNING ? { ranAtMs: this.#nowMs } : {}
        this.#change(task, { ...task, state, appliedAtMs: this.#nowMs, ...ran })
        changed = true
      }
    }
    return changed
  }

  #nextState(task: Task): TaskState | undefined {
    if (!holdsResources(task) || isTerminal(task.state) || task.nodeId === undefined)
      return undefined
    const state = this.#nodes.get(task.nodeId)?.state
    if (state === undefined || state === 'down') return undefined
    if (task.desiredState >= TaskState.SHUTDOWN) return TaskState.SHUTDOWN
    if (task.state < TaskState.READY) return TaskState.READY
    const isWanted = task.desiredState > TaskState.READY
    return isWanted && task.state < TaskState.RUNNING ? TaskState.RUNNING : undefined
  }

  #apply(change: PlannedChange): void {
    if (change.table === 'services' && change.kind === 'update') {
      this.#services.set(change.object.id, change.object)
    } else if (change.table === 'tasks' && change.kind === 'create') {
      // Addresses on networks are taken for given.
      const { object } = change
      const isNew = object.state === TaskState.NEW
      this.#change(undefined, isNew ? { ...object, state: TaskState.PENDING } : object)
    } else if (change.table === 'tasks' && change.kind === 'update') {
      this.#change(this.#tasks.get(change.object.id), change.object)
    }
  }

  #change(before: Task | undefined, after: Task): void {
    const next = { ...after, version: after.version + 1, updatedAtMs: this.#nowMs }
    this.#keep(next)
    this.#touched.add(next.serviceId)
    this.#scheduler.changeTask(before, next)
  }

  #keep(task: Task): void {
    this.#tasks.set(task.id, task)
    const ids = this.#ofService.get(task.serviceId)
    if (ids === undefined) this.#ofService.set(task.serviceId, new Set([task.id]))
    else ids.add(task.id)
  }

  #tasksOf(ids: ReadonlySet<TaskId>): Task[] {
    return [...ids].flatMap((id) => this.#tasks.get(id) ?? [])
  }

  #tasksIn(id: ServiceId): Task[] {
    return this.#tasksOf(this.#ofService.get(id) ?? new Set())
  }

  #depended(name: string): Depended | undefined {
    for (const service of this.#services.values()) {
      if (service.spec.name !== name) continue
      return { service, tasks: this.#tasksIn(service.id) }
    }
    return undefined
  }

  #view(id: ServiceId): ServiceView {
    const tasks = this.#tasksIn(id)
    return {
      service: this.#services.get(id),
      tasks,
      allTasks: () => tasks,
      depended: (name) => this.#depended(name),
      node: (node) => this.#nodes.get(node),
      nodes: () => this.#nodes.values(),
      taskSpec: (hash) => this.#specs.get(hash)?.spec,
    }
  }

  #now(): DecisionEnv {
    const passedMs = this.#nowMs - this.#startMs
    return { ...this.#env, nowMs: this.#nowMs, wallMs: this.#env.wallMs + passedMs }
  }
}
