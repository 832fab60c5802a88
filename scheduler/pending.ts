// The tasks that wait for a node: fresh ones that no pass has seen, stuck ones that no node would take, and those of a
// plan whose commit has not been seen yet.
import { noGeneric, type Task, type TaskId } from '../proto/objects/index.ts'
import type { NodeEntry } from './cluster-index.ts'

export interface Waiting {
  /** Newest known version. */
  task: Task
  status: 'fresh' | 'planned' | 'stuck' | 'gone'
  /** Of a planned one: the node it is counted on. */
  node: NodeEntry | undefined
  /** What it gets of that node's generic resources. */
  generic: Task['generic']
  /** Stuck because its plan was refused: the next change of the task tells why. */
  refused: boolean
}

export class PendingTasks {
  readonly #all = new Map<TaskId, Waiting>()
  /** Fresh ones in order, among them some that are no longer. */
  #queue: Waiting[] = []
  #head = 0
  #freshCount = 0
  readonly #stuck = new Set<Waiting>()

  get freshCount(): number {
    return this.#freshCount
  }

  get stuckCount(): number {
    return this.#stuck.size
  }

  get(id: TaskId): Waiting | undefined {
    return this.#all.get(id)
  }

  /** A task that waits and is not known yet. */
  add(task: Task): void {
    const waiting: Waiting = {
      task,
      status: 'fresh',
      node: undefined,
      generic: noGeneric,
      refused: false,
    }
    this.#all.set(task.id, waiting)
    this.#enqueue(waiting)
  }

  drop(waiting: Waiting): void {
    this.#all.delete(waiting.task.id)
    if (waiting.status === 'fresh') this.#freshCount -= 1
    else if (waiting.status === 'stuck') this.#stuck.delete(waiting)
    waiting.status = 'gone'
  }

  /** Makes a planned or stuck one fresh. */
  renew(waiting: Waiting): void {
    this.#stuck.delete(waiting)
    waiting.status = 'fresh'
    waiting.refused = false
    this.#enqueue(waiting)
  }

  /** Makes a planned one stuck. */
  stick(waiting: Waiting, refused: boolean): void {
    waiting.status = 'stuck'
    waiting.refused = refused
    this.#stuck.add(waiting)
  }

  /** Up to tasksMax fresh ones, oldest first. They are planned now. */
  take(tasksMax: number): readonly Waiting[] {
    const taken: Waiting[] = []
    while (taken.length < tasksMax) {
      const waiting = this.#queue[this.#head]
      if (waiting === undefined) break
      this.#head += 1
      if (waiting.status !== 'fresh') continue
      waiting.status = 'planned'
      taken.push(waiting)
    }
    this.#freshCount -= taken.length
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
    return taken
  }

  /** Makes the stuck ones fresh, before all others. */
  retryStuck(): void {
    if (this.#stuck.size === 0) return
    for (const waiting of this.#stuck) waiting.status = 'fresh'
    this.#queue = [...this.#stuck, ...this.#queue.slice(this.#head)]
    this.#head = 0
    this.#freshCount += this.#stuck.size
    this.#stuck.clear()
  }

  #enqueue(waiting: Waiting): void {
    this.#queue.push(waiting)
    this.#freshCount += 1
  }
}
