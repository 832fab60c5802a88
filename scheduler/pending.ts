// The tasks that wait for a node: fresh ones that no pass has seen, and stuck ones that no node would take.
import type { Task, TaskId } from '../proto/objects/index.ts'

export class PendingTasks {
  /** All that wait, those in a plan that is being committed included; newest known version. */
  readonly #all = new Map<TaskId, Task>()
  #fresh = new Set<TaskId>()
  readonly #stuck = new Set<TaskId>()

  get freshCount(): number {
    return this.#fresh.size
  }

  get stuckCount(): number {
    return this.#stuck.size
  }

  get(id: TaskId): Task | undefined {
    return this.#all.get(id)
  }

  /** Adds a waiting task, or takes over its newer version. A stuck one stays stuck. */
  put(task: Task): void {
    this.#all.set(task.id, task)
    if (!this.#stuck.has(task.id)) this.#fresh.add(task.id)
  }

  drop(id: TaskId): void {
    if (!this.#all.delete(id)) return
    this.#fresh.delete(id)
    this.#stuck.delete(id)
  }

  /** Takes up to tasksMax fresh ones, oldest first. They still wait until dropped. */
  take(tasksMax: number): readonly Task[] {
    const taken: Task[] = []
    for (const id of this.#fresh) {
      if (taken.length >= tasksMax) break
      this.#fresh.delete(id)
      const task = this.#all.get(id)
      if (task !== undefined) taken.push(task)
    }
    return taken
  }

  /** A taken one that found no node. */
  stick(id: TaskId): void {
    if (this.#all.has(id)) this.#stuck.add(id)
  }

  /** A taken one whose plan was not committed: fresh again when it has changed since `version`, else stuck. */
  giveBack(id: TaskId, version: number): void {
    const task = this.#all.get(id)
    if (task === undefined || this.#fresh.has(id)) return
    if (task.version !== version) this.#fresh.add(id)
    else this.#stuck.add(id)
  }

  /** Makes the stuck ones fresh, before all others. */
  retryStuck(): void {
    if (this.#stuck.size === 0) return
    this.#fresh = new Set([...this.#stuck, ...this.#fresh])
    this.#stuck.clear()
  }
}
