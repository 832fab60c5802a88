// Tasks go to nodes whose program knows all that their spec says (decision 0069).
import t from 'tap'
import { localNetworksLevel, type Node, optionsLevel } from '../../../proto/objects/index.ts'
import { explainTask } from '../../../scheduler/explain.ts'
import { aNode, aSpecRecord, aTask } from '../../support/objects.ts'
import { anEnv, aScheduler, placements, updatedTasks } from '../../support/placement.ts'

function ofLevel(id: string, featureLevel: number): Node {
  const node = aNode({ id, hostname: id })
  return { ...node, description: node.description && { ...node.description, featureLevel } }
}

const plain = aSpecRecord('plain', {})
const rich = aSpecRecord('rich', {
  dns: { search: ['example.org'] },
  mounts: [{ target: '/data', source: 'data', volumeSubpath: 'a' }],
})
const specs = [plain, rich]

t.test('a task that needs more than a node knows is placed elsewhere', async (t) => {
  const nodes = [ofLevel('old', optionsLevel - 1), ofLevel('new', optionsLevel)]
  const tasks = [
    aTask({ id: 'a', specHash: 'rich', slot: 1 }),
    aTask({ id: 'b', specHash: 'rich', slot: 2 }),
    aTask({ id: 'c', service: 'other', specHash: 'plain' }),
  ]
  const plan = aScheduler({ nodes, tasks, specs }).plan(anEnv())
  t.strictSame(placements(plan), ['a>new', 'b>new', 'c>old'])
})

t.test('with old nodes only it waits, and says for what', async (t) => {
  const task = aTask({ id: 'a', specHash: 'rich' })
  const scheduler = aScheduler({ nodes: [ofLevel('old', 4)], tasks: [task], specs })
  const why = 'no suitable node (version too old on 1 node)'
  t.match(updatedTasks(scheduler.plan(anEnv())), [{ id: 'a', nodeId: undefined, err: why }])
  t.match(explainTask(scheduler.index, task), {
    summary: why,
    refusals: [
      {
        hostname: 'old',
        filter: 'version',
        reason: 'node runs an older version: needs options of mounts, DNS settings',
      },
    ],
  })
  scheduler.putNode(ofLevel('old', optionsLevel))
  t.strictSame(placements(scheduler.plan(anEnv(2_000_000))), ['a>old'], 'it was upgraded')
})

t.test('a task for one node only waits there until that one is upgraded', async (t) => {
  const task = aTask({ id: 'a', specHash: 'rich', forNode: 'old' })
  const nodes = [ofLevel('old', 4), ofLevel('new', optionsLevel)]
  const scheduler = aScheduler({ nodes, tasks: [task], specs })
  t.match(updatedTasks(scheduler.plan(anEnv())), [{ nodeId: undefined, err: /version too old/ }])
})

t.test('a node that knows no networks of the driver bridge gets no task on one', async (t) => {
  const near = aSpecRecord('near', { networks: [{ target: 'near', isLocal: true }] })
  const task = aTask({ id: 'a', specHash: 'near' })
  const nodes = [ofLevel('old', localNetworksLevel - 1)]
  const scheduler = aScheduler({ nodes, tasks: [task], specs: [near] })
  t.match(updatedTasks(scheduler.plan(anEnv())), [{ nodeId: undefined, err: /version too old/ }])
  t.match(explainTask(scheduler.index, task), {
    refusals: [{ reason: 'node runs an older version: needs networks of the driver bridge' }],
  })
})
