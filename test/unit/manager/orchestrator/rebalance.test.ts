import fc from 'fast-check'
import t from 'tap'
import { type RebalanceView, slotToMove } from '../../../../manager/orchestrator/rebalance.ts'
import { slotsOf } from '../../../../manager/orchestrator/slot.ts'
import { isActive, type Node, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { LoopWorld } from '../../../support/loop-world.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import { aServiceView } from '../../../support/orchestration.ts'

function perNode(tasks: readonly Task[], nodes: readonly string[]): number[] {
  return nodes.map((id) => tasks.filter((task) => task.nodeId === id).length)
}

async function aCrowd(replicas: number, mode: 'off' | 'gradual'): Promise<LoopWorld> {
  const world = new LoopWorld()
  await world.addCluster({ rebalance: { mode } })
  await world.addNode({ id: 'a' })
  await world.addSpec('spec-1', {})
  await world.addService({ replicas })
  world.lead()
  await world.quiet()
  return world
}

const told = { rebalance: { startedAtMs: 1, moved: 0 } }

t.test(
  'off: a node that joins gets nothing, until the service is told to spread anew',
  async (t) => {
    const world = await aCrowd(6, 'off')
    t.teardown(() => world.resign())
    for (const id of ['b', 'c']) await world.addNode({ id })
    await world.pass(100)
    t.same(perNode(world.running(), ['a', 'b', 'c']), [6, 0, 0])
    await world.setService(told)
    await world.pass(3_000)
    t.same(perNode(world.running(), ['a', 'b', 'c']), [2, 2, 2])
    const service = world.store.view((tx) => [...tx.all('services')][0])
    t.equal(service?.rebalance, undefined, 'it is done')
    t.ok(world.running().some(({ reason }) => reason === 'rebalance'))
  },
)

t.test('gradual: one at a time, and never fewer running than replicas', async (t) => {
  const world = await aCrowd(5, 'gradual')
  t.teardown(() => world.resign())
  await world.addNode({ id: 'b' })
  for (let step = 0; step < 300; step++) {
    await world.pass(10)
    const moving = world.tasks().filter((task) => isActive(task) && task.state < TaskState.RUNNING)
    if (moving.length > 1) t.fail(`${moving.length} on the move`)
    if (world.running().length < 5) t.fail('fewer run than are wanted')
  }
  t.same(perNode(world.running(), ['a', 'b']), [3, 2])
})

t.test('a gradual move makes what was decided about the service before it outdated', async (t) => {
  const world = await aCrowd(4, 'gradual')
  t.teardown(() => world.resign())
  const version = () => world.store.view((tx) => [...tx.all('services')][0]?.version ?? 0)
  const before = version()
  await world.addNode({ id: 'b' })
  await world.pass(50)
  t.equal(world.tasks().filter(({ reason }) => reason === 'rebalance').length, 1)
  t.ok(version() > before, 'the service has another version')
})

t.test('tasks of an earlier generation that was the same move as well', async (t) => {
  const world = await aCrowd(4, 'gradual')
  t.teardown(() => world.resign())
  await world.setService({ specVersion: 3 })
  await world.addNode({ id: 'b' })
  for (let step = 0; step < 300; step++) {
    await world.pass(10)
    if (world.running().length < 4) t.fail('fewer run than are wanted')
  }
  t.same(perNode(world.running(), ['a', 'b']), [2, 2])
})

t.test('a move that fails is given up: the former task serves on', async (t) => {
  const world = await aCrowd(4, 'off')
  t.teardown(() => world.resign())
  await world.addNode({ id: 'b' })
  world.silent.add('b')
  await world.setService(told)
  await world.pass(50)
  const [move] = world.tasks().filter(({ reason }) => reason === 'rebalance')
  t.match(move, { nodeId: 'b' })
  await world.report(move?.id ?? '', TaskState.REJECTED, 'no such image')
  await world.pass(50)
  const slot = world.tasks().filter((task) => task.slot === move?.slot && isActive(task))
  t.match(slot, [{ nodeId: 'a', state: TaskState.RUNNING }])
  t.equal(world.running().length, 4)
})

const clusters = fc.record({
  nodes: fc.array(
    fc.record({ zone: fc.constantFrom('x', 'y', 'z'), cpus: fc.integer({ min: 0, max: 4 }) }),
    { minLength: 1, maxLength: 6 },
  ),
  tasks: fc.array(fc.nat(5), { maxLength: 16 }),
  isSpread: fc.boolean(),
  cpus: fc.constantFrom(0, 1),
  most: fc.constantFrom(0, 2),
})

t.test(
  'moves come to an end, each makes the spread more even, and none is left that would',
  async () => {
    fc.assert(
      fc.property(clusters, (facts) => {
        const nodes: readonly Node[] = facts.nodes.map(({ zone, cpus }, at) =>
          aNode({ id: `n${at}`, labels: { zone }, nanoCpus: cpus * 1e9 }),
        )
        const task = {
          reservations: { nanoCpus: facts.cpus * 1e9 },
          placement: {
            spread: facts.isSpread ? ['node.labels.zone'] : [],
            maxReplicasPerNode: facts.most,
          },
        }
        const service = aService({ replicas: facts.tasks.length, task })
        const specs = [aSpecRecord('spec-1', task)]
        let tasks = facts.tasks.map((node, at) =>
          aTask({ id: `t${at}`, slot: at + 1, node: `n${node % nodes.length}` }),
        )
        const zoneOf = (one: Task): string =>
          nodes.find(({ id }) => id === one.nodeId)?.spec.labels['zone'] ?? ''
        const squares = (keyOf: (one: Task) => string): number => {
          const counts = new Map<string, number>()
          for (const one of tasks) counts.set(keyOf(one), (counts.get(keyOf(one)) ?? 0) + 1)
          return [...counts.values()].reduce((sum, count) => sum + count * count, 0)
        }
        const measure = (): number =>
          (facts.isSpread ? squares(zoneOf) * 1e6 : 0) + squares((one) => one.nodeId ?? '')
        for (let moves = 0; ; moves++) {
          if (moves > 500) throw new Error('it does not end')
          const view: RebalanceView = {
            ...aServiceView({ service, tasks, nodes, specs }),
            tasksOn: (id) => tasks.filter((one) => one.nodeId === id),
            strategy: 'spread',
            isGradual: true,
            movesLeft: 1,
          }
          const slot = slotToMove(service, slotsOf(tasks), view)
          if (slot === undefined) break
          const before = measure()
          const others = tasks
          const options = nodes.map((node) => {
            tasks = others.map((one) =>
              one.id === slot.head.id ? { ...one, nodeId: node.id } : one,
            )
            return { moved: tasks, measure: measure() }
          })
          const best = options.reduce((a, b) => (b.measure < a.measure ? b : a))
          if (best.measure >= before) throw new Error('the move helps nobody')
          tasks = best.moved
        }
      }),
      { numRuns: 200, seed: 65 },
    )
  },
)
