// Lets a task that is to stop run on until no node leads connections to it any more: every node that holds its networks
// has followed to where its endpoint was taken away, or has been waited for long enough. Then its node is told.
import { Bell } from '../../proto/lib/bell.ts'
import { wait } from '../../proto/lib/clock.ts'
import { type NamedLoop, runAll } from '../../proto/lib/lifecycle.ts'
import {
  isDraining,
  isTerminal,
  type Node,
  networkId,
  type Task,
  type TaskId,
} from '../../proto/objects/index.ts'
import { dnsTtlSeconds } from '../../proto/objects/overlay.ts'
import type { AckTable } from '../overlay/ack-table.ts'
import type { Change, ReadTx } from '../store/store.ts'
import { type Leaving, LeavingConnections } from './leaving-connections.ts'
import { pictureLoop } from './picture-loop.ts'
import type { ReconcileDeps } from './reconcile-loop.ts'

export interface DrainLoopDeps extends ReconcileDeps {
  readonly acks: AckTable
}

/** A node that does not follow is not waited for longer than this. */
export const drainMs = 5_000
const tasksPerUpdate = 200
const tasksPerSlice = 5_000
const commitsWaitingMax = 10_000

interface Draining {
  /** The commit that took its endpoint away. */
  readonly index: number
  /** On the monotonic clock. */
  readonly sinceMs: number
  /** When all nodes were seen to have followed. */
  reachedAtMs: number | undefined
}

/** Runs while this manager leads. */
export function drainLoop(deps: DrainLoopDeps): NamedLoop {
  const { name, run } = pictureLoop(deps, 'drain', (signal) => new Drains(deps).run(signal))
  return {
    name,
    run: async (signal) => {
      deps.acks.beginTerm()
      await run(signal)
    },
  }
}

class Drains {
  readonly #deps: DrainLoopDeps
  readonly #draining = new Map<TaskId, Draining>()
  readonly #leaving: LeavingConnections
  readonly #bell = new Bell()

  constructor(deps: DrainLoopDeps) {
    this.#deps = deps
    this.#leaving = new LeavingConnections(deps.acks, deps.clock, drainMs)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { store, acks } = this.#deps
    acks.learnAnew()
    const ended = new AbortController()
    const commits = store.watch(
      { cluster: 'all', nodes: 'all', networks: 'all', tasks: 'all' },
      { signal: ended.signal, bufferMax: commitsWaitingMax },
    )
    const learning = this.#learn(signal)
    const stopHearing = acks.onRise(() => this.#bell.ring())
    const watch = async (): Promise<void> => {
      await learning
      for await (const commit of commits) {
        for (const change of commit.changes) this.#note(change, commit.index)
        this.#bell.ring()
      }
    }
    const release = async (own: AbortSignal): Promise<void> => {
      try {
        await learning
        await this.#release(own)
      } finally {
        stopHearing()
        ended.abort()
      }
    }
    await runAll(signal, [
      { name: 'watch', run: watch },
      { name: 'release', run: release },
    ])
  }

  /** As of this moment, bit by bit. When a task began to drain is not known: it counts as now. */
  async #learn(signal: AbortSignal): Promise<void> {
    const { store, acks, clock } = this.#deps
    const tasks = store.rows('tasks')
    const index = store.appliedIndex
    acks.setLearning(true)
    this.#noteIngress()
    store.view((tx) => {
      for (const { epoch } of tx.all('cluster')) acks.setEpoch(epoch)
      for (const node of tx.all('nodes')) this.#noteNode(node)
    })
    try {
      for (let i = 1, task = tasks.next(); task !== undefined; task = tasks.next(), i++) {
        this.#noteTask(undefined, task, index)
        if (i % tasksPerSlice !== 0) continue
        if (signal.aborted) return
        await wait(clock, 0, signal)
      }
      acks.setLearning(false)
    } finally {
      tasks.close()
    }
  }

  #note(change: Change, index: number): void {
    switch (change.table) {
      case 'tasks': {
        const before = change.kind === 'create' ? undefined : oldOf(change)
        this.#noteTask(before, change.kind === 'remove' ? undefined : change.object, index)
        return
      }
      case 'nodes':
        if (change.kind === 'remove') this.#deps.acks.drop(change.object.id)
        else this.#noteNode(change.object)
        return
      case 'networks':
        if (change.object.spec.isIngress) this.#noteIngress()
        return
      case 'cluster':
        if (change.kind !== 'remove') this.#deps.acks.setEpoch(change.object.epoch)
        return
      default:
        return
    }
  }

  /** Each node leads to the ports of the mesh. */
  #noteIngress(): void {
    const { store, acks } = this.#deps
    const networks = store.view((tx) => [...tx.all('networks')])
    acks.setHeldByAll(networks.filter(({ spec }) => spec.isIngress).map(({ id }) => id))
  }

  #noteNode({ id, state }: Node): void {
    this.#deps.acks.setUp(id, state === 'ready')
  }

  #noteTask(before: Task | undefined, after: Task | undefined, index: number): void {
    const [was, is] = [holdingNode(before), holdingNode(after)]
    if (was !== is || before?.attachments !== after?.attachments) {
      // First what it has: a network that it keeps is held without a break.
      if (after !== undefined && is !== undefined) this.#count(after, is, 1)
      if (before !== undefined && was !== undefined) this.#count(before, was, -1)
    }
    this.#leaving.note(before, after, index)
    const id = (after ?? before)?.id
    if (id === undefined) return
    if (after === undefined || !isDraining(after)) this.#draining.delete(id)
    else if (!this.#draining.has(id)) {
      const sinceMs = this.#deps.clock.monotonicMs()
      this.#draining.set(id, { index, sinceMs, reachedAtMs: undefined })
    }
  }

  #count(task: Task, node: NonNullable<Task['nodeId']>, step: 1 | -1): void {
    for (const one of task.attachments) this.#deps.acks.count(networkId(one.networkId), node, step)
  }

  async #release(signal: AbortSignal): Promise<void> {
    const { store, clock, log } = this.#deps
    while (!signal.aborted) {
      const { due, late, nextAtMs } = store.view((tx) => this.#due(tx))
      const leaving = store.view((tx) => this.#leaving.due(tx))
      if (late.length + leaving.late > 0)
        log.warn({ tasks: late.length + leaving.late, drainMs }, 'a node does not let go of tasks')
      if (due.length + leaving.due.length === 0) {
        const atMs = Math.min(nextAtMs, leaving.nextAtMs)
        const inMs = Math.max(1, atMs - clock.monotonicMs())
        const isNone = atMs === Number.POSITIVE_INFINITY
        await this.#bell.wait(clock, isNone ? undefined : inMs, signal)
        continue
      }
      await this.#unplug(leaving.due)
      for (let at = 0; at < due.length; at += tasksPerUpdate) {
        await this.#write(due.slice(at, at + tasksPerUpdate))
      }
    }
  }

  #due(tx: ReadTx): {
    readonly due: readonly TaskId[]
    readonly late: readonly TaskId[]
    readonly nextAtMs: number
  } {
    const nowMs = this.#deps.clock.monotonicMs()
    const due: TaskId[] = []
    const late: TaskId[] = []
    let nextAtMs = Number.POSITIVE_INFINITY
    for (const [id, draining] of this.#draining) {
      const task = tx.get('tasks', id)
      if (task === undefined || !isDraining(task)) {
        this.#draining.delete(id)
        continue
      }
      const atMs = this.#releaseAtMs(tx, task, draining)
      if (atMs > nowMs) nextAtMs = Math.min(nextAtMs, atMs)
      else {
        due.push(id)
        if (draining.reachedAtMs === undefined) late.push(id)
      }
    }
    return { due, late, nextAtMs }
  }

  async #unplug(due: readonly Leaving[]): Promise<void> {
    for (let at = 0; at < due.length; at += tasksPerUpdate) {
      const part = due.slice(at, at + tasksPerUpdate)
      await this.#deps.store.update((tx) => this.#leaving.write(tx, part))
      this.#leaving.forget(part)
    }
  }

  #releaseAtMs(tx: ReadTx, task: Task, draining: Draining): number {
    const { acks, clock } = this.#deps
    const isReached = task.attachments.every(
      (one) => acks.reachedIndex(networkId(one.networkId)) >= draining.index,
    )
    if (isReached) draining.reachedAtMs ??= clock.monotonicMs()
    if (draining.reachedAtMs === undefined) return draining.sinceMs + drainMs
    // Who looked its name up a moment ago may still connect to it.
    const isNamed = tx.get('services', task.serviceId)?.spec.endpointMode === 'dnsrr'
    return draining.reachedAtMs + (isNamed ? dnsTtlSeconds * 1000 : 0)
  }

  async #write(ids: readonly TaskId[]): Promise<void> {
    const { store } = this.#deps
    await store.update((tx) => {
      for (const id of ids) {
        const task = tx.get('tasks', id)
        if (task !== undefined && isDraining(task)) tx.update('tasks', { ...task, isDrained: true })
      }
    })
    for (const id of ids) this.#draining.delete(id)
  }
}

/** The node that holds the task's networks for it. */
function holdingNode(task: Task | undefined): Task['nodeId'] {
  if (task === undefined || task.attachments.length === 0 || isTerminal(task.state))
    return undefined
  return task.nodeId
}

function oldOf(
  change:
    | { readonly kind: 'remove'; readonly object: Task }
    | { readonly kind: 'update'; readonly object: Task; readonly old: Task },
): Task {
  return change.kind === 'update' ? change.old : change.object
}
