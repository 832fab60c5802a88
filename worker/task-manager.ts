// All tasks of this node: one driver each, adopted after a restart, started and cleared as assignments say.
// Not for sessions (session.ts) nor for the steps of one task (task-driver.ts).
import { setMaxListeners } from 'node:events'
import { SwarmError } from '../proto/errors.ts'
import { type Clock, wait } from '../proto/lib/clock.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Random } from '../proto/lib/random.ts'
import { Semaphore } from '../proto/lib/semaphore.ts'
import {
  type Assignments,
  isTerminal,
  type TaskId,
  type TaskStatus,
  taskId,
} from '../proto/objects/index.ts'
import { noAssignments } from './assignments.ts'
import { type HostFacts, taskIdLabel } from './container-config.ts'
import type { ContainerInfo, Executor } from './executor/executor.ts'
import { ProbeSlots } from './health/probe-slots.ts'
import { ImageSource } from './image-source.ts'
import type { StateDb } from './state-db.ts'
import type { StatusReporter } from './status-reporter.ts'
import { type DriverDeps, initialStatus, TaskDriver, type Wanted } from './task-driver.ts'
import { UnusedPorts } from './task-ports.ts'

export interface TaskManagerDeps {
  readonly executor: Executor
  readonly host: HostFacts
  readonly db: StateDb
  readonly reporter: StatusReporter
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** How many containers are made or started at once; default 4. */
  readonly startsMax?: number
}

const startsMaxDefault = 4
/** How long an assignment may be on its way while its task is already asked for. */
const assignmentMs = 3_000
const pollMs = 50

interface Running {
  readonly driver: TaskDriver
  readonly done: Promise<void>
}

export class TaskManager {
  readonly #deps: TaskManagerDeps
  readonly #driverDeps: DriverDeps
  readonly #running = new Map<TaskId, Running>()
  readonly #life = childController().controller
  /** Containers of ours that nobody asked for, kept until a full set confirms that. */
  readonly #doubtful = new Map<TaskId, ContainerInfo>()
  #assignments: Assignments = noAssignments
  #fail: (err: unknown) => void = () => {}
  readonly #failed: Promise<never>

  constructor(deps: TaskManagerDeps) {
    this.#deps = deps
    const { executor, host, clock, random, log } = deps
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.#failed.catch(() => {})
    setMaxListeners(0, this.#life.signal)
    this.#driverDeps = {
      executor,
      host,
      clock,
      random,
      log,
      images: new ImageSource({ executor, clock, log }),
      slots: new Semaphore(deps.startsMax ?? startsMaxDefault),
      probes: new ProbeSlots(clock),
      unusedPorts: new UnusedPorts(),
      onStatus: (status) => this.#onStatus(status),
    }
  }

  /** Takes over what runs, as the database remembers it. Once, before anything else. */
  async adopt(): Promise<void> {
    const { executor, db, log } = this.#deps
    const containers = new Map<TaskId, ContainerInfo>()
    for (const info of await executor.list()) {
      const id = info.config.labels[taskIdLabel]
      if (id !== undefined) containers.set(taskId(id), info)
    }
    const { assignments, statuses } = db.restored
    this.#assignments = assignments
    for (const id of assignments.tasks.keys()) {
      const status = statuses.get(id)
      if (status !== undefined) this.#deps.reporter.set(status)
      this.#add(id, status, containers.get(id))
    }
    for (const [id, info] of containers) {
      if (assignments.tasks.has(id)) continue
      if (db.isComplete) this.#add(id, undefined, info)
      else this.#doubtful.set(id, info)
    }
    const adopted = { tasks: assignments.tasks.size, containers: containers.size }
    log.info({ ...adopted, doubtful: this.#doubtful.size }, 'containers adopted')
  }

  /** Until the signal aborts; the containers live on. Errors: a broken invariant in a driver. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#life.abort()
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    const stopped = new Promise<void>((resolve) => {
      this.#life.signal.addEventListener('abort', () => resolve(), { once: true })
      if (this.#life.signal.aborted) resolve()
    })
    try {
      await Promise.race([stopped, this.#failed])
    } finally {
      signal.removeEventListener('abort', stop)
      this.#life.abort()
      await Promise.all([...this.#running.values()].map(({ done }) => done))
    }
  }

  /** Makes the assignments come true, soon. `isWhole`: they came as a full set, so what is not in it goes. */
  apply(assignments: Assignments, isWhole: boolean): void {
    const before = this.#assignments
    this.#assignments = assignments
    for (const [id, task] of assignments.tasks) {
      const running = this.#running.get(id)
      if (running === undefined) this.#add(id, undefined, this.#takeDoubtful(id))
      else if (before.tasks.get(id) !== task) running.driver.want(this.#wanted(id))
    }
    for (const [id, { driver }] of this.#running) {
      if (!assignments.tasks.has(id)) driver.want(undefined)
    }
    if (!isWhole) return
    for (const id of [...this.#doubtful.keys()]) this.#add(id, undefined, this.#takeDoubtful(id))
  }

  /** Stops and removes everything; resolves when no trace is left. For leaving the cluster. */
  async clear(signal: AbortSignal): Promise<void> {
    this.apply({ ...noAssignments, stamp: this.#assignments.stamp }, true)
    while (this.#running.size > 0 && !signal.aborted) {
      const { controller, release } = childController(signal)
      const aborted = new Promise<void>((resolve) => {
        controller.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.race([...[...this.#running.values()].map(({ done }) => done), aborted])
      controller.abort()
      release()
    }
  }

  /** Resolves when the task has a container or will never have one. Errors: NOT_FOUND when it is not of this node. */
  async containerReady(id: TaskId, signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      const driver = await this.#driverOf(id, signal)
      if (driver === undefined) {
        throw new SwarmError('NOT_FOUND', `task ${id} is not on this node: it was removed`)
      }
      if (driver.hasContainer) return true
      if (isTerminal(driver.status.state)) return false
      await driver.changed(signal)
    }
    return false
  }

  /** Whether the task has a container now. */
  hasContainer(id: TaskId): boolean {
    return this.#running.get(id)?.driver.hasContainer ?? false
  }

  /** A question about a task may overtake its assignment. */
  async #driverOf(id: TaskId, signal: AbortSignal): Promise<TaskDriver | undefined> {
    const { clock } = this.#deps
    const untilMs = clock.monotonicMs() + assignmentMs
    while (!this.#running.has(id) && clock.monotonicMs() < untilMs && !signal.aborted) {
      await wait(clock, pollMs, signal)
    }
    return this.#running.get(id)?.driver
  }

  #takeDoubtful(id: TaskId): ContainerInfo | undefined {
    const info = this.#doubtful.get(id)
    this.#doubtful.delete(id)
    return info
  }

  #wanted(id: TaskId): Wanted | undefined {
    const task = this.#assignments.tasks.get(id)
    const spec = task && this.#assignments.specs.get(task.specHash)
    return task === undefined || spec === undefined ? undefined : { task, spec }
  }

  #add(id: TaskId, known: TaskStatus | undefined, container: ContainerInfo | undefined): void {
    const wanted = this.#wanted(id)
    const status = known ?? (wanted === undefined ? goneStatus(id) : initialStatus(wanted.task))
    const driver = new TaskDriver(this.#driverDeps, { id, wanted, status, container })
    const done = this.#drive(driver).catch((err: unknown) => this.#fail(err))
    this.#running.set(id, { driver, done })
  }

  async #drive(driver: TaskDriver): Promise<void> {
    await driver.run(this.#life.signal)
    if (this.#life.signal.aborted) return
    this.#running.delete(driver.id)
    this.#deps.reporter.forget(driver.id)
    // Wanted again while it vanished, as after a cluster that was restored from a backup.
    if (this.#assignments.tasks.has(driver.id)) this.#add(driver.id, undefined, undefined)
    await this.#save(this.#deps.db.forget([driver.id]))
  }

  async #onStatus(status: TaskStatus): Promise<void> {
    const saved = this.#save(this.#deps.db.saveStatuses([status]))
    // An end is on disk before it is told: a restarted daemon must not run again what was replaced elsewhere, nor take for
    // healthy what others lead no connections to any more.
    if (isTerminal(status.state) || status.health?.state === 'unhealthy') await saved
    if (this.#assignments.tasks.has(status.taskId)) this.#deps.reporter.set(status)
  }

  /** A full disk keeps nothing from running; the database repairs itself with the next write. */
  #save(write: Promise<void>): Promise<void> {
    return write.catch((err: unknown) => {
      this.#deps.log.error({ err }, 'agent database not written')
    })
  }
}

function goneStatus(id: TaskId): TaskStatus {
  return {
    taskId: id,
    state: 0,
    atMs: 0,
    message: '',
    err: '',
    containerId: '',
    pid: 0,
    exitCode: undefined,
    hostPorts: [],
    connections: [],
    health: undefined,
  }
}
