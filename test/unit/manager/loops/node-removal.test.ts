// `node rm`, from the request to the end of the node's tasks: the handler, the leader's loops and the store together.
import t from 'tap'
import { createControlApi } from '../../../../manager/controlapi/control-api.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { LoopWorld } from '../../../support/loop-world.ts'

async function aWorld(): Promise<LoopWorld> {
  const world = new LoopWorld()
  await world.addCluster({ taskHistoryLimit: 5 })
  for (const id of ['a', 'b', 'c']) await world.addNode({ id })
  await world.addSpec('spec-1', {})
  world.lead()
  await world.addService({ replicas: 6 })
  await world.quiet()
  return world
}

/** Lets the loops work while the request is under way. */
async function remove(world: LoopWorld, reference: string, force: boolean): Promise<void> {
  const { store, clock } = world
  const self = nodeId('manager')
  const api = createControlApi({
    store,
    clock,
    random: seededRandom(5),
    cluster: {
      selfNodeId: () => self,
      leaderNodeId: () => self,
      readBarrier: async () => {},
      reachable: () => true,
    },
    newJoinToken: () => 'token',
  })
  const caller = { kind: 'local-admin', nodeId: self } as const
  const { signal } = new AbortController()
  const removing = api.removeNode(caller, { requestId: 'r1', reference, force }, signal)
  removing.catch(() => {})
  await world.quiet()
  await removing
}

const on = (world: LoopWorld, node: string): readonly Task[] =>
  world.tasks().filter((task) => task.nodeId === node)

t.test('tasks of a node removed by force are orphaned and replaced elsewhere', async (t) => {
  const world = await aWorld()
  t.teardown(() => world.resign())
  const before = on(world, 'a').map(({ id }) => id)
  t.equal(before.length, 2)
  await t.rejects(remove(world, 'a', false), { code: 'FAILED_PRECONDITION', message: /not down/ })
  t.same(
    on(world, 'a').map(({ state }) => state),
    [TaskState.RUNNING, TaskState.RUNNING],
  )

  await remove(world, 'a', true)
  t.equal(
    world.store.view((tx) => tx.get('nodes', 'a')),
    undefined,
  )
  t.ok(world.store.view((tx) => tx.get('removedNodes', 'a')))
  t.match(
    on(world, 'a'),
    before.map((id) => ({ id, state: TaskState.ORPHANED, err: 'its node was removed' })),
  )
  await world.pass(6_000)
  t.same(
    world
      .running()
      .map((task) => task.nodeId)
      .sort(),
    ['b', 'b', 'b', 'c', 'c', 'c'],
  )
  t.equal(on(world, 'a').length, 2, 'they stay as history')
})

t.test('orphans of a service that is removed leave the store', async (t) => {
  const world = await aWorld()
  t.teardown(() => world.resign())
  await remove(world, 'a', true)
  await world.store.update((tx) => {
    for (const { id } of tx.all('services')) tx.remove('services', id)
  })
  await world.pass(1_000)
  t.same(world.tasks(), [])
})

t.test('a leader that comes after the removal orphans what the one before left', async (t) => {
  const world = await aWorld()
  t.teardown(() => world.resign())
  await world.resign()
  await remove(world, 'a', true)
  t.same(
    on(world, 'a').map(({ state }) => state),
    [TaskState.RUNNING, TaskState.RUNNING],
  )
  world.lead()
  await world.pass(6_000)
  t.same(
    on(world, 'a').map(({ state }) => state),
    [TaskState.ORPHANED, TaskState.ORPHANED],
  )
  t.equal(world.running().length, 6)
})
