// A leader that publishes overlay networks and nodes that hold them: real store, history, publisher, fetch handler and feeds, over a bus
// that the test gives.
import { createFetchOverlay } from '../../manager/bus/fetch-overlay.ts'
import { OverlayHistory } from '../../manager/bus/overlay-history.ts'
import { type BusWriter, overlayPublisherLoop } from '../../manager/bus/overlay-publisher.ts'
import { storeOverlay } from '../../manager/bus/store-overlay.ts'
import { createMemoryStore } from '../../manager/store/memory-store.ts'
import type { ReplicatedStore } from '../../manager/store/replicated-store.ts'
import type { BusReader, FeedTiming } from '../../proto/bus/feed-set.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { seededRandom } from '../../proto/lib/random.ts'
import {
  type NetworkId,
  networkId,
  nodeId,
  type Task,
  TaskState,
  taskId,
} from '../../proto/objects/index.ts'
import { OverlayFeed, type OverlayTransport } from '../../worker/overlay-feed.ts'
import { aCluster, aNetwork, aNode, aService, aSpecRecord, aTask } from './objects.ts'

const manager = { nodeId: 'm1', address: 'm1:2377' }

export class OverlayWorld {
  readonly store: ReplicatedStore
  readonly history: OverlayHistory
  readonly life = childController().controller
  readonly #clock: Clock
  readonly #running: Promise<void>[] = []
  #endTerm: () => Promise<void> = async () => {}
  /** Managers answer, or not. */
  areManagersUp = true
  /** Managers neither answer nor refuse. */
  areManagersSilent = false
  fetches = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.store = createMemoryStore({ clock, random: seededRandom(1) })
    this.history = new OverlayHistory(this.store, storeOverlay)
  }

  /** A network `net-1` with a service on it, nodes w1 and w2, and a task of the service on w1. */
  async fill(): Promise<void> {
    await this.store.update((tx) => {
      tx.create('cluster', aCluster({}))
      for (const [at, id] of ['w1', 'w2'].entries()) {
        tx.create('nodes', aNode({ id, address: `10.0.0.${at + 1}`, mark: at + 1 }))
      }
      tx.create('networks', aNetwork({ id: 'net-1', name: 'front' }))
      tx.create('taskSpecs', aSpecRecord('spec-1', { networks: [{ target: 'net-1' }] }))
      const service = aService({
        id: 'service-1',
        name: 'web',
        task: { networks: [{ target: 'net-1' }] },
      })
      tx.create('services', service)
      tx.create(
        'tasks',
        aTask({ id: 'task-1', node: 'w1', attachments: { 'net-1': ['10.1.0.2'] } }),
      )
    })
  }

  async addTask(id: string, node: string, address: string): Promise<void> {
    await this.store.update((tx) =>
      tx.create('tasks', aTask({ id, node, attachments: { 'net-1': [address] } })),
    )
  }

  async changeTask(id: string, change: Partial<Task>): Promise<void> {
    await this.store.update((tx) => {
      const task = tx.get('tasks', taskId(id))
      if (task === undefined) throw new Error(`no task ${id}`)
      tx.update('tasks', { ...task, ...change })
    })
  }

  /** The task neither serves nor will it. */
  async retire(id: string): Promise<void> {
    await this.changeTask(id, { desiredState: TaskState.SHUTDOWN })
  }

  lead(bus: BusWriter): void {
    const { controller, release } = childController(this.life.signal)
    const { store, history } = this
    const deps = {
      store,
      history,
      source: storeOverlay,
      bus,
      clock: this.#clock,
      log: silentLogger,
    }
    const running = overlayPublisherLoop(deps).run(controller.signal)
    this.#endTerm = async () => {
      controller.abort()
      release()
      await running
    }
  }

  async resign(): Promise<void> {
    await this.#endTerm()
    this.#endTerm = async () => {}
  }

  node(name: string, bus: BusReader, timing: Partial<FeedTiming> = {}): OverlayFeed {
    const feed = new OverlayFeed({
      bus,
      transport: this.transport(name),
      sessionManager: () => manager,
      managers: () => [manager],
      onKnowledge: () => {},
      clock: this.#clock,
      random: seededRandom(name.length),
      log: silentLogger,
      timing,
    })
    this.#running.push(feed.run(this.life.signal))
    return feed
  }

  /** What a manager answers to that node. */
  transport(name: string): OverlayTransport {
    const { store, history } = this
    const readBarrier = async (): Promise<void> => {
      if (!this.areManagersUp) throw new SwarmError('NO_LEADER', 'there is none')
    }
    const handle = createFetchOverlay({ store, history, source: storeOverlay, readBarrier })
    const caller = { kind: 'node', nodeId: nodeId(name), role: 'worker' } as const
    return {
      fetchOverlay: (_, request, signal) => {
        this.fetches += 1
        return this.areManagersSilent ? silence(signal) : handle(caller, request, signal)
      },
    }
  }

  /** Addresses of the tasks that serve on the network, as the node knows it. */
  serving(feed: OverlayFeed, id: NetworkId = networkId('net-1')): readonly string[] {
    const tasks = feed.known.views.get(id)?.tasks ?? []
    return tasks.flatMap(({ isServing, addresses }) => (isServing ? addresses : [])).sort()
  }

  async stop(): Promise<void> {
    await this.resign()
    this.life.abort()
    await Promise.all(this.#running)
  }
}

/** Until the signal aborts. */
async function* silence(signal: AbortSignal): AsyncGenerator<never, void, undefined> {
  await new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** A bus of one process: whoever is connected hears what is published while `isUp`, unless it is lost. */
export class PipeBus implements BusWriter {
  isUp = true
  /** Whether a message is lost. */
  loses: (subject: string) => boolean = () => false
  published = 0
  readonly #readers = new Map<string, Set<(bytes: Uint8Array) => void>>()
  readonly #listeners = new Set<(isConnected: boolean) => void>()
  abandoned = 0

  publish(subject: string, bytes: Uint8Array): boolean {
    this.published += 1
    if (!this.isUp || this.loses(subject)) return this.isUp
    for (const hear of this.#readers.get(subject) ?? []) hear(bytes)
    return true
  }

  async flush(): Promise<boolean> {
    return this.isUp
  }

  set(isUp: boolean): void {
    this.isUp = isUp
    for (const listener of [...this.#listeners]) listener(isUp)
  }

  onConnection(listener: (isConnected: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  reader(): BusReader {
    const isConnected = () => this.isUp
    return {
      get isConnected() {
        return isConnected()
      },
      subscribe: (subject, onMessage) => {
        const readers = this.#readers.get(subject) ?? new Set()
        this.#readers.set(subject, readers.add(onMessage))
        return () => readers.delete(onMessage)
      },
      onConnection: (listener) => this.onConnection(listener),
      abandon: () => {
        this.abandoned += 1
      },
    }
  }

  /** A message that nobody of ours wrote. */
  inject(subject: string, bytes: Uint8Array): void {
    for (const hear of this.#readers.get(subject) ?? []) hear(bytes)
  }
}
