// ServiceLogs: the lines of all tasks of a service, from whichever managers their nodes have sessions with, in one
// bounded stream. Not for reading a single log (task-logs.ts) nor for the agents' streams (log-hub.ts).
import { hasCode, SwarmError } from '../../proto/errors.ts'
import type { LogLine, ServiceLogsRequest } from '../../proto/gen/tsswarm/v1/control.ts'
import type { TaskLogLine } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type { RelayLogsRequest, RelayLogsResponse } from '../../proto/gen/tsswarm/v1/membership.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { MessageStream } from '../../proto/lib/message-stream.ts'
import {
  type Node,
  type NodeId,
  type Task,
  type TaskId,
  TaskState,
} from '../../proto/objects/index.ts'
import { findService, findTask, noSuchTarget } from '../controlapi/lookup.ts'
import { taskName } from '../controlapi/views.ts'
import type { Caller } from '../rpc/caller.ts'
import { type ReadTx, type Store, WatchLagged } from '../store/store.ts'
import type { LogEvent, LogHub, LogRequest, NodeLogs } from './log-hub.ts'
import { compareLines, TaskLogs } from './task-logs.ts'

export type RelayStream = MessageStream<RelayLogsRequest, RelayLogsResponse>

export interface LogBrokerDeps {
  readonly store: Store
  readonly cluster: {
    selfNodeId(): NodeId
    readBarrier(signal: AbortSignal): Promise<void>
  }
  readonly hub: LogHub
  /** Opens RelayLogs on another manager. Errors: UNAVAILABLE. */
  readonly openRelay: (manager: NodeId, signal: AbortSignal) => RelayStream
  readonly clock: Clock
  readonly log: Logger
}

const commitsWaitingMax = 1_024

/**
 * The handler of ServiceLogs. Without `follow` lines come in order of time and it ends after the last one; with it
 * they come as they are written, tasks made later included. A log that cannot be read has a line with `err`: at the
 * end, or at once with `follow`. Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT, NO_LEADER.
 */
export function serviceLogs(
  deps: LogBrokerDeps,
): (
  caller: Caller,
  request: ServiceLogsRequest,
  signal: AbortSignal,
) => AsyncGenerator<LogLine, void, undefined> {
  return async function* (_caller, request, signal) {
    await deps.cluster.readBarrier(signal)
    const { controller, release } = childController(signal)
    const reader = new ServiceLogReader(deps, request, controller.signal)
    try {
      yield* reader.lines()
    } finally {
      controller.abort()
      release()
    }
  }
}

interface Source {
  readonly logs: TaskLogs
  readonly task: Task
  toldErr: string
  /** As long as there is a service to name it by. */
  name: string
}

class ServiceLogReader {
  readonly #deps: LogBrokerDeps
  readonly #request: ServiceLogsRequest
  readonly #signal: AbortSignal
  readonly #sources = new Map<TaskId, Source>()
  readonly #selection: (tx: ReadTx) => readonly Task[]
  /** Of a service that is followed: whether it still exists. */
  #mayGrow: boolean
  #wake: () => void = () => {}

  constructor(deps: LogBrokerDeps, request: ServiceLogsRequest, signal: AbortSignal) {
    this.#deps = deps
    this.#request = request
    this.#signal = signal
    const found = deps.store.view((tx) => findTarget(tx, request.reference))
    this.#mayGrow = request.follow && found.kind === 'service'
    this.#selection =
      found.kind === 'task'
        ? (tx) => [tx.get('tasks', found.id) ?? []].flat()
        : (tx) => [...tx.find('tasks', 'byService', found.id)]
    signal.addEventListener('abort', () => this.#wake(), { once: true })
    this.#addSources(request.tail)
    if (found.kind === 'service' && request.follow) {
      this.#watch(found.id).catch((err: unknown) => {
        deps.log.error({ err, serviceId: found.id }, 'log reader no longer sees new tasks')
      })
    }
  }

  async *lines(): AsyncGenerator<LogLine, void, undefined> {
    while (!this.#signal.aborted) {
      const news = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      for (let source = this.#next(); source !== undefined; source = this.#next()) {
        const line = source.logs.take()
        if (line !== undefined) yield this.#logLine(source, line)
        if (this.#signal.aborted) return
      }
      if (this.#request.follow) yield* this.#errors()
      const isOver = [...this.#sources.values()].every(({ logs }) => logs.isDone)
      if (isOver && !this.#mayGrow) break
      await news
    }
    yield* this.#errors()
  }

  /** The source whose line is next; undefined: none, or a slow one may still have an older line. */
  #next(): Source | undefined {
    let next: Source | undefined
    let oldest: TaskLogLine | undefined
    for (const source of this.#sources.values()) {
      const { head, isDone } = source.logs
      if (head === undefined) {
        if (!isDone && !this.#request.follow) return undefined
      } else if (oldest === undefined || compareLines(head, oldest) < 0) {
        next = source
        oldest = head
      }
    }
    return next
  }

  *#errors(): Generator<LogLine, void, undefined> {
    for (const source of this.#sources.values()) {
      const { err } = source.logs
      if (err !== '' && err !== source.toldErr) {
        source.toldErr = err
        const nothing = { atMs: 0, atNanos: 0, stderr: false, text: noText, attributes: {} }
        yield { ...this.#about(source), ...nothing, err }
      }
    }
  }

  #logLine(source: Source, line: TaskLogLine): LogLine {
    const { atMs, atNanos, stderr, text, attributes } = line
    return { ...this.#about(source), atMs, atNanos, stderr, text, attributes, err: '' }
  }

  #about(source: Source) {
    const { task } = source
    return this.#deps.store.view((tx) => {
      if (tx.get('services', task.serviceId) !== undefined) source.name = taskName(tx, task)
      const node = task.nodeId === undefined ? undefined : tx.get('nodes', task.nodeId)
      return {
        taskId: task.id,
        taskName: source.name,
        serviceId: task.serviceId,
        nodeId: task.nodeId ?? '',
        nodeHostname: node?.description?.hostname ?? '',
      }
    })
  }

  /** Tasks that have a node and are not read yet. Tasks made later are read from their beginning. */
  #addSources(tail: number | undefined): void {
    const { store, clock } = this.#deps
    for (const task of store.view((tx) => this.#selection(tx).filter(hasNode))) {
      const { id, nodeId } = task
      if (this.#sources.has(id) || nodeId === undefined) continue
      const { follow, sinceMs, stdout, stderr, details } = this.#request
      const limit = tail === undefined ? {} : { tail }
      const logs = new TaskLogs({
        clock,
        task: () => store.view((tx) => tx.get('tasks', id)),
        node: () => store.view((tx) => tx.get('nodes', nodeId)),
        open: (node, request) => this.#open(node, request),
        request: { taskIds: [id], follow, sinceMs, stdout, stderr, details, ...limit },
        onNews: () => this.#wake(),
      })
      const name = store.view((tx) => taskName(tx, task))
      this.#sources.set(id, { logs, task, toldErr: '', name })
      // Never rejects: failures show as `err`.
      void logs.run(this.#signal)
    }
  }

  /** New tasks of the service, until it is removed. */
  async #watch(serviceId: string): Promise<void> {
    const { store } = this.#deps
    while (!this.#signal.aborted && this.#mayGrow) {
      const selector = {
        tasks: { index: 'byService', keys: [serviceId] },
        services: { ids: [serviceId] },
      } as const
      const commits = store.watch(selector, { signal: this.#signal, bufferMax: commitsWaitingMax })
      this.#look(serviceId)
      try {
        for await (const _ of commits) {
          this.#look(serviceId)
          if (!this.#mayGrow) break
        }
      } catch (err) {
        if (!(err instanceof WatchLagged)) throw err
      }
    }
  }

  #look(serviceId: string): void {
    this.#addSources(undefined)
    this.#mayGrow = this.#deps.store.view((tx) => tx.get('services', serviceId)) !== undefined
    this.#wake()
  }

  #open(node: Node, request: LogRequest): NodeLogs {
    const { cluster, hub } = this.#deps
    const manager = node.sessionManagerId
    if (manager === undefined) {
      const name = node.description?.hostname ?? node.id
      throw new SwarmError('UNAVAILABLE', `node ${name} is not available (${node.state})`)
    }
    if (manager === cluster.selfNodeId()) return hub.open(node.id, request)
    return this.#relay(manager, node.id, request)
  }

  #relay(manager: NodeId, id: NodeId, request: LogRequest): NodeLogs {
    const stream = this.#deps.openRelay(manager, this.#signal)
    // A stream that breaks shows where it is read.
    const send = (message: RelayLogsRequest): void => {
      stream.send(message).catch(() => {})
    }
    const subscribe = { ...request, subscriptionId: '' }
    send({ kind: { $case: 'open', value: { nodeId: id, subscribe } } })
    let isClosed = false
    return {
      events: relayEvents(stream, () => isClosed),
      grant: (lines) => {
        send({ kind: { $case: 'credit', value: { subscriptionId: '', lines } } })
      },
      close: () => {
        isClosed = true
        stream.close()
      },
    }
  }
}

const noText = new Uint8Array()

async function* relayEvents(
  stream: RelayStream,
  isClosed: () => boolean,
): AsyncGenerator<LogEvent, void, undefined> {
  try {
    for await (const { kind } of stream.incoming) if (kind !== undefined) yield kind
  } catch (err) {
    if (!isClosed()) throw err
  }
}

function hasNode(task: Task): boolean {
  return task.nodeId !== undefined && task.state >= TaskState.ASSIGNED
}

/** A service, or else a task. Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT. */
function findTarget(
  tx: ReadTx,
  reference: string,
): { readonly kind: 'service' | 'task'; readonly id: string } {
  try {
    return { kind: 'service', id: findService(tx, reference).id }
  } catch (err) {
    if (!hasCode(err, 'NOT_FOUND')) throw err
  }
  try {
    return { kind: 'task', id: findTask(tx, reference).id }
  } catch (err) {
    if (!hasCode(err, 'NOT_FOUND')) throw err
    throw noSuchTarget(tx, reference, err)
  }
}
