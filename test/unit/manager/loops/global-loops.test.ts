import fc from 'fast-check'
import t, { type Test } from 'tap'
import { isActive, nodeId, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { calm, disturb, eventArbitrary } from '../../../support/disturbance.ts'
import { LoopWorld } from '../../../support/loop-world.ts'

async function aWorld(t: Test): Promise<LoopWorld> {
  const world = new LoopWorld()
  t.teardown(() => world.resign())
  await world.addCluster({ taskHistoryLimit: 3 })
  for (const id of ['a', 'b', 'c']) await world.addNode({ id, nanoCpus: 2e9 })
  for (const [hash, image] of [
    ['spec-1', 'old'],
    ['spec-2', 'new'],
  ] as const) {
    await world.addSpec(hash, { restart: { delayMs: 1_000 }, image })
  }
  world.lead()
  // Tasks fail at any moment: nobody is here to go on with an update that is paused.
  const update = { failureAction: 'continue' } as const
  await world.addService({ mode: { kind: 'global' }, task: { image: 'old' }, update })
  await world.quiet()
  return world
}

function nodesOf(tasks: readonly Task[]): string[] {
  return tasks.map((task) => `${task.nodeId}`).sort()
}

t.test('each node gets its task, a new one too, and loses it', async (t) => {
  const world = await aWorld(t)
  t.same(nodesOf(world.running()), ['a', 'b', 'c'])
  await world.addNode({ id: 'd' })
  await world.quiet()
  t.same(nodesOf(world.running()), ['a', 'b', 'c', 'd'])
  await world.setAvailability('d', 'drain')
  await world.quiet()
  t.same(nodesOf(world.running()), ['a', 'b', 'c'])
  await world.setAvailability('d', 'active')
  await world.quiet()
  t.same(nodesOf(world.running()), ['a', 'b', 'c', 'd'])
  await world.store.update((tx) => tx.remove('nodes', 'd'))
  await world.quiet()
  t.same(nodesOf(world.running()), ['a', 'b', 'c'])
  t.notOk(world.tasks().some((task) => task.forNodeId === 'd'))
})

t.test('a label decides, when it comes and when it goes', async (t) => {
  const world = new LoopWorld()
  t.teardown(() => world.resign())
  await world.addCluster({})
  await world.addNode({ id: 'a' })
  const task = { placement: { constraints: ['node.labels.gpu==yes'] } }
  await world.addSpec('spec-1', task)
  world.lead()
  await world.addService({ mode: { kind: 'global' }, task })
  await world.quiet()
  t.same(world.tasks(), [])
  const label = async (labels: Record<string, string>): Promise<void> => {
    const node = world.store.view((tx) => tx.get('nodes', nodeId('a')))
    if (node !== undefined) await world.setNode('a', { spec: { ...node.spec, labels } })
    await world.quiet()
  }
  await label({ gpu: 'yes' })
  t.same(nodesOf(world.running()), ['a'])
  await label({})
  t.same(world.running(), [])
})

t.test('a task that does not fit waits for its node, and says why', async (t) => {
  const world = new LoopWorld()
  t.teardown(() => world.resign())
  await world.addCluster({})
  await world.addNode({ id: 'small', nanoCpus: 1e9 })
  await world.addNode({ id: 'large', nanoCpus: 4e9 })
  const task = { reservations: { nanoCpus: 2e9 } }
  await world.addSpec('spec-1', task)
  world.lead()
  await world.addService({ mode: { kind: 'global' }, task })
  await world.quiet()
  t.same(nodesOf(world.running()), ['large'])
  const [waiting] = world.tasks().filter((one) => one.forNodeId === 'small')
  t.match(waiting, { state: TaskState.PENDING, nodeId: undefined })
  t.equal(waiting?.err, 'no suitable node (insufficient resources on 1 node)')
  const node = world.store.view((tx) => tx.get('nodes', nodeId('small')))
  const description = node?.description && {
    ...node.description,
    resources: { nanoCpus: 8e9, memoryBytes: 8e9 },
  }
  await world.setNode('small', { description })
  await world.pass(100)
  t.same(nodesOf(world.running()), ['large', 'small'])
})

t.test('one task a node, whatever happens, and all of them in the end', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(eventArbitrary, { maxLength: 25, size: 'max' }), async (events) => {
      const world = await aWorld(t)
      for (const event of events) {
        // A service cannot become another kind.
        if (event.kind !== 'scale') await disturb(world, event)
        const owners = world.running().map(({ forNodeId }) => forNodeId)
        if (new Set(owners).size < owners.length) throw new Error(`twice on one of ${owners}`)
        const foreign = world.tasks().find((task) => task.nodeId && task.nodeId !== task.forNodeId)
        if (foreign !== undefined) throw new Error(`${foreign.id} is on ${foreign.nodeId}`)
      }
      await calm(world)
      if (nodesOf(world.running()).join() !== 'a,b,c')
        throw new Error(nodesOf(world.running()).join())
      if (world.tasks().filter(isActive).length !== 3) throw new Error('too many are wanted')
      if (world.tasks().length > 9) throw new Error('too much history')
      const hashes = world.store.view((tx) => [...tx.all('services')].map((one) => one.specHash))
      for (const task of world.running())
        if (task.specHash !== hashes[0]) throw new Error('outdated')
      await world.resign()
    }),
    { numRuns: 25 },
  )
  t.pass('held')
})
