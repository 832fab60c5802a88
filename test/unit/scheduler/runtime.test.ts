// Tasks that ask for a runtime go to nodes that have it.
import t from 'tap'
import { explainTask } from '../../../scheduler/explain.ts'
import { aNode, aSpecRecord, aTask } from '../../support/objects.ts'
import { anEnv, aScheduler, placements, updatedTasks } from '../../support/placement.ts'

const both = aNode({ id: 'both', hostname: 'both', runtimes: ['crun', 'runc'] })
const one = aNode({ id: 'one', hostname: 'one', runtimes: ['crun'] })
const other = aNode({ id: 'other', hostname: 'other', runtimes: ['crun', 'kata'] })
const specs = [aSpecRecord('runc', { runtime: 'runc' }), aSpecRecord('plain', {})]

t.test('a task goes where its runtime is, one that asks for none anywhere', async (t) => {
  const tasks = [
    aTask({ id: 'a', specHash: 'runc', slot: 1 }),
    aTask({ id: 'b', specHash: 'runc', slot: 2 }),
    aTask({ id: 'c', service: 'other', specHash: 'plain' }),
  ]
  const plan = aScheduler({ nodes: [both, one], tasks, specs }).plan(anEnv())
  t.strictSame(placements(plan), ['a>both', 'b>both', 'c>one'])
})

t.test('without such a node it waits, and says for what, node by node', async (t) => {
  const task = aTask({ id: 'a', specHash: 'runc' })
  const scheduler = aScheduler({ nodes: [one, other], tasks: [task], specs })
  const why = 'no suitable node (runtime missing on 2 nodes)'
  t.match(updatedTasks(scheduler.plan(anEnv())), [{ id: 'a', nodeId: undefined, err: why }])
  t.match(explainTask(scheduler.index, task).refusals, [
    { hostname: 'one', filter: 'runtime', reason: 'needs the runtime runc, the node has crun' },
    { hostname: 'other', reason: 'needs the runtime runc, the node has crun, kata' },
  ])
  scheduler.putNode(aNode({ id: 'one', hostname: 'one', runtimes: ['crun', 'runc'] }))
  t.strictSame(placements(scheduler.plan(anEnv(2_000_000))), ['a>one'], 'it was installed there')
})

t.test('a node that has not told is asked itself', async (t) => {
  const task = aTask({ id: 'a', specHash: 'runc' })
  const silent = aNode({ id: 'silent' })
  const plan = aScheduler({ nodes: [one, silent], tasks: [task], specs }).plan(anEnv())
  t.strictSame(placements(plan), ['a>silent'])
})
