import fc from 'fast-check'
import t from 'tap'
import { type Node, type Task, TaskState } from '../../../proto/objects/index.ts'
import { parseGenericResources } from '../../../proto/spec/generic-resource.ts'
import { ClusterIndex } from '../../../scheduler/cluster-index.ts'
import { explainTask } from '../../../scheduler/explain.ts'
import { aNode, aSpecRecord, aTask } from '../../support/objects.ts'
import { anEnv, aScheduler, commit, updatedTasks } from '../../support/placement.ts'

const wants = (count: number) =>
  aSpecRecord(`gpu-${count}`, {
    reservations: { generic: parseGenericResources([`gpu=${count}`]) },
  })
const specs = [wants(1), wants(2), aSpecRecord('spec-1', {})]
const one = (id: string, slot: number): Task => aTask({ id, slot, specHash: 'gpu-1' })

t.test('named ones: each task gets names of its own, and who finds none waits', async (t) => {
  const nodes = [
    aNode({ id: 'n1', hostname: 'has', generic: ['gpu=a', 'gpu=b', 'gpu=c'] }),
    aNode({ id: 'n2', hostname: 'has-not' }),
  ]
  const two = aTask({ id: 't2', slot: 2, specHash: 'gpu-2' })
  const scheduler = aScheduler({ nodes, tasks: [one('t1', 1), two, one('t3', 3)], specs })
  const plan = scheduler.plan(anEnv())
  const given = updatedTasks(plan).map(({ id, nodeId, generic }) => [id, nodeId, generic])
  t.same(given, [
    ['t1', 'n1', parseGenericResources(['gpu=a'])],
    ['t3', 'n1', parseGenericResources(['gpu=b'])],
    ['t2', undefined, []],
  ])
  commit(scheduler, plan)
  const explanation = explainTask(scheduler.index, two)
  t.equal(explanation.summary, 'no suitable node (insufficient resources on 2 nodes)')
  t.same(
    explanation.refusals.map(({ hostname, reason }) => `${hostname}: ${reason}`),
    ['has: needs 2 gpu, 1 of 3 free', 'has-not: needs 2 gpu, the node has none'],
  )
})

t.test('what a task held is free when it has ended, not when it is asked to', async (t) => {
  const nodes = [aNode({ id: 'n1', generic: ['gpu=1'] })]
  const holder = aTask({ id: 'old', slot: 9, node: 'n1', specHash: 'gpu-1', generic: ['gpu=1'] })
  const scheduler = aScheduler({ nodes, tasks: [holder, one('t1', 1)], specs })
  t.equal(scheduler.plan(anEnv()).assigned, 0)
  const asked = { ...holder, version: 2, desiredState: TaskState.SHUTDOWN }
  scheduler.changeTask(holder, asked)
  t.equal(scheduler.plan(anEnv(1_001_000)).assigned, 0)
  scheduler.changeTask(asked, { ...asked, version: 3, state: TaskState.SHUTDOWN })
  t.equal(scheduler.plan(anEnv(1_002_000)).assigned, 1)
})

t.test('a plan that is refused gives back what it had claimed', async (t) => {
  const nodes = [aNode({ id: 'n1', generic: ['gpu=a'] })]
  const scheduler = aScheduler({ nodes, tasks: [one('t1', 1)], specs })
  const [update] = scheduler.plan(anEnv()).updates
  t.equal(scheduler.index.entryOf(nodes[0]?.id ?? aNode({}).id)?.generic?.isHeld('gpu', 'a'), true)
  if (update !== undefined) scheduler.refused(update)
  t.equal(scheduler.index.entryOf(nodes[0]?.id ?? aNode({}).id)?.generic?.isHeld('gpu', 'a'), false)
})

/** Holders of each unit of the node, as the tasks say. */
function overbooked(nodes: readonly Node[], tasks: readonly Task[]): string[] {
  return nodes.flatMap((node) => {
    const offers = node.description?.resources.generic?.[0]
    const held = tasks.filter((task) => task.nodeId === node.id).flatMap(({ generic }) => generic)
    const names = held.flatMap((each) => each.names)
    const isTwice = new Set(names).size < names.length
    const isForeign = names.some((name) => !offers?.names.includes(name))
    const count = held.reduce((sum, each) => sum + each.count, 0)
    return isTwice || isForeign || count > (offers?.count ?? 0)
      ? [`${node.id}: ${names} ${count}`]
      : []
  })
}

t.test('no unit is ever given to two tasks, and nobody waits while enough is free', async (t) => {
  const offers = fc.constantFrom([], ['gpu=1'], ['gpu=4'], ['gpu=a'], ['gpu=a', 'gpu=b', 'gpu=c'])
  const cluster = fc.record({
    nodes: fc.array(offers, { maxLength: 5 }),
    tasks: fc.array(fc.constantFrom(1, 2), { maxLength: 12 }),
    rounds: fc.integer({ min: 1, max: 4 }),
  })
  fc.assert(
    fc.property(cluster, (facts) => {
      const nodes = facts.nodes.map((generic, at) => aNode({ id: `n${at}`, generic }))
      let tasks = facts.tasks.map((count, at) =>
        aTask({ id: `t${at}`, slot: at + 1, specHash: `gpu-${count}` }),
      )
      const scheduler = aScheduler({ nodes, tasks, specs })
      for (let round = 0; round < facts.rounds; round++) {
        const plan = scheduler.plan(anEnv(1_000_000 + round * 60_000), 3)
        const after = new Map(updatedTasks(plan).map((task) => [task.id, task]))
        tasks = tasks.map((task) => after.get(task.id) ?? task)
        commit(scheduler, plan)
      }
      t.same(overbooked(nodes, tasks), [])
      const fresh = ClusterIndex.from({ nodes, tasks, taskSpecs: specs, strategy: 'spread' })
      for (const { id } of nodes) {
        for (const name of ['a', 'b', 'c']) {
          const known = scheduler.index.entryOf(id)?.generic?.isHeld('gpu', name) === true
          t.equal(known, fresh.entryOf(id)?.generic?.isHeld('gpu', name) === true)
        }
      }
      if (facts.rounds * 3 < facts.tasks.length) return
      for (const task of tasks.filter((each) => each.nodeId === undefined)) {
        t.match(explainTask(fresh, task).summary, /^no suitable node/, 'it really finds no room')
      }
    }),
    { numRuns: 200 },
  )
})
