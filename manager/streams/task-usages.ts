// TaskUsages of the control API: one stream a node that runs any of the tasks, joined into one. A node that tells nothing is
// named beside its tasks and asked again; the others go on.
import { SwarmError } from '../../proto/errors.ts'
import type { TaskUsagesRequest } from '../../proto/gen/tsswarm/v1/control.ts'
import type { StreamOpen, TaskUsage, UsageSample } from '../../proto/gen/tsswarm/v1/streams.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import { BoundedQueue } from '../../proto/lib/queue.ts'
import { type Node, type Task, TaskState } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Store } from '../store/store.ts'
import type { OpenNodeStream } from './node-streams.ts'
import { findRunningTasks, taskName } from './running-task.ts'

export interface TaskUsagesDeps {
  readonly store: Store
  readonly cluster: { readBarrier(signal: AbortSignal): Promise<void> }
  readonly openNode: OpenNodeStream
  readonly clock: Clock
}

const intervalMinMs = 250
/** Samples that wait for a slow client; newer ones replace nothing, they are left out. */
const samplesMax = 1_024
/** Tasks that come and go are looked for this often. */
const lookMs = 2_000
const onceMs = 10_000

/** Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT, FAILED_PRECONDITION (a task that does not run), NO_LEADER. */
export function taskUsages(deps: TaskUsagesDeps) {
  return async function* (
    _caller: Caller,
    request: TaskUsagesRequest,
    signal: AbortSignal,
  ): AsyncGenerator<UsageSample, void, undefined> {
    await deps.cluster.readBarrier(signal)
    // Refused before anything is asked.
    deps.store.view((tx) => wanted(tx, request.references))
    const { controller, release } = childController(signal)
    const reader = new UsageReader(deps, request, controller.signal)
    try {
      yield* reader.samples()
    } finally {
      controller.abort()
      release()
    }
  }
}

interface Facts {
  readonly taskName: string
  readonly nodeHostname: string
  readonly containerId: string
}

class UsageReader {
  readonly #deps: TaskUsagesDeps
  readonly #request: TaskUsagesRequest
  readonly #signal: AbortSignal
  readonly #queue = new BoundedQueue<UsageSample>(samplesMax)
  /** By node: the tasks that it was asked for, and how to end that. */
  readonly #asked = new Map<string, { readonly ids: string; readonly end: () => void }>()

  constructor(deps: TaskUsagesDeps, request: TaskUsagesRequest, signal: AbortSignal) {
    this.#deps = deps
    this.#request = request
    this.#signal = signal
    signal.addEventListener('abort', () => this.#queue.close(), { once: true })
  }

  async *samples(): AsyncGenerator<UsageSample, void, undefined> {
    const run = this.#request.once ? this.#once() : this.#follow()
    run.then(
      () => this.#queue.close(),
      (err: unknown) => this.#queue.close(err instanceof Error ? err : new Error(String(err))),
    )
    yield* this.#queue
  }

  async #once(): Promise<void> {
    const nodes = this.#byNode()
    await Promise.all([...nodes.values()].map((tasks) => this.#ask(tasks, this.#signal)))
  }

  async #follow(): Promise<void> {
    while (!this.#signal.aborted) {
      const nodes = this.#byNode()
      for (const [id, { end }] of this.#asked) if (!nodes.has(id)) end()
      for (const [id, tasks] of nodes) {
        const ids = tasks.map((task) => task.id).join()
        if (this.#asked.get(id)?.ids === ids) continue
        this.#asked.get(id)?.end()
        this.#start(id, ids, tasks)
      }
      await wait(this.#deps.clock, lookMs, this.#signal)
    }
  }

  #start(nodeId: string, ids: string, tasks: readonly Task[]): void {
    const { controller, release } = childController(this.#signal)
    const entry = { ids, end: () => controller.abort() }
    this.#asked.set(nodeId, entry)
    this.#ask(tasks, controller.signal)
      .finally(() => {
        release()
        // Whatever ended it, the next look asks again.
        if (this.#asked.get(nodeId) === entry) this.#asked.delete(nodeId)
      })
      .catch(() => {})
  }

  /** Never rejects: why there is nothing is told as what the tasks use. */
  async #ask(tasks: readonly Task[], signal: AbortSignal): Promise<void> {
    const facts = this.#factsOf(tasks)
    try {
      await this.#read(tasks, facts, signal)
    } catch (err) {
      if (signal.aborted) return
      const text = err instanceof Error ? err.message : String(err)
      this.#queue.offer({ tasks: tasks.map(({ id }) => silent(id, facts.get(id), text)) })
    }
  }

  async #read(
    tasks: readonly Task[],
    facts: ReadonlyMap<string, Facts>,
    signal: AbortSignal,
  ): Promise<void> {
    const { controller, release } = childController(signal)
    const { once } = this.#request
    const timer = once
      ? this.#deps.clock.setTimer(onceMs, () => controller.abort())
      : { cancel: () => {} }
    const stream = await this.#deps.openNode(
      this.#node(tasks),
      this.#opening(tasks),
      controller.signal,
    )
    const stop = (): void => stream.close()
    controller.signal.addEventListener('abort', stop, { once: true })
    stream.lost.addEventListener('abort', stop, { once: true })
    let isHeard = false
    try {
      for await (const { kind } of stream.incoming) {
        if (kind?.$case === 'ended' && kind.value.err !== '') {
          throw new SwarmError('UNAVAILABLE', kind.value.err)
        }
        if (kind?.$case === 'ended') return
        if (kind?.$case !== 'usage') continue
        isHeard = true
        this.#queue.offer({
          tasks: kind.value.tasks.map((one) => ({ ...one, ...facts.get(one.taskId) })),
        })
      }
      if (!isHeard) throw new SwarmError('UNAVAILABLE', 'the node does not answer')
    } finally {
      timer.cancel()
      release()
      stop()
    }
  }

  #node(tasks: readonly Task[]): Node {
    const node = this.#deps.store.view((tx) => tx.get('nodes', tasks[0]?.nodeId ?? ''))
    if (node !== undefined) return node
    throw new SwarmError('UNAVAILABLE', 'its node was removed')
  }

  #opening(tasks: readonly Task[]): StreamOpen {
    const { intervalMs, once } = this.#request
    const value = {
      taskIds: tasks.map(({ id }) => id),
      intervalMs: Math.max(intervalMs, intervalMinMs),
      once,
    }
    const what = { $case: 'usage', value } as const
    return { requestId: '', reference: '', user: '', taskId: '', nodeId: '', what }
  }

  #byNode(): ReadonlyMap<string, readonly Task[]> {
    const tasks = this.#deps.store.view((tx) => {
      try {
        return wanted(tx, this.#request.references)
      } catch {
        // Gone meanwhile: there is nothing more of it.
        return []
      }
    })
    const nodes = new Map<string, Task[]>()
    for (const task of tasks) {
      const id = task.nodeId ?? ''
      nodes.set(id, [...(nodes.get(id) ?? []), task])
    }
    return nodes
  }

  #factsOf(tasks: readonly Task[]): ReadonlyMap<string, Facts> {
    return this.#deps.store.view(
      (tx) =>
        new Map(
          tasks.map((task) => {
            const node = task.nodeId === undefined ? undefined : tx.get('nodes', task.nodeId)
            const nodeHostname = node?.description?.hostname ?? task.nodeId ?? ''
            const { containerId } = task
            return [task.id, { taskName: taskName(tx, task), nodeHostname, containerId }]
          }),
        ),
    )
  }
}

/** Each once. */
function wanted(tx: ReadTx, references: readonly string[]): readonly Task[] {
  const all =
    references.length === 0
      ? [...tx.all('tasks')].filter(({ state }) => state === TaskState.RUNNING)
      : references.flatMap((one) => findRunningTasks(tx, one))
  return [...new Map(all.map((task) => [task.id, task])).values()]
}

function silent(taskId: string, facts: Facts | undefined, err: string): TaskUsage {
  return {
    taskId,
    ...(facts ?? { taskName: '', nodeHostname: '', containerId: '' }),
    err,
    cpuTotalNanos: 0,
    cpuPermille: 0,
    memoryBytes: 0,
    memoryLimitBytes: 0,
    receivedBytes: 0,
    sentBytes: 0,
    readBytes: 0,
    writtenBytes: 0,
    pids: 0,
  }
}
