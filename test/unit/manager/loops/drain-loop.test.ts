// When a task that is to stop may be told so.
import t, { type Test } from 'tap'
import { drainLoop, drainMs } from '../../../../manager/loops/drain-loop.ts'
import { AckTable } from '../../../../manager/overlay/ack-table.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { ReplicatedStore } from '../../../../manager/store/replicated-store.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import {
  isServing,
  networkId,
  nodeId,
  type Task,
  TaskState,
  taskId,
} from '../../../../proto/objects/index.ts'
import { aCluster, aNode, aService, aTask, type ServiceFacts } from '../../../support/objects.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

class World {
  readonly clock = new VirtualClock()
  readonly acks = new AckTable(this.clock)
  readonly store: ReplicatedStore
  #life = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor() {
    this.store = createMemoryStore({ clock: this.clock, random: seededRandom(1) })
  }

  async begin(service: ServiceFacts = {}): Promise<void> {
    await this.store.update((tx) => {
      tx.create('cluster', aCluster({}))
      for (const id of ['a', 'b']) tx.create('nodes', aNode({ id }))
      tx.create('services', aService({ id: 'service-1', ...service }))
      const attachments = { red: ['10.0.1.5'] }
      tx.create('tasks', aTask({ id: 'on-net', node: 'a', attachments }))
      tx.create('tasks', aTask({ id: 'other', slot: 2, node: 'b', attachments }))
      tx.create('tasks', aTask({ id: 'off-net', slot: 3, node: 'a' }))
    })
    this.lead()
    await this.clock.advance(1)
  }

  lead(): void {
    const { store, clock, acks } = this
    this.#life = new AbortController()
    const deps = { store, clock, acks, random: seededRandom(2), log: silentLogger }
    this.#running = drainLoop(deps).run(this.#life.signal)
  }

  async resign(): Promise<void> {
    this.#life.abort()
    await this.clock.advance(1)
    await this.#running
  }

  /** Nodes have followed up to there. */
  follow(index: number, ...nodes: readonly string[]): void {
    const reached = new Map([[networkId('red'), index]])
    for (const node of nodes) this.acks.note(nodeId(node), this.epoch, reached)
  }

  get epoch(): number {
    return this.store.view((tx) => [...tx.all('cluster')])[0]?.epoch ?? 0
  }

  task(id: string): Task {
    const task = this.store.view((tx) => tx.get('tasks', taskId(id)))
    if (task === undefined) throw new Error(`no task ${id}`)
    return task
  }

  async change(id: string, fields: Partial<Task>): Promise<number> {
    await this.store.update((tx) => tx.update('tasks', { ...this.task(id), ...fields }))
    return this.store.appliedIndex
  }

  stop(id: string): Promise<number> {
    return this.change(id, { desiredState: TaskState.SHUTDOWN })
  }
}

async function aWorld(t: Test, service?: ServiceFacts): Promise<World> {
  const world = new World()
  t.teardown(() => world.resign())
  await world.begin(service)
  return world
}

t.test('a task is drained once every node that holds its network has followed', async (t) => {
  const world = await aWorld(t)
  const index = await world.stop('on-net')
  world.follow(index, 'a')
  await world.clock.advance(100)
  t.equal(world.task('on-net').isDrained, false, 'one of them has not')
  world.follow(index - 1, 'b')
  await world.clock.advance(100)
  t.equal(world.task('on-net').isDrained, false, 'not far enough')
  world.follow(index, 'b')
  await world.clock.advance(1)
  t.equal(world.task('on-net').isDrained, true)
  t.equal(world.task('other').isDrained, false, 'it is wanted')
})

t.test('a node that does not follow is waited for so long and no longer', async (t) => {
  const world = await aWorld(t)
  const index = await world.stop('on-net')
  world.follow(index, 'a')
  await world.clock.advance(drainMs - 100)
  t.equal(world.task('on-net').isDrained, false)
  await world.clock.advance(200)
  t.equal(world.task('on-net').isDrained, true)
})

t.test('a node that goes down is not waited for', async (t) => {
  const world = await aWorld(t)
  const index = await world.stop('on-net')
  world.follow(index, 'a')
  await world.store.update((tx) => {
    const node = tx.get('nodes', nodeId('b'))
    if (node !== undefined) tx.update('nodes', { ...node, state: 'down' })
  })
  await world.clock.advance(1)
  t.equal(world.task('on-net').isDrained, true)
})

t.test('names of a service without a virtual address are outlived too', async (t) => {
  const world = await aWorld(t, { endpointMode: 'dnsrr' })
  const index = await world.stop('on-net')
  world.follow(index, 'a', 'b')
  await world.clock.advance(1_900)
  t.equal(world.task('on-net').isDrained, false)
  await world.clock.advance(200)
  t.equal(world.task('on-net').isDrained, true)
})

t.test('a task that is on no network, or has ended, is no matter of it', async (t) => {
  const world = await aWorld(t)
  await world.stop('off-net')
  await world.change('on-net', { desiredState: TaskState.SHUTDOWN, state: TaskState.FAILED })
  await world.clock.advance(2 * drainMs)
  t.same([world.task('off-net').isDrained, world.task('on-net').isDrained], [false, false])
})

t.test('the next leader drains what the one before began', async (t) => {
  const world = await aWorld(t)
  const index = await world.stop('on-net')
  await world.resign()
  world.lead()
  await world.clock.advance(1)
  world.follow(index, 'a', 'b')
  await world.clock.advance(1)
  t.equal(world.task('on-net').isDrained, true)
})

t.test('a network that a task leaves while it runs on', async (t) => {
  const world = await aWorld(t)
  const leave = async (id: string): Promise<number> => {
    const connection = { phase: 'leaving' as const, aliases: [], wished: [], err: '' }
    const attachment = { networkId: networkId('red'), addresses: ['10.0.1.9'], connection }
    return await world.change(id, { attachments: [attachment] })
  }
  const phase = (id: string) => world.task(id).attachments[0]?.connection?.phase
  const index = await leave('off-net')
  world.follow(index, 'a', 'b')
  await world.clock.advance(1_900)
  t.equal(phase('off-net'), 'leaving', 'its name may be remembered')
  await world.clock.advance(200)
  t.equal(phase('off-net'), 'drained')
  t.equal(world.task('off-net').isDrained, false)
  await leave('off-net')
  await world.clock.advance(drainMs - 100)
  t.equal(phase('off-net'), 'leaving', 'nobody has followed')
  await world.clock.advance(200)
  t.equal(phase('off-net'), 'drained', 'and that is waited for no longer')
  await leave('off-net')
  await world.change('off-net', { attachments: [] })
  await leave('other')
  await world.change('other', { state: TaskState.FAILED })
  await world.clock.advance(drainMs + 100)
  t.equal(phase('other'), 'leaving', 'with its end nothing is left to do')
})

t.test(
  'an unhealthy task that is wanted is drained all the same, and not served before',
  async (t) => {
    const world = await aWorld(t)
    const health = { state: 'unhealthy' as const, failures: 3, failedAtMs: 1, output: 'no' }
    t.ok(isServing(world.task('on-net')))
    const index = await world.change('on-net', { health })
    t.notOk(isServing(world.task('on-net')))
    world.follow(index, 'a')
    await world.clock.advance(100)
    t.equal(world.task('on-net').isDrained, false, 'one node leads connections to it still')
    world.follow(index, 'b')
    await world.clock.advance(1)
    t.equal(world.task('on-net').isDrained, true)
    t.equal(
      world.task('on-net').desiredState,
      TaskState.RUNNING,
      'its node says what becomes of it',
    )
  },
)
