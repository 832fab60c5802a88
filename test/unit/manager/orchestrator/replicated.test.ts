import t from 'tap'
import { reconcileReplicated, reconcileSlots } from '../../../../manager/orchestrator/replicated.ts'
import { planChangesMax } from '../../../../manager/orchestrator/settle.ts'
import { type Node, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import {
  aDecisionEnv,
  aServiceView,
  linesOf,
  type Situation,
} from '../../../support/orchestration.ts'

const specs = [aSpecRecord('spec-1', {})]
const nodes: Node[] = ['a', 'b', 'c'].map((id) => aNode({ id }))
const service = aService({ replicas: 1 })

function decide(situation: Situation, nowMs = 1_000_000): string[] {
  const view = aServiceView({ nodes, specs, service, ...situation })
  return linesOf(reconcileReplicated(view, aDecisionEnv(nowMs)))
}

function running(id: string, slot: number, node: string, facts: object = {}): Task {
  return aTask({ id, slot, node, ...facts })
}

t.test('a new service gets its replicas, pending and wanted to run', async (t) => {
  const three = aService({ replicas: 3, specHash: 'h', specVersion: 9 })
  const plan = reconcileReplicated(aServiceView({ service: three, tasks: [] }), aDecisionEnv(5_000))
  t.same(linesOf(plan), [
    '+ new-1 slot 1 running',
    '+ new-2 slot 2 running',
    '+ new-3 slot 3 running',
  ])
  t.match(plan.changes[0], {
    object: {
      serviceId: 'service-1',
      state: TaskState.PENDING,
      message: 'pending task scheduling',
      specHash: 'h',
      specVersion: 9,
      nodeId: undefined,
      createdAtMs: 5_000,
    },
  })
  t.equal(plan.wakeAtMs, undefined)
})

t.test('what is as wanted is left alone', async (t) => {
  const two = aService({ replicas: 2 })
  t.same(decide({ service: two, tasks: [running('t1', 1, 'a'), aTask({ id: 't2', slot: 2 })] }), [])
})

t.test('a task that ended is replaced after the delay, counted from its end', async (t) => {
  const failed = running('t1', 1, 'a', { state: TaskState.FAILED, appliedAtMs: 999_000 })
  t.same(decide({ tasks: [failed] }), [
    't1 -> shutdown',
    '+ new-1 slot 1 ready at 1004000 after t1',
  ])
  t.same(
    decide({ tasks: [failed] }, 1_004_000),
    ['t1 -> shutdown', '+ new-1 slot 1 running after t1'],
    'the delay is over when a new leader looks late',
  )
})

t.test('a prepared task starts at its time and not before', async (t) => {
  const failed = running('t1', 1, 'a', {
    state: TaskState.FAILED,
    desiredState: TaskState.SHUTDOWN,
  })
  const next = running('t2', 1, 'b', {
    desiredState: TaskState.READY,
    state: TaskState.READY,
    createdAtMs: 1,
    startAtMs: 1_000_500,
    startAfter: 't1',
  })
  const view = aServiceView({ service, nodes, specs, tasks: [failed, next] })
  t.match(reconcileReplicated(view, aDecisionEnv(1_000_499)), { changes: [], wakeAtMs: 1_000_500 })
  t.same(linesOf(reconcileReplicated(view, aDecisionEnv(1_000_500))), ['t2 -> running'])
})

t.test(
  'a task that fails before its delayed start is followed when that delay is over',
  async (t) => {
    const rejected = running('t1', 1, 'a', {
      state: TaskState.REJECTED,
      appliedAtMs: 999_000,
      startAtMs: 1_003_000,
    })
    const view = aServiceView({ service, nodes, specs, tasks: [rejected] })
    const plan = reconcileReplicated(view, aDecisionEnv(999_000))
    t.same(linesOf(plan), ['t1 -> shutdown'])
    t.equal(plan.wakeAtMs, 1_003_000)
    t.same(
      decide({ tasks: [rejected] }, 1_003_000),
      ['t1 -> shutdown', '+ new-1 slot 1 ready at 1008000 after t1'],
      'and the next delay is counted from there',
    )
    t.same(
      decide({ tasks: [rejected], nodes: [aNode({ id: 'a', state: 'down' })] }, 999_000),
      ['t1 -> shutdown', '+ new-1 slot 1 running after t1'],
      'a lost node causes no delay',
    )
  },
)

t.test('a prepared task waits for its predecessor to stop, a minute at most', async (t) => {
  const old = running('t1', 1, 'a', { desiredState: TaskState.SHUTDOWN })
  const next = running('t2', 1, 'b', {
    desiredState: TaskState.READY,
    state: TaskState.READY,
    createdAtMs: 1_000_000,
    startAfter: 't1',
  })
  const view = aServiceView({ service, nodes, specs, tasks: [old, next] })
  t.match(reconcileReplicated(view, aDecisionEnv(1_000_001)), { changes: [], wakeAtMs: 1_060_000 })
  t.same(linesOf(reconcileReplicated(view, aDecisionEnv(1_060_000))), ['t2 -> running'])

  const patient = [aSpecRecord('spec-1', { stopGraceMs: 90_000 })]
  const longer = aServiceView({ service, nodes, specs: patient, tasks: [old, next] })
  t.match(reconcileReplicated(longer, aDecisionEnv(1_060_000)), {
    changes: [],
    wakeAtMs: 1_100_000,
  })

  const stopped = { ...old, state: TaskState.SHUTDOWN }
  t.same(decide({ tasks: [stopped, next] }, 1_000_001), ['t2 -> running'])
  const down = [aNode({ id: 'a', state: 'down' }), aNode({ id: 'b' })]
  t.same(decide({ nodes: down, tasks: [old, next] }, 1_000_001), ['t2 -> running'])
  t.same(decide({ nodes: [aNode({ id: 'b' })], tasks: [old, next] }, 1_000_001), ['t2 -> running'])
})

t.test('tasks of a node that is down, drained or gone are replaced at once', async (t) => {
  const task = running('t1', 1, 'a')
  const lost = ['t1 -> shutdown', '+ new-1 slot 1 running after t1']
  t.same(decide({ tasks: [task], nodes: [aNode({ id: 'a', state: 'down' })] }), lost)
  t.same(decide({ tasks: [task], nodes: [] }), lost)
  t.same(
    decide({ tasks: [task], nodes: [aNode({ id: 'a', availability: 'drain' })] }),
    ['t1 -> shutdown', '+ new-1 slot 1 ready after t1'],
    'on a drained node it can still be waited for',
  )
  for (const kept of [
    aNode({ id: 'a', availability: 'pause' }),
    aNode({ id: 'a', state: 'unknown' }),
    aNode({ id: 'a', state: 'disconnected' }),
  ]) {
    t.same(decide({ tasks: [task], nodes: [kept] }), [], `${kept.state} ${kept.spec.availability}`)
  }
})

t.test('a task that was evicted is replaced without delay after it stopped', async (t) => {
  const evicted = running('t1', 1, 'a', { desiredState: TaskState.SHUTDOWN })
  t.same(decide({ tasks: [evicted] }), ['+ new-1 slot 1 ready after t1'])
  t.same(decide({ tasks: [{ ...evicted, state: TaskState.SHUTDOWN }] }), [
    '+ new-1 slot 1 running after t1',
  ])
})

t.test('the restart condition decides, and a finished task keeps its slot', async (t) => {
  const ended = (state: TaskState): Task => running('t1', 1, 'a', { state, appliedAtMs: 1 })
  const under = (condition: 'none' | 'on-failure', task: Task, where = nodes): string[] =>
    decide({
      tasks: [task],
      specs: [aSpecRecord('spec-1', { restart: { condition } })],
      nodes: where,
    })
  t.same(under('none', ended(TaskState.FAILED)), ['t1 -> shutdown'])
  t.same(under('on-failure', ended(TaskState.COMPLETE)), ['t1 -> shutdown'])
  t.same(under('on-failure', ended(TaskState.FAILED)), [
    't1 -> shutdown',
    '+ new-1 slot 1 running after t1',
  ])
  const finished = { ...ended(TaskState.COMPLETE), desiredState: TaskState.SHUTDOWN }
  t.same(under('on-failure', finished), [], 'it is not filled again')
  t.same(
    under('none', running('t1', 1, 'a'), [aNode({ id: 'a', availability: 'drain' })]),
    ['t1 -> shutdown'],
    'condition none is not moved',
  )
})

t.test('attempts are counted by the tasks that are left of the slot', async (t) => {
  const restart = { maxAttempts: 2, delayMs: 0 }
  const failed = (id: string, createdAtMs: number, facts: object = {}): Task =>
    running(id, 1, 'a', {
      state: TaskState.FAILED,
      desiredState: TaskState.SHUTDOWN,
      createdAtMs,
      appliedAtMs: createdAtMs + 10,
      ...facts,
    })
  const under = (tasks: Task[], windowMs = 0): string[] =>
    decide({ tasks, specs: [aSpecRecord('spec-1', { restart: { ...restart, windowMs } })] })
  const restarted = ['+ new-1 slot 1 running after t2']
  t.same(under([failed('t1', 100), failed('t2', 200)]), restarted, 'one restart of two')
  const three = [failed('t1', 100), failed('t2', 200), failed('t3', 300)]
  t.same(under(three), [], 'two of two')
  t.same(
    under([failed('t0', 50, { specVersion: 0 }), ...three.slice(0, 2)]),
    restarted,
    'restarts of another version do not count',
  )
  t.same(under(three, 60), ['+ new-1 slot 1 running after t3'], 'one restart in the window')
  t.same(under(three, 111), [], 'both in the window')
})

t.test('a second wanted task in a slot is asked to stop: the newest stays', async (t) => {
  const older = running('t1', 1, 'a')
  const newer = running('t2', 1, 'b', { createdAtMs: 5 })
  t.same(decide({ tasks: [newer, older] }), ['t1 -> shutdown'])
})

t.test('the tasks of a removed service are to be removed', async (t) => {
  const tasks = [
    running('t1', 1, 'a'),
    aTask({ id: 't2', slot: 2 }),
    running('t3', 3, 'a', { desiredState: TaskState.REMOVE }),
  ]
  t.same(decide({ service: undefined, tasks }), ['t1 -> remove', 't2 -> remove'])
})

t.test('scaling up takes the lowest free slot numbers', async (t) => {
  const tasks = [running('t2', 2, 'a'), running('t5', 5, 'b')]
  t.same(decide({ service: aService({ replicas: 4 }), tasks }), [
    '+ new-1 slot 1 running',
    '+ new-2 slot 3 running',
  ])
})

t.test('a number taken again waits for the task that still stops there', async (t) => {
  const stopping = running('t1', 1, 'a', { desiredState: TaskState.REMOVE })
  t.same(decide({ tasks: [stopping] }), ['+ new-1 slot 1 ready after t1'])
  const pending = aTask({ id: 't1', desiredState: TaskState.REMOVE })
  t.same(decide({ tasks: [pending] }), ['+ new-1 slot 1 running'])
})

t.test(
  'scaling down removes unassigned, then the most copies of a node, not running first',
  async (t) => {
    const tasks = [
      running('a1', 1, 'a'),
      running('a2', 2, 'a', { state: TaskState.PREPARING }),
      running('a3', 3, 'a'),
      running('b1', 4, 'b'),
      aTask({ id: 'p', slot: 5 }),
      running('lost', 6, 'gone'),
    ]
    const scaled = (replicas: number): string[] =>
      decide({ service: aService({ replicas }), tasks }).filter((line) => line.endsWith('remove'))
    t.same(scaled(5), ['p -> remove'])
    t.same(scaled(4), ['p -> remove', 'lost -> remove'])
    t.same(scaled(3).slice(2), ['a2 -> remove'], 'the third copy is the one that does not run')
    t.same(scaled(2).slice(2), ['a2 -> remove', 'a3 -> remove'])
    t.same(scaled(1).slice(4), ['b1 -> remove'])
    t.same(scaled(0).length, 6)
  },
)

t.test('with a removed slot goes its history', async (t) => {
  const tasks = [
    running('old', 2, 'a', { state: TaskState.FAILED, desiredState: TaskState.SHUTDOWN }),
    running('t2', 2, 'a', { createdAtMs: 1 }),
    running('t1', 1, 'b'),
  ]
  t.same(decide({ tasks }), ['old -> remove', 't2 -> remove'])
})

t.test('a huge plan is cut and continued at once', async (t) => {
  const huge = aService({ replicas: planChangesMax + 100 })
  const plan = reconcileReplicated(aServiceView({ service: huge, tasks: [] }), aDecisionEnv(7))
  t.equal(plan.changes.length, planChangesMax)
  t.equal(plan.wakeAtMs, 7)
})

t.test(
  'slots decided by themselves restart and start tasks, but neither scale nor update',
  async (t) => {
    const outdated = aService({ replicas: 9, specHash: 'spec-2' })
    const tasks = [
      running('t1', 1, 'a', { state: TaskState.FAILED, appliedAtMs: 1 }),
      running('t2', 2, 'a'),
    ]
    const view = aServiceView({ service: outdated, nodes, specs, tasks })
    t.same(linesOf(reconcileSlots(view, aDecisionEnv())), [
      't1 -> shutdown',
      '+ new-1 slot 1 running after t1',
    ])
    const removed = aServiceView({ service: undefined, nodes, specs, tasks })
    t.same(linesOf(reconcileSlots(removed, aDecisionEnv())), ['t1 -> remove', 't2 -> remove'])
  },
)
