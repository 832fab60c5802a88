// Drives one task through the executor: asks task-step what is next, does it, notes what came of it, asks again.
// Not for deciding (task-step.ts) nor for many tasks (task-manager.ts).
import { hasCode } from '../proto/errors.ts'
import { unreachable } from '../proto/lib/assert.ts'
import { createBackoff } from '../proto/lib/backoff.ts'
import { type Clock, wait } from '../proto/lib/clock.ts'
import { chainText } from '../proto/lib/error-chain.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Random } from '../proto/lib/random.ts'
import type { Semaphore } from '../proto/lib/semaphore.ts'
import {
  type AssignedTask,
  type ConnectionStatus,
  isTerminal,
  type TaskHealth,
  type TaskId,
  TaskState,
  type TaskStatus,
  taskStateName,
} from '../proto/objects/index.ts'
import type { TaskSpec } from '../proto/spec/service-spec.ts'
import { containerConfig, type HostFacts } from './container-config.ts'
import type { ContainerInfo, Executor, ExitStatus } from './executor/executor.ts'
import { reachFaultPoint } from './fault-points.ts'
import type { ProbeSlots } from './health/probe-slots.ts'
import type { ImageSource } from './image-source.ts'
import { requireSctp } from './kernel-sctp.ts'
import { payloadFiles } from './payload-files.ts'
import { pullLogin } from './pull-login.ts'
import { nextWiring, type Wiring, withConnection } from './task-connections.ts'
import { TaskHealthCheck } from './task-health.ts'
import { TaskPorts, type UnusedPorts } from './task-ports.ts'
import {
  type ContainerFact,
  nextTaskAction,
  type TaskAction,
  type Transition,
} from './task-step.ts'

export interface DriverDeps {
  readonly executor: Executor
  readonly images: ImageSource
  readonly host: HostFacts
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Bounds how many containers are made or started at once. */
  readonly slots: Semaphore
  /** Bounds how many are asked for their health at once. */
  readonly probes: ProbeSlots
  /** What this node has learnt of the ports that images expose. */
  readonly unusedPorts: UnusedPorts
  /** Takes a new status; resolves when the driver may go on. */
  readonly onStatus: (status: TaskStatus) => Promise<void>
}

/** A task that is to run here. */
export interface Wanted {
  readonly task: AssignedTask
  readonly spec: TaskSpec
}

const retryFirstMs = 100
const retryMaxMs = 10_000
/** Managers take longer to say that nobody leads to a task only when they cannot be heard. */
const drainedMs = 8_000

/** The status of a task of which nothing was reported yet. */
export function initialStatus(task: AssignedTask): TaskStatus {
  return {
    taskId: task.id,
    state: task.state,
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

/** What a found container says. */
export function containerFact(info: ContainerInfo): ContainerFact {
  const { state } = info
  return state.kind === 'exited' ? exitFact(state.exit) : { kind: state.kind }
}

function exitFact(exit: ExitStatus): ContainerFact {
  const oom = exit.oomKilled ? 'the container exceeded its memory limit' : ''
  return { kind: 'exited', exitCode: exit.exitCode, why: exit.error ?? oom }
}

type Interruptible = Extract<
  TaskAction['kind'],
  'prepare' | 'await-ports' | 'await-health' | 'await-drained' | 'wire' | 'watch'
>

export class TaskDriver {
  readonly id: TaskId
  readonly #deps: DriverDeps
  readonly #changed = new Set<() => void>()
  /** Undefined: gone. */
  #wanted: Wanted | undefined
  #status: TaskStatus
  #container: ContainerFact
  readonly #ports: TaskPorts
  readonly #health: TaskHealthCheck
  /** It was waited for long enough. */
  #isDrainedLongEnough = false
  #current: { readonly kind: TaskAction['kind']; readonly controller: AbortController } | undefined

  constructor(
    deps: DriverDeps,
    start: {
      readonly id: TaskId
      readonly wanted: Wanted | undefined
      readonly status: TaskStatus
      readonly container: ContainerInfo | undefined
    },
  ) {
    this.#deps = deps
    this.id = start.id
    this.#status = start.status
    const healthDeps = { ...deps, networkProber: deps.host.networkProber }
    this.#health = new TaskHealthCheck(healthDeps, start.id, (health) => this.#tellHealth(health))
    this.#ports = new TaskPorts(deps)
    this.#container = { kind: 'absent' }
    this.want(start.wanted)
    if (start.container !== undefined) this.#noteContainer(start.container)
  }

  get status(): TaskStatus {
    return this.#status
  }

  get hasContainer(): boolean {
    return this.#container.kind !== 'absent'
  }

  /** Changes what is wanted; undefined: the task is to vanish. What is under way and no longer fits is cut short. */
  want(wanted: Wanted | undefined): void {
    this.#wanted = wanted
    const known = wanted?.task.state ?? TaskState.NEW
    if (known > this.#status.state) this.#status = { ...this.#status, state: known }
    if (this.#current !== undefined && this.#next().kind !== this.#current.kind) {
      this.#current.controller.abort()
    }
    this.#announce()
  }

  /** Resolves at the next change of anything about the task, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#changed.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#changed.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  /** Until no trace of the task is left, or the signal aborts; the container lives on then. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps
    const backoff = createBackoff({ firstMs: retryFirstMs, maxMs: retryMaxMs, random })
    while (!signal.aborted) {
      const action = this.#next()
      if (action.kind === 'forget') return
      if (action.kind === 'idle') {
        await this.changed(signal)
        continue
      }
      try {
        await this.#perform(action, signal)
        backoff.reset()
      } catch (err) {
        if (signal.aborted) return
        log.warn({ taskId: this.id, action: action.kind, err }, 'executor failed: trying again')
        await wait(clock, backoff.nextMs(), signal)
        await this.#inspect()
      }
    }
  }

  #next(): TaskAction {
    const desired = this.#wanted?.task.desiredState ?? 'gone'
    return nextTaskAction({
      desired,
      observed: this.#status.state,
      container: this.#container,
      isListening: this.#ports.isListening(this.#wanted),
      isWired: this.#wiring() === undefined,
      // Of a container that ended while no daemon was here, it is what was told last.
      health: this.#health.health ?? this.#status.health,
      isDrained: this.#isDrained(),
    })
  }

  async #perform(action: TaskAction, signal: AbortSignal): Promise<void> {
    switch (action.kind) {
      case 'report':
        return this.#report(action.to)
      case 'prepare':
      case 'await-ports':
      case 'await-health':
      case 'await-drained':
      case 'wire':
      case 'watch':
        return this.#interruptible(action.kind, signal)
      case 'start':
        return this.#start(signal)
      case 'stop':
        return this.#stop(signal)
      case 'remove':
        await this.#deps.executor.remove(this.id)
        reachFaultPoint('task.removed')
        return this.#setContainer({ kind: 'absent' })
      case 'idle':
      case 'forget':
        return
      default:
        return unreachable(action, 'task action')
    }
  }

  /** Runs what a change of mind may cut short. */
  async #interruptible(kind: Interruptible, signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal)
    this.#current = { kind, controller }
    try {
      await this.#performInterruptibly(kind, controller.signal)
    } catch (err) {
      if (!controller.signal.aborted) throw err
      // Cut short: a create may have finished all the same.
      if (!signal.aborted && kind === 'prepare') await this.#inspect()
    } finally {
      this.#current = undefined
      release()
    }
  }

  #performInterruptibly(kind: Interruptible, signal: AbortSignal): Promise<void> {
    switch (kind) {
      case 'prepare':
        return this.#prepare(signal)
      case 'await-ports':
        return this.#awaitPorts(signal)
      case 'await-drained':
        return this.#awaitDrained(signal)
      case 'wire':
        return this.#wire(signal)
      case 'await-health':
      case 'watch':
        return this.#watchAsking(signal)
      default:
        return unreachable(kind, 'interruptible action')
    }
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const { executor, images, host, slots } = this.#deps
    const wanted = this.#wanted
    if (wanted === undefined) return
    let pullError = ''
    try {
      const config = containerConfig(wanted.task, wanted.spec, host)
      if (host.hasSctp !== undefined) await requireSctp(wanted.spec.ports, host.hasSctp)
      const files = await payloadFiles(wanted, { config, host }, signal)
      pullError = await images.ensure(config.image, signal, await pullLogin(wanted, host, signal))
      this.#noteContainer(
        await slots.run(async () => {
          signal.throwIfAborted()
          return executor.create({ ...config, files }, signal)
        }),
      )
      this.#announce()
    } catch (err) {
      if (signal.aborted) throw err
      const isMissing = hasCode(err, 'IMAGE_NOT_FOUND') && pullError !== ''
      const err_ = isMissing ? `${chainText(err)} (${pullError})` : chainText(err)
      await this.#report({ state: TaskState.REJECTED, message: 'preparing', err: err_ })
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { executor, slots } = this.#deps
    try {
      // Urgent: a container that is made is worth more running than another one made.
      this.#noteContainer(await slots.run(() => executor.start(this.id, signal), true))
      this.#announce()
    } catch (err) {
      if (signal.aborted) throw err
      if (hasCode(err, 'NOT_FOUND', 'FAILED_PRECONDITION')) await this.#inspect()
      if (this.#container.kind !== 'created') return
      await this.#report({ state: TaskState.FAILED, message: 'starting', err: chainText(err) })
    }
  }

  /** Until the container waits on its ports, has ended, or took too long. */
  async #awaitPorts(signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal)
    const ended = this.#watch(controller.signal)
    // Whoever waits for the end of the ports reads it; cut short is no failure.
    ended.catch(() => {})
    const hasEnded = (): boolean => this.#container.kind !== 'running'
    try {
      await this.#ports.await(this.#wanted, { pid: this.#status.pid, hasEnded }, signal)
    } finally {
      controller.abort()
      release()
      await ended.catch(() => {})
    }
  }

  /** Until it ends or its health is another one. */
  async #watchAsking(signal: AbortSignal): Promise<void> {
    if (this.#health.health === undefined) return this.#watch(signal)
    await this.#watchBeside(signal, (until) => this.#health.run(until))
  }

  /** Whether connections to it, unhealthy as it is, are led elsewhere. */
  #isDrained(): boolean {
    const task = this.#wanted?.task
    const isOnNetworks = (task?.attachments.length ?? 0) > 0
    return !isOnNetworks || task?.isDrained === true || this.#isDrainedLongEnough
  }

  async #awaitDrained(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    await this.#watchBeside(signal, (until) => wait(clock, drainedMs, until))
    this.#isDrainedLongEnough = !signal.aborted
  }

  /** Until it has ended or the other thing is done. */
  async #watchBeside(
    signal: AbortSignal,
    other: (until: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { controller, release } = childController(signal)
    const end = (): void => controller.abort()
    const ended = this.#watch(controller.signal)
      .catch((err: unknown) => {
        // Cut short here. An executor that cuts it short by itself has failed, and is asked again later.
        if (!controller.signal.aborted || !hasCode(err, 'CANCELLED')) throw err
      })
      .finally(end)
    // Whoever waits for it reads it.
    ended.catch(() => {})
    try {
      await other(controller.signal)
      end()
      await ended
    } finally {
      end()
      release()
    }
  }

  async #tellHealth(health: TaskHealth): Promise<void> {
    this.#status = { ...this.#status, health }
    await this.#deps.onStatus(this.#status)
    this.#announce()
  }

  #wiring(): Wiring | undefined {
    return nextWiring(this.#wanted?.task.attachments ?? [], this.#status.connections)
  }

  /** One network more or less. One that cannot be is told of, and not tried again. */
  async #wire(signal: AbortSignal): Promise<void> {
    const { executor, log } = this.#deps
    const wiring = this.#wiring()
    if (wiring === undefined) return
    if (wiring.kind === 'disconnect') {
      const { networkId, addresses } = wiring
      await executor.disconnect(this.id, networkId)
      return this.#noteConnection({ networkId, addresses, state: 'gone', err: '' })
    }
    const { networkId, addresses } = wiring.attachment
    try {
      await executor.connect(this.id, { networkId, addresses, aliases: [] }, signal)
      await this.#noteConnection({ networkId, addresses, state: 'connected', err: '' })
    } catch (err) {
      if (signal.aborted) throw err
      log.warn({ taskId: this.id, networkId, err }, 'task not connected to a network')
      await this.#noteConnection({ networkId, addresses, state: 'failed', err: chainText(err) })
    }
  }

  async #noteConnection(now: ConnectionStatus): Promise<void> {
    const attachments = this.#wanted?.task.attachments ?? []
    const connections = withConnection(attachments, this.#status.connections, now)
    this.#status = { ...this.#status, connections }
    await this.#deps.onStatus(this.#status)
    this.#announce()
  }

  async #watch(signal: AbortSignal): Promise<void> {
    try {
      const exit = await this.#deps.executor.wait(this.id, signal)
      this.#noteExit(exit)
    } catch (err) {
      if (!hasCode(err, 'NOT_FOUND')) throw err
      this.#setContainer({ kind: 'absent' })
    }
  }

  async #stop(signal: AbortSignal): Promise<void> {
    // Of a daemon that was away: its kernel may still lead connections here that all others have long led elsewhere.
    await this.#deps.host.untilFollowed?.(signal)
    if (signal.aborted) return
    await this.#ports.review(this.#wanted, this.#status.pid)
    try {
      this.#noteExit(await this.#deps.executor.stop(this.id, {}))
    } catch (err) {
      if (!hasCode(err, 'NOT_FOUND')) throw err
      this.#setContainer({ kind: 'absent' })
    }
  }

  /** Asks the executor what there is; an executor that cannot say leaves the last known fact. */
  async #inspect(): Promise<void> {
    try {
      this.#noteContainer(await this.#deps.executor.inspect(this.id))
    } catch (err) {
      if (hasCode(err, 'NOT_FOUND')) this.#container = { kind: 'absent' }
      else this.#deps.log.warn({ taskId: this.id, err }, 'container not inspected')
    }
    this.#announce()
  }

  async #report({ state, message, err }: Transition): Promise<void> {
    const atMs = Math.floor(this.#deps.clock.wallMs())
    this.#status = { ...this.#status, state, message, err, atMs }
    if (isTerminal(state)) this.#status = { ...this.#status, pid: 0 }
    const fields = { taskId: this.id, serviceId: this.#wanted?.task.serviceId, state, err }
    this.#deps.log[err === '' ? 'debug' : 'warn'](fields, 'task moved on')
    await this.#deps.onStatus(this.#status)
    reachFaultPoint(`status.${taskStateName(state)}`)
    this.#announce()
  }

  #noteContainer(info: ContainerInfo): void {
    this.#container = containerFact(info)
    const { state, attachment } = info
    this.#status = {
      ...this.#status,
      containerId: info.id,
      ...(state.kind === 'exited' ? { exitCode: state.exit.exitCode } : { pid: state.pid }),
      hostPorts: (attachment?.ports ?? []).map((port) => `${port.protocol}/${port.publishedPort}`),
    }
    this.#ports.learn(info)
    this.#health.learn(info, this.#wanted?.spec, this.#status)
  }

  #noteExit(exit: ExitStatus): void {
    this.#status = { ...this.#status, exitCode: exit.exitCode }
    this.#setContainer(exitFact(exit))
  }

  #setContainer(container: ContainerFact): void {
    this.#container = container
    this.#announce()
  }

  #announce(): void {
    for (const watcher of [...this.#changed]) watcher()
  }
}
