// The leader's host is lost: what its agent said last, to another manager, must not keep addresses from those that take its place.
import t, { type Test } from 'tap'
import { OverlayHistory } from '../../../../manager/bus/overlay-history.ts'
import { storeOverlay } from '../../../../manager/bus/store-overlay.ts'
import { allocatorLoop } from '../../../../manager/loops/allocator-loop.ts'
import { drainLoop } from '../../../../manager/loops/drain-loop.ts'
import { AckTable, staleMs } from '../../../../manager/overlay/ack-table.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { networkSubject } from '../../../../proto/bus/subjects.ts'
import { runAll } from '../../../../proto/lib/lifecycle.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { networkId, nodeId, TaskState, taskId } from '../../../../proto/objects/index.ts'
import {
  aCluster,
  aNetwork,
  aNode,
  aService,
  aSpecRecord,
  aTask,
} from '../../../support/objects.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const net = networkId('net-1')
const onNet = { networks: [{ target: net }] }

/** The new leader of a cluster in which tasks run on the hosts a, b and c; nothing of the network changes since. */
class World {
  readonly clock = new VirtualClock()
  readonly store = createMemoryStore({ clock: this.clock, random: seededRandom(1) })
  readonly acks = new AckTable(this.clock)
  readonly #history = new OverlayHistory(this.store, storeOverlay)
  readonly #life = new AbortController()
  #running: Promise<void> = Promise.resolve()

  static async begin(t: Test): Promise<World> {
    const world = new World()
    const { store, clock } = world
    await store.update((tx) => {
      tx.create('cluster', aCluster({}))
      for (const id of ['a', 'b', 'c']) tx.create('nodes', aNode({ id }))
      tx.create('taskSpecs', aSpecRecord('spec-1', onNet))
      tx.create('networks', aNetwork({ id: net, subnets: ['10.0.1.0/24'] }))
      tx.create('services', aService({ task: onNet, endpointMode: 'dnsrr' }))
    })
    await store.update((tx) => {
      for (const [at, node] of ['a', 'b', 'c'].entries()) {
        const attachments = { [net]: [`10.0.1.${at + 2}`] }
        tx.create('tasks', aTask({ id: `on-${node}`, slot: at + 1, node, attachments }))
      }
    })
    // What has nothing to do with networks goes on, so nobody has acknowledged the latest index.
    await store.update((tx) => tx.create('taskSpecs', aSpecRecord('spec-2', {})))
    t.teardown(() => world.#resign())
    world.#lead()
    await clock.advance(1)
    return world
  }

  /** When the network last changed. */
  get changedIndex(): number {
    return this.#history.lastOf(networkSubject(net)).index
  }

  /** What the node said last, to whichever manager. */
  said(node: string, index: number): void {
    const epoch = this.store.view((tx) => [...tx.all('cluster')])[0]?.epoch ?? 0
    this.acks.note(nodeId(node), epoch, new Map([[net, index]]))
  }

  async lose(node: string): Promise<void> {
    await this.store.update((tx) => {
      const lost = tx.get('nodes', nodeId(node))
      if (lost !== undefined) tx.update('nodes', { ...lost, state: 'down' })
      tx.create('tasks', aTask({ id: 'instead', slot: 9, state: TaskState.NEW }))
    })
    await this.clock.advance(1)
  }

  get replacement(): TaskState | undefined {
    return this.store.view((tx) => tx.get('tasks', taskId('instead')))?.state
  }

  #lead(): void {
    const { store, clock, acks } = this
    const changedIndex = (): number => this.changedIndex
    const deps = { store, clock, acks, changedIndex, random: seededRandom(2), log: silentLogger }
    this.#running = runAll(this.#life.signal, [drainLoop(deps), allocatorLoop(deps)])
  }

  async #resign(): Promise<void> {
    this.#life.abort()
    await this.clock.advance(1)
    await this.#running
  }
}

t.test('a lost node that had followed the last change keeps no address back', async (t) => {
  const world = await World.begin(t)
  t.ok(world.changedIndex < world.store.appliedIndex)
  for (const node of ['a', 'b', 'c']) world.said(node, world.changedIndex)
  await world.lose('a')
  t.equal(world.replacement, TaskState.PENDING)
})

t.test('one that had not may know what is free by now, for a while', async (t) => {
  const world = await World.begin(t)
  world.said('a', world.changedIndex - 1)
  for (const node of ['b', 'c']) world.said(node, world.changedIndex)
  await world.lose('a')
  t.equal(world.replacement, TaskState.NEW)
  await world.clock.advance(staleMs)
  t.equal(world.replacement, TaskState.PENDING)
})

t.test('what another node that is up has not said is waited for', async (t) => {
  const world = await World.begin(t)
  for (const node of ['a', 'b']) world.said(node, world.changedIndex)
  await world.lose('a')
  t.equal(world.replacement, TaskState.NEW)
  world.said('c', world.changedIndex)
  await world.clock.advance(1)
  t.equal(world.replacement, TaskState.PENDING)
})
