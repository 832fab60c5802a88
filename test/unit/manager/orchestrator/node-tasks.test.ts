import t from 'tap'
import { orphanAfterMs, reconcileNode } from '../../../../manager/orchestrator/node-tasks.ts'
import { type Node, type Plan, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aNode, aSpecRecord, aTask } from '../../../support/objects.ts'
import { aDecisionEnv, linesOf } from '../../../support/orchestration.ts'

const specs = new Map(
  [
    aSpecRecord('spec-1', {}),
    aSpecRecord('east', { placement: { constraints: ['node.labels.zone==east'] } }),
    aSpecRecord('big', { reservations: { nanoCpus: 2e9 } }),
  ].map((record) => [record.hash, record.spec]),
)

function decide(node: Node | undefined, tasks: readonly Task[], nowMs = 1_000): Plan {
  const view = { node, tasks, taskSpec: (hash: Task['specHash']) => specs.get(hash) }
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
