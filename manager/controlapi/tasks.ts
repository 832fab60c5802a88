// ListTasks and GetTask.
import { taskSpecRecordToProto } from '../../proto/codec/service.ts'
import type {
  Filter,
  ListTasksRequest,
  ListTasksResponse,
  TaskView,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { TaskSpecRecord } from '../../proto/gen/tsswarm/v1/objects.ts'
import type { Task } from '../../proto/objects/index.ts'
import type { ReadTx } from '../store/store.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { type Predicate, taskFilter } from './filters.ts'
import { listMessages, type Page, rowsOf } from './list-stream.ts'
import { findTask } from './lookup.ts'
import { taskView } from './views.ts'

/** What a task takes besides its texts, at most. */
const taskBytes = 512

export function taskHandlers(deps: ControlDeps): Pick<ControlApi, 'listTasks' | 'getTask'> {
  const { store, cluster } = deps
  return {
    listTasks: (_, request, signal) => listTasks(deps, request, signal),
    getTask: async (_, request, signal) => {
      await cluster.readBarrier(signal)
      return store.view((tx) => ({ task: taskView(tx, findTask(tx, request.reference), true) }))
    },
  }
}

async function* listTasks(
  deps: ControlDeps,
  { filters }: ListTasksRequest,
  signal: AbortSignal,
): AsyncGenerator<ListTasksResponse, void, undefined> {
  const { store, cluster } = deps
  // Refused before anything is read.
  store.view((tx) => taskFilter(tx, filters))
  await cluster.readBarrier(signal)
  const found = store.view((tx) => candidates(tx, filters))
  const rows = found === undefined ? store.rows('tasks') : rowsOf(found)
  const known = new Set<string>()
  yield* listMessages(deps, rows, () => new TaskPage(filters, known), signal)
}

class TaskPage implements Page<Task, ListTasksResponse> {
  readonly #filters: readonly Filter[]
  /** Hashes of the specs that went out. */
  readonly #known: Set<string>
  readonly #tasks: TaskView[] = []
  readonly #specs: TaskSpecRecord[] = []
  #tx: ReadTx | undefined
  #passes: Predicate<Task> = () => false

  constructor(filters: readonly Filter[], known: Set<string>) {
    this.#filters = filters
    this.#known = known
  }

  add(tx: ReadTx, task: Task): number {
    if (this.#tx !== tx) {
      this.#tx = tx
      this.#passes = taskFilter(tx, this.#filters)
    }
    if (!this.#passes(task)) return 0
    this.#tasks.push(taskView(tx, task, false))
    return taskBytes + task.message.length + task.err.length + this.#addSpec(tx, task)
  }

  message(): ListTasksResponse {
    return { tasks: this.#tasks, specs: this.#specs }
  }

  #addSpec(tx: ReadTx, { specHash }: Task): number {
    if (this.#known.has(specHash)) return 0
    this.#known.add(specHash)
    const record = tx.get('taskSpecs', specHash)
    if (record === undefined) return 0
    const proto = taskSpecRecordToProto(record)
    this.#specs.push(proto)
    return TaskSpecRecord.encode(proto).finish().length
  }
}

/** The tasks that may pass, by index where a filter names services or nodes; undefined: all may. */
function candidates(tx: ReadTx, filters: readonly Filter[]): readonly Task[] | undefined {
  const values = (key: string): readonly string[] | undefined =>
    filters.find((filter) => filter.key === key)?.values
  const services = values('service')
  if (services !== undefined) {
    const ids = services.flatMap((value) => [
      value,
      ...[...tx.find('services', 'byName', value.toLowerCase())].map((service) => service.id),
    ])
    return [...new Set(ids)].flatMap((id) => [...tx.find('tasks', 'byService', id)])
  }
  const nodes = values('node')
  if (nodes !== undefined) {
    const ids = nodes.flatMap((value) => [
      value,
      ...[...tx.find('nodes', 'byName', value.toLowerCase())].map((node) => node.id),
    ])
    return [...new Set(ids)].flatMap((id) => [...tx.find('tasks', 'byNode', id)])
  }
  return undefined
}
