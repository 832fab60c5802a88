import t from 'tap'
import type { Node, Task } from '../../../proto/objects/index.ts'
import { ClusterIndex } from '../../../scheduler/cluster-index.ts'
import { explainTask } from '../../../scheduler/explain.ts'
import { aNode, aSpecRecord, aTask } from '../../support/objects.ts'
import { anEnv, aScheduler, commit, placements, updatedTasks } from '../../support/placement.ts'

const specs = [aSpecRecord('spec-1', {})]
const threeNodes = ['a', 'b', 'c'].map((id) => aNode({ id }))

function errs(nodes: readonly Node[], task: Task): string[] {
  return updatedTasks(aScheduler({ nodes, tasks: [task], specs }).plan(anEnv())).map(
    ({ err }) => err,
  )
}

function explain(nodes: readonly Node[], task: Task) {
  const index = ClusterIndex.from({ nodes, tasks: [task], taskSpecs: specs, strategy: 'spread' })
  return explainTask(index, task)
}

t.test("a slot's task goes where its volume is, as its tasks remember", async (t) => {
  const others = ['o1', 'o2'].map((id) => aTask({ id, node: 'b', service: 'other' }))
  const tasks = [
    ...others,
    aTask({ id: 't1', slotVolumes: ['db-1'], volumeNode: 'b' }),
    aTask({ id: 't2', slot: 2, slotVolumes: ['db-2'] }),
  ]
  const scheduler = aScheduler({ nodes: threeNodes, tasks, specs })
  const plan = scheduler.plan(anEnv())
  t.match(placements(plan), ['t1>b', /^t2>[ac]$/])
  commit(scheduler, plan)
  t.same(scheduler.plan(anEnv()).updates, [])
})

t.test('or as the nodes tell, when the slot was away; most volumes win', async (t) => {
  const nodes = [
    aNode({ id: 'a', slotVolumes: ['db-1'] }),
    aNode({ id: 'b', slotVolumes: ['db-1', 'log-1', 'db-2'] }),
    aNode({ id: 'c' }),
  ]
  const tasks = [
    aTask({ id: 't1', slotVolumes: ['db-1', 'log-1'] }),
    aTask({ id: 't2', slot: 2, slotVolumes: ['db-2'] }),
    aTask({ id: 't3', slot: 3, slotVolumes: ['db-1'], volumeNode: 'c' }),
  ]
  const scheduler = aScheduler({ nodes, tasks, specs })
  t.same(placements(scheduler.plan(anEnv())), ['t1>b', 't2>b', 't3>c'])
})

t.test('a node that lost or gained volumes is asked as it is now', async (t) => {
  const scheduler = aScheduler({
    nodes: [aNode({ id: 'a', slotVolumes: ['db-1'] }), aNode({ id: 'b' })],
    tasks: [],
    specs,
  })
  scheduler.putNode(aNode({ id: 'a', slotVolumes: [] }))
  scheduler.putNode(aNode({ id: 'b', slotVolumes: ['db-1'] }))
  scheduler.changeTask(undefined, aTask({ id: 't1', slotVolumes: ['db-1'] }))
  t.same(placements(scheduler.plan(anEnv())), ['t1>b'])
  scheduler.dropNode(aNode({ id: 'b' }).id)
  scheduler.changeTask(undefined, aTask({ id: 't2', slot: 2, slotVolumes: ['db-1'] }))
  t.same(placements(scheduler.plan(anEnv())), ['t2>a'], 'nobody has it any more')
})

t.test('while its node is down or drained it waits, and says for what', async (t) => {
  const task = aTask({ id: 't1', slotVolumes: ['db-1'], volumeNode: 'b' })
  const down = [aNode({ id: 'a' }), aNode({ id: 'b', hostname: 'w2', state: 'down' })]
  t.match(errs(down, task), [/^no suitable node \(volume "db-1" is on node w2: .*down/])
  const drained = [aNode({ id: 'a' }), aNode({ id: 'b', availability: 'drain' })]
  t.match(errs(drained, task), [/volume "db-1" is on node b: .*drain/])
  const { summary, refusals } = explain(down, task)
  t.match(summary, /volume "db-1" is on node w2/)
  t.match(refusals, [
    { hostname: 'a', filter: 'volumes', reason: "has not the slot's volumes" },
    {
      ...{ hostname: 'w2', filter: 'ready' },
      reason: "node is down, availability is active; it has the slot's volumes",
    },
  ])
  const scheduler = aScheduler({ nodes: down, tasks: [task], specs })
  scheduler.plan(anEnv())
  scheduler.putNode(aNode({ id: 'b', hostname: 'w2' }))
  t.same(placements(scheduler.plan(anEnv(1_010_000))), ['t1>b'], 'it is back')
})

t.test('when its node is gone for good it does not begin empty elsewhere', async (t) => {
  const task = aTask({ id: 't1', slotVolumes: ['db-1', 'log-1'], volumeNode: 'x' })
  const [err] = errs(threeNodes, task)
  t.match(err, /volumes "db-1", "log-1" are on node x, which is not in the swarm any more/)
  t.match(err, /volume-affinity=none/)
  t.equal(explain(threeNodes, task).refusals.length, 3)
})

t.test('one whose volumes are nowhere is placed like any other', async (t) => {
  t.match(explain(threeNodes, aTask({ id: 't1', slotVolumes: ['db-1'] })).summary, /3 of 3 nodes/)
})
