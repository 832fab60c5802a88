// The allocator among the other loops: tasks on networks wait for it, others do not notice it.
import t, { type Test } from 'tap'
import { allocatorLoop } from '../../../../manager/loops/allocator-loop.ts'
import { AckTable } from '../../../../manager/overlay/ack-table.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { TaskState } from '../../../../proto/objects/index.ts'
import { LoopWorld } from '../../../support/loop-world.ts'
import { aCluster, aNode } from '../../../support/objects.ts'
import { until } from '../../../support/until.ts'

const onNet = { networks: [{ target: 'net-1' }] }

async function aWorld(t: Test, subnet: string, replicas: number): Promise<LoopWorld> {
  const world = new LoopWorld()
  t.teardown(() => world.resign())
  await world.addCluster({ taskHistoryLimit: 1 })
  for (const id of ['a', 'b']) await world.addNode({ id })
  await world.addSpec('spec-1', { ...onNet, restart: { delayMs: 10 } })
  await world.addNetwork({ name: 'back', subnets: [subnet] })
  world.lead()
  await world.addService({ replicas, task: onNet })
  await world.quiet()
  return world
}

const addresses = (world: LoopWorld): readonly string[] =>
  world.running().flatMap((task) => task.attachments.flatMap((one) => one.addresses))

t.test('tasks on a network run with an address each, and nodes have paths', async (t) => {
  const world = await aWorld(t, '10.0.1.0/24', 10)
  t.equal(new Set(addresses(world)).size, 10)
  const nodes = world.store.view((tx) => [...tx.all('nodes')])
  t.match(nodes, [{ path: { mark: 1 } }, { path: { mark: 2 } }])
  const [service] = world.store.view((tx) => [...tx.all('services')])
  t.match(service?.endpoint.vips, [{ networkId: 'net-1', addresses: ['10.0.1.2'] }])
})

t.test('what does not fit stays new and says why, until there is room', async (t) => {
  // Five addresses, one of them the VIP.
  const world = await aWorld(t, '10.0.1.0/29', 6)
  t.equal(addresses(world).length, 4)
  const waiting = world.tasks().filter((task) => task.state === TaskState.NEW)
  t.equal(waiting.length, 2)
  t.match(waiting[0]?.err, 'no free address on network "back": all 5 of 10.0.1.0/29 are in use')
  await world.scale(4)
  await world.quiet()
  t.equal(addresses(world).length, 4)
  t.equal(world.tasks().length, 4)
})

t.test('a replacement waits until every node let go of the address it gets', async (t) => {
  const world = await aWorld(t, '10.0.1.0/29', 4)
  world.ackedIndex = world.store.appliedIndex
  const [victim] = world.running()
  await world.report(victim?.id ?? '', TaskState.FAILED)
  await world.pass(20)
  t.equal(world.running().length, 3)
  t.match(
    world.tasks().filter((task) => task.state === TaskState.NEW),
    [{ err: /still known to a node/ }],
  )
  world.ack(world.store.appliedIndex)
  await world.pass(20)
  t.equal(world.running().length, 4)
  t.equal(new Set(addresses(world)).size, 4)
})

t.test('the next leader goes on where this one was', async (t) => {
  const world = await aWorld(t, '10.0.1.0/24', 3)
  const before = addresses(world)
  await world.resign()
  await world.scale(6)
  world.lead()
  await world.quiet()
  t.same(addresses(world).slice(0, 3), before)
  t.equal(new Set(addresses(world)).size, 6)
})

t.test('services without networks go their way as before', async (t) => {
  const world = new LoopWorld()
  t.teardown(() => world.resign())
  await world.addCluster({})
  await world.addNode({ id: 'a' })
  await world.addSpec('spec-1', {})
  world.lead()
  await world.addService({ replicas: 3 })
  await world.quiet()
  t.equal(world.running().length, 3)
  t.same(
    world.running().flatMap((task) => task.attachments),
    [],
  )
})

t.test('nothing is written before all managers know of it', async (t) => {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  await store.update((tx) => {
    tx.create('cluster', { ...aCluster({}), featureLevel: 1 })
    tx.create('nodes', aNode({ id: 'a' }))
  })
  const life = new AbortController()
  const random = seededRandom(2)
  const log = silentLogger
  const acks = new AckTable(systemClock)
  const deps = { store, clock: systemClock, random, log, acks, changedIndex: () => 0 }
  const loop = allocatorLoop(deps)
  const done = loop.run(life.signal)
  const path = () => store.view((tx) => tx.get('nodes', 'a'))?.path
  await store.update((tx) => tx.create('nodes', aNode({ id: 'b' })))
  t.equal(path(), undefined)
  await store.update((tx) => {
    for (const cluster of tx.all('cluster')) tx.update('cluster', { ...cluster, featureLevel: 2 })
  })
  await until(() => path() !== undefined, 'the node has its path')
  life.abort()
  await done
})
