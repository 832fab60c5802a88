import t from 'tap'
import {
  type NodeView,
  orphanAfterMs,
  reconcileNode,
} from '../../../../manager/orchestrator/node-tasks.ts'
import {
  type Node,
  type Plan,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import { aDecisionEnv, linesOf } from '../../../support/orchestration.ts'

const specs = new Map(
  [
    aSpecRecord('spec-1', {}),
    aSpecRecord('east', { placement: { constraints: ['node.labels.zone==east'] } }),
    aSpecRecord('big', { reservations: { nanoCpus: 2e9 } }),
  ].map((record) => [record.hash, record.spec]),
)

function decide(
  node: Node | undefined,
  tasks: readonly Task[],
  nowMs = 1_000,
  service?: Service,
): Plan {
  const view: NodeView = {
    node,
    tasks,
    taskSpec: (hash) => specs.get(hash),
    service: (id) => (service?.id === id ? service : undefined),
  }
  return reconcileNode(view, aDecisionEnv(nowMs))
}

t.test('a removed node orphans its tasks, those that ended excepted', async (t) => {
  const ended = aTask({ id: 't2', node: 'gone', state: TaskState.FAILED })
  const plan = decide(undefined, [aTask({ id: 't1', node: 'gone' }), ended])
  t.match(plan.changes, [
    { object: { id: 't1', state: TaskState.ORPHANED, err: 'its node was removed' } },
  ])
  t.equal(plan.changes.length, 1)
})

t.test('a node that is down orphans its tasks after 24 h, not before', async (t) => {
  const node = aNode({ id: 'a', state: 'down', stateAtMs: 5_000 })
  const tasks = [aTask({ id: 't1', node: 'a', desiredState: TaskState.SHUTDOWN })]
  const dueMs = 5_000 + orphanAfterMs
  t.match(decide(node, tasks, dueMs - 1), { changes: [], wakeAtMs: dueMs })
  t.match(decide(node, tasks, dueMs).changes, [
    { object: { id: 't1', state: TaskState.ORPHANED, desiredState: TaskState.SHUTDOWN } },
  ])
})

t.test('a task whose constraint broke is asked to stop', async (t) => {
  const task = aTask({ id: 't1', node: 'a', specHash: 'east' })
  t.same(decide(aNode({ id: 'a', labels: { zone: 'east' } }), [task]).changes, [])
  const plan = decide(aNode({ id: 'a', labels: { zone: 'west' } }), [task])
  t.same(linesOf(plan), ['t1 -> shutdown'])
  t.match(plan.changes, [
    { object: { err: 'assigned node no longer meets constraint node.labels.zone==east' } },
  ])
  const passive = aNode({ id: 'a', labels: { zone: 'west' }, availability: 'pause' })
  t.same(decide(passive, [task]).changes, [], 'a paused node is left alone')
})

t.test('a node that shrank keeps the oldest tasks that fit', async (t) => {
  const tasks = [3, 1, 2].map((at) =>
    aTask({ id: `t${at}`, node: 'a', specHash: 'big', createdAtMs: at }),
  )
  const node = (cpus: number): Node => aNode({ id: 'a', nanoCpus: cpus * 1e9 })
  t.same(decide(node(6), tasks).changes, [])
  t.same(linesOf(decide(node(5), tasks)), ['t3 -> shutdown'])
  t.same(linesOf(decide(node(1), tasks)), ['t1 -> shutdown', 't2 -> shutdown', 't3 -> shutdown'])
  const free = aTask({ id: 'free', node: 'a' })
  t.same(linesOf(decide(node(0), [free])), [], 'who reserves nothing needs nothing')
})

t.test(
  'swarm-semantics 1.1, constraint enforcer: who was kept at a change of place only is judged by what the service says now',
  async (t) => {
    const node = aNode({ id: 'a', labels: { zone: 'west' } })
    const east = aTask({ id: 't1', node: 'a', specHash: 'east' })
    const lifted = aService({ specHash: 'now', task: {} })
    t.same(decide(node, [east], 1_000, lifted).changes, [], 'the constraint is no longer asked for')
    const narrowed = aService({
      specHash: 'now',
      task: { placement: { constraints: ['node.id==b'] } },
    })
    t.same(linesOf(decide(node, [aTask({ id: 't2', node: 'a' })], 1_000, narrowed)), [
      't2 -> shutdown',
    ])
    const other = aService({ specHash: 'now', task: { image: 'new' } })
    t.same(linesOf(decide(node, [east], 1_000, other)), ['t1 -> shutdown'], 'it is for the update')
  },
)

t.test('generic resources that a node no longer has take their task with them', async (t) => {
  const named = ['a', 'b'].map((name, at) =>
    aTask({ id: `t-${name}`, node: 'a', createdAtMs: at, generic: [`gpu=${name}`] }),
  )
  const node = (...generic: string[]): Node => aNode({ id: 'a', generic })
  t.same(decide(node('gpu=a', 'gpu=b'), named).changes, [])
  const plan = decide(node('gpu=b', 'gpu=c'), named)
  t.same(linesOf(plan), ['t-a -> shutdown'])
  t.match(plan.changes, [{ object: { err: 'assigned node no longer has the reserved gpu=a' } }])
  t.same(linesOf(decide(node('gpu=2'), named)), ['t-a -> shutdown', 't-b -> shutdown'])
  const counted = [2, 1].map((at) =>
    aTask({ id: `t${at}`, node: 'a', createdAtMs: at, generic: ['lane=2'] }),
  )
  t.same(decide(node('lane=4'), counted).changes, [])
  t.same(linesOf(decide(node('lane=3'), counted)), ['t2 -> shutdown'], 'the oldest keeps its own')
  t.same(linesOf(decide(node(), counted)), ['t1 -> shutdown', 't2 -> shutdown'])
})
