import t from 'tap'
import { nodesOfGlobal, reconcileGlobal } from '../../../../manager/orchestrator/global.ts'
import type { Scope } from '../../../../manager/orchestrator/service-view.ts'
import { type Node, nodeId, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import {
  aDecisionEnv,
  aServiceView,
  linesOf,
  type Situation,
} from '../../../support/orchestration.ts'

const service = aService({ mode: { kind: 'global' } })
const specs = [aSpecRecord('spec-1', {}), aSpecRecord('spec-2', { image: 'new' })]
const three = ['a', 'b', 'c'].map((id) => aNode({ id }))

function decide(situation: Situation, scope: Scope = 'all', nowMs = 1_000_000): string[] {
  const view = aServiceView({ specs, service, nodes: three, ...situation })
  return linesOf(reconcileGlobal(view, scope, aDecisionEnv(nowMs)))
}

function on(node: string, facts: Parameters<typeof aTask>[0] = {}): Task {
  const state = TaskState.RUNNING
  return aTask({ id: `t-${node}`, forNode: node, node, state, appliedAtMs: 900_000, ...facts })
}

const all = [on('a'), on('b'), on('c')]

function withNode(facts: Parameters<typeof aNode>[0]): Node[] {
  return three.map((node) => (node.id === facts.id ? aNode(facts) : node))
}

t.test('one task on each node (swarm-semantics 1.1 global)', async (t) => {
  t.same(decide({ tasks: [] }), [
    '+ new-1 on a running',
    '+ new-2 on b running',
    '+ new-3 on c running',
  ])
  t.same(decide({ tasks: all }), [])
  t.same(decide({ tasks: all.slice(1) }), ['+ new-1 on a running'], 'a new node gets one')
})

t.test('constraints and platform say which nodes fit (7.2 global)', async (t) => {
  const nodes = [aNode({ id: 'a', labels: { disk: 'ssd' } }), ...three.slice(1)]
  const task = { placement: { constraints: ['node.labels.disk==ssd'] } }
  const picky = aService({ mode: { kind: 'global' }, task })
  t.same(decide({ service: picky, nodes, tasks: [] }), ['+ new-1 on a running'])
  const arm = { placement: { platforms: [{ os: 'linux', architecture: 'arm64' }] } }
  const foreign = aService({ mode: { kind: 'global' }, task: arm })
  t.same(decide({ service: foreign, tasks: [] }), [])
  t.same(decide({ service: foreign, tasks: [on('b')] }), ['t-b -> shutdown'], 'no longer fits')
})

t.test('what becomes of the task of a node that changes (1.1, 7.2 global)', async (t) => {
  const cases: readonly (readonly [string, Node[], string[]])[] = [
    ['drain', withNode({ id: 'b', availability: 'drain' }), ['t-b -> shutdown']],
    ['down', withNode({ id: 'b', state: 'down' }), ['t-b -> shutdown']],
    ['pause', withNode({ id: 'b', availability: 'pause' }), []],
    ['unknown', withNode({ id: 'b', state: 'unknown' }), []],
    ['removed', three.filter(({ id }) => id !== 'b'), ['t-b -> remove']],
  ]
  for (const [what, nodes, lines] of cases) t.same(decide({ nodes, tasks: all }), lines, what)
})

t.test('a paused node gets no new task and no update (1.1 global)', async (t) => {
  const nodes = withNode({ id: 'b', availability: 'pause' })
  t.same(decide({ nodes, tasks: [on('a'), on('c')] }), [])
  const ended = on('b', { state: TaskState.FAILED })
  t.same(decide({ nodes, tasks: [on('a'), ended, on('c')] }), [], 'nor is one restarted')
  const fresh = { specHash: 'spec-2', specVersion: 2 }
  const task = { image: 'new' }
  const updated = aService({ mode: { kind: 'global' }, task, ...fresh })
  const tasks = [on('a', fresh), on('b'), on('c', fresh)]
  t.same(decide({ service: updated, nodes, tasks }), [])
  t.same(
    decide({ service: updated, tasks }),
    ['updating: update in progress', 't-b -> shutdown', '+ new-1 on b ready after t-b'],
    'until it is active again',
  )
})

t.test(
  'what an update began on a node before it was paused is part of it (1.1 global, 7.1 parallelism)',
  async (t) => {
    const fresh = { specHash: 'spec-2', specVersion: 2 }
    const task = { image: 'new' }
    const mode = { kind: 'global' as const }
    const updateStatus = { state: 'updating' as const, slots: 3 }
    const updated = aService({ mode, task, ...fresh, updateStatus })
    const nodes = withNode({ id: 'a', availability: 'pause' })
    const stopped = on('a', {
      id: 'old-a',
      state: TaskState.SHUTDOWN,
      desiredState: TaskState.SHUTDOWN,
    })
    const begun = (facts: Parameters<typeof aTask>[0]): Task =>
      aTask({
        id: 't-a',
        forNode: 'a',
        ...fresh,
        createdAtMs: 950_000,
        startAfter: 'old-a',
        ...facts,
      })
    const goesOn = ['t-b -> shutdown', '+ new-1 on b ready after t-b']
    const { PENDING, STARTING, RUNNING, FAILED } = TaskState
    const why = 'update paused due to failure or early termination of task t-a'
    const cases: readonly (readonly [string, Parameters<typeof aTask>[0], string[], string[]])[] = [
      ['it has no node yet', { state: PENDING }, [], []],
      ['it starts', { node: 'a', state: STARTING }, [], []],
      ['it runs, and is watched', { node: 'a', state: RUNNING, ranAtMs: 999_000 }, goesOn, []],
      [
        'it has proven itself',
        { node: 'a', state: RUNNING, ranAtMs: 990_000 },
        goesOn,
        ['completed: update completed'],
      ],
      [
        'it failed',
        { node: 'a', state: FAILED, ranAtMs: 998_000, appliedAtMs: 999_000 },
        [`paused: ${why}`],
        [`paused: ${why}`],
      ],
    ]
    for (const [what, facts, meanwhile, atEnd] of cases) {
      const own = [stopped, begun(facts)]
      const left = [...own, on('b'), on('c')]
      t.same(
        decide({ service: updated, nodes, tasks: left }),
        meanwhile,
        `${what}, others are left`,
      )
      const done = [...own, on('b', fresh), on('c', fresh)]
      t.same(decide({ service: updated, nodes, tasks: done }), atEnd, `${what}, all else is done`)
    }
    const old = [on('a'), on('b', fresh), on('c', fresh)]
    const ends = decide({ service: updated, nodes, tasks: old })
    t.same(ends, ['completed: update completed'], 'what was not begun there does not hold it')
  },
)

t.test('a node that is active again gets a task whatever the restart policy', async (t) => {
  const once = [aSpecRecord('spec-1', { restart: { condition: 'none' } })]
  const gone = { state: TaskState.SHUTDOWN, desiredState: TaskState.SHUTDOWN }
  const back = [on('a'), on('b', gone), on('c')]
  t.same(decide({ specs: once, tasks: back }), ['+ new-1 on b running after t-b'])
  const stopping = [on('a'), on('b', { desiredState: TaskState.SHUTDOWN }), on('c')]
  t.same(decide({ specs: once, tasks: stopping }), ['+ new-1 on b ready after t-b'])
  const over = { state: TaskState.COMPLETE, desiredState: TaskState.SHUTDOWN }
  t.same(decide({ specs: once, tasks: [on('a'), on('b', over), on('c')] }), [], 'it had ended')
})

t.test('attempts are counted by node (7.2 global)', async (t) => {
  const few = [aSpecRecord('spec-1', { restart: { maxAttempts: 1, delayMs: 1_000 } })]
  const ended = { state: TaskState.FAILED, desiredState: TaskState.SHUTDOWN }
  const first = on('b', { ...ended, id: 'b1', createdAtMs: 1 })
  const second = on('b', { id: 'b2', createdAtMs: 2, state: TaskState.FAILED })
  const tasks = [on('a', { state: TaskState.FAILED }), first, second, on('c')]
  t.same(decide({ specs: few, tasks }), [
    't-a -> shutdown',
    '+ new-1 on a running after t-a',
    'b2 -> shutdown',
  ])
})

t.test('a few nodes are decided about by themselves', async (t) => {
  const scope = new Set([nodeId('b'), nodeId('x')])
  t.same(decide({ tasks: [] }, scope), ['+ new-1 on b running'])
  t.same(decide({ tasks: [on('x')] }, scope), ['+ new-1 on b running', 't-x -> remove'])
})

t.test('how many tasks there are to be', async (t) => {
  const nodes = [
    ...withNode({ id: 'b', availability: 'pause' }),
    aNode({ id: 'd', availability: 'drain' }),
    aNode({ id: 'e', availability: 'pause' }),
  ]
  const view = aServiceView({ specs, service, nodes, tasks: [on('b')] })
  t.same([...nodesOfGlobal(service, view)], ['a', 'b', 'c'])
})
