import fc from 'fast-check'
import t, { type Test } from 'tap'
import { isActive, specHash, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { calm, disturb, eventArbitrary } from '../../../support/disturbance.ts'
import { LoopWorld } from '../../../support/loop-world.ts'
import { replicasOf } from '../../../support/objects.ts'

async function aWorld(t: Test, replicas: number): Promise<LoopWorld> {
  const world = new LoopWorld()
  t.teardown(() => world.resign())
  await world.addCluster({ taskHistoryLimit: 3 })
  for (const id of ['a', 'b', 'c']) await world.addNode({ id })
  await world.addSpec('spec-1', { restart: { delayMs: 1_000 } })
  await world.addSpec('spec-2', { restart: { delayMs: 1_000 }, image: 'new' })
  world.lead()
  // Tasks fail at any moment: nobody is here to go on with an update that is paused.
  await world.addService({ replicas, update: { failureAction: 'continue' } })
  await world.quiet()
  return world
}

function first<T>(items: readonly T[]): T {
  const [item] = items
  if (item === undefined) throw new Error('there is none')
  return item
}

function nodesOf(tasks: readonly Task[]): string[] {
  return tasks.map((task) => task.nodeId ?? '').sort()
}

t.test('a new service runs on all nodes without any time passing', async (t) => {
  const world = await aWorld(t, 3)
  t.same(nodesOf(world.running()), ['a', 'b', 'c'])
})

t.test('a failed task is replaced after its delay', async (t) => {
  const world = await aWorld(t, 2)
  const victim = first(world.running())
  await world.report(victim.id, TaskState.FAILED, 'exit 1')
  await world.pass(990)
  t.equal(world.running().length, 1)
  await world.pass(20)
  t.equal(world.running().length, 2)
  t.match(
    world.tasks().filter((task) => task.slot === victim.slot),
    [
      { id: victim.id, state: TaskState.FAILED, desiredState: TaskState.SHUTDOWN },
      { startAfterTaskId: victim.id },
    ],
  )
})

t.test('a delayed start is not lost with the leader', async (t) => {
  const world = await aWorld(t, 1)
  await world.report(first(world.running()).id, TaskState.FAILED)
  await world.pass(500)
  await world.resign()
  world.lead()
  await world.pass(480)
  t.equal(world.running().length, 0)
  await world.pass(30)
  t.equal(world.running().length, 1)
})

t.test('a start that became due without a leader happens as soon as there is one', async (t) => {
  const world = await aWorld(t, 1)
  await world.report(first(world.running()).id, TaskState.FAILED)
  await world.quiet()
  await world.resign()
  await world.clock.advance(5_000)
  world.lead()
  await world.quiet()
  t.equal(world.running().length, 1)
})

t.test('a delayed start of one slot survives what happens in others', async (t) => {
  const world = await aWorld(t, 4)
  const [one, two] = world.running()
  await world.report(one?.id ?? '', TaskState.FAILED)
  await world.pass(300)
  await world.report(two?.id ?? '', TaskState.FAILED)
  await world.pass(720)
  t.equal(world.running().length, 3)
  await world.pass(300)
  t.equal(world.running().length, 4)
})

t.test(
  'the tasks of a node that is cut off are replaced at once, its own stopped on return',
  async (t) => {
    const world = await aWorld(t, 3)
    world.silent.add('a')
    await world.setNode('a', { state: 'down' })
    await world.quiet()
    t.equal(world.running().length, 3)
    const lost = first(world.tasks().filter((task) => task.nodeId === 'a'))
    t.match(lost, { desiredState: TaskState.SHUTDOWN, state: TaskState.RUNNING })
    world.silent.delete('a')
    await world.setNode('a', { state: 'ready' })
    await world.quiet()
    t.match(first(world.tasks().filter((task) => task.id === lost.id)), {
      state: TaskState.SHUTDOWN,
    })
    t.same(nodesOf(world.running()).includes('a'), false, 'nothing is moved back')
  },
)

t.test('a node that stays away for 24 h, or is removed, orphans its tasks', async (t) => {
  const world = await aWorld(t, 3)
  world.silent.add('a').add('b')
  await world.setNode('a', { state: 'down' })
  await world.quiet()
  const orphans = (): number =>
    world.tasks().filter((task) => task.state === TaskState.ORPHANED).length
  await world.clock.advance(24 * 3_600_000 - 100)
  t.equal(orphans(), 0)
  await world.clock.advance(200)
  await world.quiet()
  t.equal(orphans(), 1)
  await world.store.update((tx) => tx.remove('nodes', 'b'))
  await world.quiet()
  t.equal(orphans() >= 2, true)
  t.same(nodesOf(world.running()), ['c', 'c', 'c'])
})

t.test('draining moves tasks without delay, after they have stopped', async (t) => {
  const world = await aWorld(t, 3)
  const moving = first(world.running().filter((task) => task.nodeId === 'a'))
  world.held.add(moving.id)
  await world.setAvailability('a', 'drain')
  await world.quiet()
  t.equal(world.running().length, 2)
  t.match(
    world.tasks().filter((task) => task.slot === moving.slot && isActive(task)),
    [{ state: TaskState.READY, desiredState: TaskState.READY }],
    'the replacement is ready and waits',
  )
  world.held.delete(moving.id)
  await world.quiet()
  t.equal(world.running().length, 3)
})

t.test('an update replaces all tasks one after another', async (t) => {
  const world = await aWorld(t, 4)
  let fewest = 4
  const watching = new AbortController()
  const commits = world.store.watch({ tasks: 'all' }, { signal: watching.signal, bufferMax: 1_000 })
  const watch = (async (): Promise<void> => {
    for await (const _ of commits) fewest = Math.min(fewest, world.running().length)
  })()
  await world.setService({ specHash: specHash('spec-2'), specVersion: 99 })
  await world.quiet()
  t.same(
    world.running().map((task) => task.specHash),
    ['spec-2', 'spec-2', 'spec-2', 'spec-2'],
  )
  watching.abort()
  await watch
  t.equal(fewest, 3)
})

t.test('scaling down to nothing and removing leave no task behind', async (t) => {
  const world = await aWorld(t, 5)
  await world.scale(2)
  await world.quiet()
  t.equal(world.tasks().length, 2)
  await world.scale(0)
  await world.quiet()
  t.equal(world.tasks().length, 0)
  await world.scale(3)
  await world.quiet()
  await world.report(first(world.running()).id, TaskState.FAILED)
  await world.quiet()
  await world.store.update((tx) => {
    for (const { id } of tx.all('services')) tx.remove('services', id)
  })
  await world.quiet()
  t.equal(world.tasks().length, 0)
})

t.test('history is kept to the limit, and a new limit is applied', async (t) => {
  const world = await aWorld(t, 1)
  for (let turn = 0; turn < 6; turn++) {
    await world.report(first(world.running()).id, TaskState.FAILED)
    await world.pass(1_010)
  }
  t.equal(world.tasks().length, 3)
  await world.store.update((tx) => {
    for (const cluster of tx.all('cluster')) {
      tx.update('cluster', { ...cluster, spec: { ...cluster.spec, taskHistoryLimit: 1 } })
    }
  })
  await world.quiet()
  t.equal(world.tasks().length, 1)
})

t.test('what cannot be placed says why, and is placed when it can be', async (t) => {
  const world = await aWorld(t, 0)
  for (const id of ['a', 'b', 'c']) await world.setAvailability(id, 'pause')
  await world.scale(2)
  await world.quiet()
  t.match(world.tasks(), [
    { err: 'no suitable node (3 nodes not available for new tasks)' },
    { err: 'no suitable node (3 nodes not available for new tasks)' },
  ])
  await world.setAvailability('b', 'active')
  await world.pass(100)
  t.match(world.running(), [{ err: '' }, { err: '' }])
})

t.test('a service of a thousand replicas survives leaders that come and go', async (t) => {
  const world = await aWorld(t, 0)
  await world.scale(1_000)
  await world.resign()
  world.lead()
  await world.quiet()
  t.equal(world.running().length, 1_000)
})

t.test('the loops converge after any faults and changes of leader', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(eventArbitrary, { maxLength: 25, size: 'max' }), async (events) => {
      const world = await aWorld(t, 3)
      for (const event of events) await disturb(world, event)
      await calm(world)
      const wanted = world.store.view((tx) => first([...tx.all('services')]))
      const running = world.running()
      const replicas = replicasOf(wanted)
      if (running.length !== replicas) throw new Error(`${running.length} of ${replicas} run`)
      for (const { specHash } of running)
        if (specHash !== wanted.specHash) throw new Error('outdated')
      if (world.tasks().length > replicas * 3) throw new Error('too much history')
      await world.resign()
    }),
    { numRuns: 25 },
  )
  t.pass('held')
})

t.test(
  'a service starts when the one that it depends on is so far, whatever comes first',
  async (t) => {
    const world = await aWorld(t, 1)
    const [db] = world.tasks()
    const facts = { id: 'web', specHash: 'spec-2', task: { image: 'new' } }
    world.held.add(db?.id ?? '')
    await world.addService({
      ...facts,
      task: { image: 'new', dependsOn: [{ service: 'later', condition: 'healthy' }] },
    })
    await world.quiet()
    const ofWeb = () => world.tasks().filter(({ serviceId }) => serviceId === 'web')
    t.match(ofWeb(), [
      { state: TaskState.READY, waitsFor: 'service "later", which does not exist' },
    ])
    await world.addService({ id: 'later', name: 'later', specHash: 'spec-1' })
    await world.resign()
    world.lead()
    await world.quiet()
    t.match(ofWeb(), [{ state: TaskState.RUNNING, waitsFor: '' }])
  },
)
