import t from 'tap'
import { explainTask } from '../../../scheduler/explain.ts'
import { aNode, aSpecRecord, aTask } from '../../support/objects.ts'
import { anEnv, aScheduler, updatedTasks } from '../../support/placement.ts'

// Every node but the last turns the task away for another reason.
const nodes = [
  aNode({ id: 'n1', hostname: 'paused', availability: 'pause' }),
  aNode({ id: 'n2', hostname: 'down', state: 'down' }),
  aNode({ id: 'n3', hostname: 'small', nanoCpus: 1e9, memoryBytes: 2 ** 30 }),
  aNode({ id: 'n4', hostname: 'west', labels: { zone: 'west' } }),
  aNode({
    id: 'n5',
    hostname: 'arm',
    labels: { zone: 'east' },
    platform: { os: 'linux', architecture: 'aarch64' },
  }),
  aNode({ id: 'n6', hostname: 'taken', labels: { zone: 'east' } }),
]
const full = aNode({ id: 'n7', hostname: 'full', labels: { zone: 'east' } })

const wanted = aSpecRecord('wanted', {
  reservations: { nanoCpus: 2e9, memoryBytes: 1.5 * 2 ** 30 },
  placement: {
    constraints: ['node.labels.zone==east'],
    platforms: [{ os: 'linux', architecture: 'amd64' }],
    maxReplicasPerNode: 1,
  },
  ports: [{ targetPort: 80, publishedPort: 8080 }],
})
const specs = [
  wanted,
  aSpecRecord('port', { ports: [{ targetPort: 1, publishedPort: 8080 }] }),
  aSpecRecord('portless', {}),
]
const tasks = [
  aTask({ id: 'p', service: 'other', node: 'n6', specHash: 'port' }),
  aTask({ id: 'own', node: 'n7', specHash: 'portless', slot: 2 }),
]
const task = aTask({ id: 't1', specHash: 'wanted' })

t.test('every node tells the first filter that turned the task away, with the facts', async (t) => {
  const { index } = aScheduler({ nodes: [...nodes, full], tasks, specs })
  const explanation = explainTask(index, task)
  const lines = explanation.refusals.map(
    ({ nodeId, hostname, filter, reason }) => `${nodeId} ${hostname} ${filter}: ${reason}`,
  )
  t.same(lines, [
    'n5 arm platform: needs linux/amd64, the node is linux/arm64',
    'n2 down ready: node is down, availability is active',
    'n7 full max-replicas: runs 1 of the service, the limit is 1',
    'n1 paused ready: availability is pause',
    'n3 small resources: needs 2 CPUs, 1 of 1 free; needs 1536 MiB of memory, 1024 MiB of 1024 MiB free',
    'n6 taken host-port: in use by other tasks: tcp/8080',
    'n4 west constraints: node.labels.zone==east: the node has "west"',
  ])
  t.equal(
    explanation.summary,
    'no suitable node (2 nodes not available for new tasks; insufficient resources on 1 node; ' +
      'scheduling constraints not satisfied on 1 node; unsupported platform on 1 node; ' +
      'host-mode port already in use on 1 node; max replicas per node limit exceed)',
  )
})

t.test('the plan tells the same summary', async (t) => {
  const all = [...nodes, full]
  const scheduler = aScheduler({ nodes: all, tasks: [...tasks, task], specs })
  const expected = explainTask(scheduler.index, task).summary
  t.same(
    updatedTasks(scheduler.plan(anEnv())).map((update) => update.err),
    [expected],
  )
})

t.test('nodes that would take the task are counted, not listed', async (t) => {
  const fitting = aNode({ id: 'n8', hostname: 'fit', labels: { zone: 'east' } })
  const { index } = aScheduler({ nodes: [...nodes, fitting], tasks, specs })
  const explanation = explainTask(index, task)
  t.equal(explanation.summary, 'not placed yet: 1 of 7 nodes fit')
  t.equal(explanation.refusals.length, 6)
})

t.test('without nodes there is nothing to say but that', async (t) => {
  const { index } = aScheduler({ nodes: [], tasks: [], specs })
  t.same(explainTask(index, task), { summary: 'no suitable node', refusals: [] })
})

t.test('an unknown key is named as such', async (t) => {
  const placement = { constraints: ['node.label.zone==east'] }
  const { index } = aScheduler({
    nodes: [aNode({ id: 'n1' })],
    tasks: [],
    specs: [aSpecRecord('odd', { placement })],
  })
  t.match(explainTask(index, aTask({ specHash: 'odd' })).refusals, [
    { reason: /^node.label.zone==east: nodes have no "node.label.zone", the keys are node.id, / },
  ])
})

t.test('a missing spec is told', async (t) => {
  const { index } = aScheduler({ nodes, tasks: [], specs: [] })
  t.match(explainTask(index, task), { summary: /the task's spec wanted is missing/, refusals: [] })
})

t.test('a host port bound to an address leaves the others free', async (t) => {
  const bound = (hash: string, bindAddress: string) =>
    aSpecRecord(hash, { ports: [{ targetPort: 1, publishedPort: 8080, bindAddress }] })
  const records = [bound('all', ''), bound('five', '10.0.0.5'), bound('six', '10.0.0.6')]
  const isRefused = (used: string, asked: string): boolean => {
    const { index } = aScheduler({
      nodes: [aNode({ id: 'n1' })],
      tasks: [aTask({ id: 'p', service: 'other', node: 'n1', specHash: used })],
      specs: records,
    })
    const { refusals } = explainTask(index, aTask({ id: 't1', specHash: asked }))
    return refusals.some(({ filter }) => filter === 'host-port')
  }
  t.notOk(isRefused('five', 'six'))
  t.ok(isRefused('five', 'five'))
  t.ok(isRefused('five', 'all'))
  t.ok(isRefused('all', 'five'))
  t.ok(isRefused('all', 'all'))
})
