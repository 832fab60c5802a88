// The leader's loops over a real store on virtual time, with agents that do what they are told at once. For tests of
// the loops together, without Raft and without a network.
import { OverlayHistory } from '../../manager/bus/overlay-history.ts'
import { storeOverlay } from '../../manager/bus/store-overlay.ts'
import { allocatorLoop } from '../../manager/loops/allocator-loop.ts'
import { nodeTasksLoop } from '../../manager/loops/node-tasks-loop.ts'
import { rebalanceLoop } from '../../manager/loops/rebalance-loop.ts'
import { schedulerLoop } from '../../manager/loops/scheduler-loop.ts'
import { servicesLoop } from '../../manager/loops/services-loop.ts'
import { taskReaperLoop } from '../../manager/loops/task-reaper-loop.ts'
import type { NetworkAcks } from '../../manager/overlay/network-acks.ts'
import { createMemoryStore } from '../../manager/store/memory-store.ts'
import type { ReplicatedStore } from '../../manager/store/replicated-store.ts'
import { networkSubject } from '../../proto/bus/subjects.ts'
import { runAll } from '../../proto/lib/lifecycle.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { seededRandom } from '../../proto/lib/random.ts'
import {
  isActive,
  isTerminal,
  isToRun,
  type NetworkId,
  type Node,
  nodeId,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import {
  aCluster,
  aNetwork,
  aNode,
  aService,
  aSpecRecord,
  type ClusterFacts,
  type NetworkFacts,
  type NodeFacts,
  type ServiceFacts,
  type TaskSpecFacts,
} from './objects.ts'
import { settle, VirtualClock } from './virtual-clock.ts'

export class LoopWorld {
  readonly clock = new VirtualClock()
  readonly store: ReplicatedStore
  readonly #history: OverlayHistory
  /** Tasks whose agent does not act on them. */
  readonly held = new Set<string>()
  /** Nodes whose agent is cut off. */
  readonly silent = new Set<string>()
  /** Tasks of jobs end well as soon as they run. */
  jobsEnd = true
  failure: unknown
  /** Up to which index nodes have followed their networks. */
  ackedIndex = Number.POSITIVE_INFINITY
  readonly #onAck = new Set<() => void>()
  readonly #random = seededRandom(11)
  #loops: AbortController | undefined
  #running: Promise<void> = Promise.resolve()

  constructor() {
    this.store = createMemoryStore({ clock: this.clock, random: this.#random })
    this.#history = new OverlayHistory(this.store, storeOverlay)
  }

  /** Begins a term of leadership. */
  lead(): void {
    const { store, clock } = this
    const basics = { store, clock, random: this.#random, log: silentLogger }
    const changedIndex = (id: NetworkId): number => this.#history.lastOf(networkSubject(id)).index
    const deps = { ...basics, acks: this.#acks(), changedIndex }
    this.#loops = new AbortController()
    const loops = [
      rebalanceLoop,
      schedulerLoop,
      servicesLoop,
      taskReaperLoop,
      nodeTasksLoop,
      allocatorLoop,
    ]
    this.#running = runAll(
      this.#loops.signal,
      loops.map((loop) => loop(deps)),
    ).catch((err: unknown) => {
      this.failure = err
    })
  }

  /** All nodes have followed up to there. */
  ack(index: number): void {
    this.ackedIndex = index
    for (const listener of this.#onAck) listener()
  }

  #acks(): NetworkAcks {
    return {
      reachedIndex: () => this.ackedIndex,
      forgottenIndex: () => this.ackedIndex,
      onRise: (listener) => {
        this.#onAck.add(listener)
        return () => this.#onAck.delete(listener)
      },
    }
  }

  /** Ends the term: the loops forget everything. */
  async resign(): Promise<void> {
    this.#loops?.abort()
    await this.#running
    if (this.failure !== undefined) throw this.failure
  }

  async addCluster(facts: ClusterFacts): Promise<void> {
    await this.store.update((tx) => tx.create('cluster', aCluster(facts)))
  }

  async addNode(facts: NodeFacts): Promise<void> {
    await this.store.update((tx) => tx.create('nodes', aNode(facts)))
  }

  async addNetwork(facts: NetworkFacts): Promise<void> {
    await this.store.update((tx) => tx.create('networks', aNetwork(facts)))
  }

  async setNode(id: string, change: Partial<Node>): Promise<void> {
    await this.store.update((tx) => {
      const node = tx.get('nodes', id)
      if (node !== undefined) tx.update('nodes', { ...node, ...change, stateAtMs: tx.nowMs })
    })
  }

  async setAvailability(id: string, availability: Node['spec']['availability']): Promise<void> {
    const node = this.store.view((tx) => tx.get('nodes', id))
    if (node !== undefined) await this.setNode(id, { spec: { ...node.spec, availability } })
  }

  async addSpec(hash: string, facts: TaskSpecFacts): Promise<void> {
    await this.store.update((tx) => tx.create('taskSpecs', aSpecRecord(hash, facts)))
  }

  async addService(facts: ServiceFacts): Promise<void> {
    await this.store.update((tx) => tx.create('services', aService(facts)))
  }

  async setService(change: Partial<Service>): Promise<void> {
    await this.store.update((tx) => {
      for (const service of tx.all('services')) tx.update('services', { ...service, ...change })
    })
  }

  async scale(replicas: number): Promise<void> {
    const service = this.store.view((tx) => [...tx.all('services')][0])
    if (service === undefined) return
    await this.setService({ spec: { ...service.spec, mode: { kind: 'replicated', replicas } } })
  }

  /** Reports a state of the task, as its agent would. */
  async report(id: string, state: TaskState, err = ''): Promise<void> {
    await this.store.update((tx) => {
      const task = tx.get('tasks', id)
      if (task === undefined || task.state >= state) return
      tx.update('tasks', { ...task, state, err, appliedAtMs: tx.nowMs, stateAtMs: tx.nowMs })
    })
  }

  tasks(): readonly Task[] {
    return this.store.view((tx) => [...tx.all('tasks')])
  }

  running(): readonly Task[] {
    return this.tasks().filter((task) => isActive(task) && task.state === TaskState.RUNNING)
  }

  /** Lets loops and agents act until nothing moves, without time passing. */
  async quiet(): Promise<void> {
    for (let calm = 0; calm < 3; calm++) {
      const index = this.store.appliedIndex
      await this.clock.advance(0)
      await this.#agents()
      await settle()
      if (this.store.appliedIndex !== index) calm = -1
      if (this.failure !== undefined) throw this.failure
    }
  }

  /** Lets time pass in steps of 10 ms. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 10) {
      await this.clock.advance(Math.min(10, left))
      await this.quiet()
    }
  }

  async #agents(): Promise<void> {
    for (const task of this.tasks()) {
      const next = this.#next(task)
      if (next !== undefined) await this.report(task.id, next)
    }
  }

  #next(task: Task): TaskState | undefined {
    if (task.nodeId === undefined || isTerminal(task.state) || this.held.has(task.id))
      return undefined
    if (this.silent.has(task.nodeId)) return undefined
    if (this.store.view((tx) => tx.get('nodes', nodeId(task.nodeId ?? ''))) === undefined) {
      return undefined
    }
    if (task.desiredState >= TaskState.SHUTDOWN) return TaskState.SHUTDOWN
    if (task.state < TaskState.READY) return TaskState.READY
    if (!isToRun(task)) return undefined
    if (task.state < TaskState.RUNNING) return TaskState.RUNNING
    return this.jobsEnd && task.jobIteration !== undefined ? TaskState.COMPLETE : undefined
  }
}
