// What the decisions about one service's tasks see. A plain picture: whoever runs the decisions reads it from the store.
import type {
  Node,
  NodeId,
  Place,
  PlannedChange,
  Service,
  SpecHash,
  Task,
  UpdateStatus,
} from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import type { Depended } from './dependencies.ts'

/** Some places of a service, or all of it. */
export type Scope = 'all' | ReadonlySet<Place>

export interface ServiceView {
  /** Undefined: it was removed. */
  readonly service: Service | undefined
  /** All of its tasks, or all of some slots; any order. */
  readonly tasks: readonly Task[]
  readonly node: (id: NodeId) => Node | undefined
  /** All of the cluster. */
  readonly nodes: () => Iterable<Node>
  readonly taskSpec: (hash: SpecHash) => TaskSpec | undefined
  /** All of its tasks, also when the picture is of some slots. */
  readonly allTasks: () => Iterable<Task>
  /** Another service by its name; undefined: there is none. */
  readonly depended: (name: string) => Depended | undefined
}

/** Collects a plan: at most one change a task. */
export class PlanDraft {
  readonly changes: PlannedChange[] = []
  wakeAtMs: number | undefined

  create(task: Task): void {
    this.changes.push({ kind: 'create', table: 'tasks', object: task })
  }

  update(task: Task): void {
    this.changes.push({ kind: 'update', table: 'tasks', object: task })
  }

  /** First of all: later changes go by it. */
  updateService(service: Service): void {
    this.changes.unshift({ kind: 'update', table: 'services', object: service })
  }

  /** The service gets its previous spec, and this status. */
  rollBack(service: Service, updateStatus: UpdateStatus): void {
    const { id, version } = service
    this.changes.unshift({ kind: 'rollback', table: 'services', id, version, updateStatus })
  }

  get rollsBack(): boolean {
    return this.changes[0]?.kind === 'rollback'
  }

  remove(task: Task): void {
    this.changes.push({ kind: 'remove', table: 'tasks', id: task.id, version: task.version })
  }

  /** Decide again then, or earlier. */
  wakeAt(atMs: number): void {
    if (this.wakeAtMs === undefined || atMs < this.wakeAtMs) this.wakeAtMs = atMs
  }
}
