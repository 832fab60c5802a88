import t from 'tap'
import { reconcileReplicated } from '../../../../manager/orchestrator/replicated.ts'
import { type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import {
  aDecisionEnv,
  aServiceView,
  linesOf,
  type Situation,
} from '../../../support/orchestration.ts'

const specs = ['one', 'two', 'three'].map((image, at) => aSpecRecord(`spec-${at + 1}`, { image }))
const nodes = ['a', 'b', 'c'].map((id) => aNode({ id }))
const updating = { state: 'updating' as const, slots: 3 }
const second = { specHash: 'spec-2', specVersion: 2, task: { image: 'two' } }
const service = aService({ replicas: 3, ...second, updateStatus: updating })

function plan(situation: Situation, nowMs = 1_000_000): ReturnType<typeof reconcileReplicated> {
  return reconcileReplicated(
    aServiceView({ nodes, specs, service, ...situation }),
    aDecisionEnv(nowMs),
  )
}

function old(slot: number, facts: Parameters<typeof aTask>[0] = {}): Task {
  return aTask({ id: `old-${slot}`, slot, node: 'a', ...facts })
}

function fresh(slot: number, facts: Parameters<typeof aTask>[0] = {}): Task {
  return aTask({
    id: `fresh-${slot}`,
    slot,
    node: 'b',
    specHash: 'spec-2',
    specVersion: 2,
    createdAtMs: 500_000,
    appliedAtMs: 999_999,
    startAfter: `old-${slot}`,
    ...facts,
  })
}

const ended = { state: TaskState.FAILED, ranAtMs: 990_000, appliedAtMs: 993_000 }
const failed = (slot: number, facts: Parameters<typeof aTask>[0] = {}): Task =>
  fresh(slot, { ...ended, desiredState: TaskState.SHUTDOWN, ...facts })

t.test('one outdated task is replaced, and the new one waits for its stop', async (t) => {
  t.same(linesOf(plan({ tasks: [old(1), old(2), old(3)] })), [
    'old-1 -> shutdown',
    '+ new-1 slot 1 ready after old-1',
  ])
})

t.test('the next one follows when the first runs, not before', async (t) => {
  const stopped = old(1, { desiredState: TaskState.SHUTDOWN, state: TaskState.SHUTDOWN })
  const during = (state: TaskState): string[] =>
    linesOf(plan({ tasks: [stopped, fresh(1, { state }), old(2), old(3)] }))
  for (const state of [TaskState.PENDING, TaskState.ASSIGNED, TaskState.STARTING]) {
    t.same(during(state), [])
  }
  t.same(during(TaskState.RUNNING), ['old-2 -> shutdown', '+ new-1 slot 2 ready after old-2'])
})

t.test('a new task that cannot be placed holds the update', async (t) => {
  const pending = aTask({
    id: 'fresh-1',
    specHash: 'spec-2',
    specVersion: 2,
    startAfter: 'old-1',
    err: 'no suitable node',
  })
  t.same(linesOf(plan({ tasks: [pending, old(2), old(3)] })), [])
})

t.test('outdated tasks that do not run are replaced first', async (t) => {
  const tasks = [old(1), old(2), old(3, { state: TaskState.PREPARING })]
  t.same(linesOf(plan({ tasks })), ['old-3 -> shutdown', '+ new-1 slot 3 ready after old-3'])
})

t.test('outdated tasks without a node are replaced all at once and hold nothing', async (t) => {
  const waiting = [2, 3].map((slot) => aTask({ id: `old-${slot}`, slot }))
  t.same(linesOf(plan({ tasks: [old(1), ...waiting] })), [
    'old-2 -> shutdown',
    '+ new-1 slot 2 running',
    'old-3 -> shutdown',
    '+ new-2 slot 3 running',
    'old-1 -> shutdown',
    '+ new-3 slot 1 ready after old-1',
  ])
})

t.test('the next slot follows a delay after the former one runs', async (t) => {
  const slow = aService({
    replicas: 3,
    ...second,
    updateStatus: updating,
    update: { delayMs: 7_000 },
  })
  const tasks = [fresh(1, { ranAtMs: 999_000 }), old(2), old(3)]
  const during = plan({ service: slow, tasks }, 1_005_999)
  t.same(during.changes, [])
  t.equal(during.wakeAtMs, 1_006_000)
  t.same(linesOf(plan({ service: slow, tasks }, 1_006_000)), [
    'old-2 -> shutdown',
    '+ new-1 slot 2 ready after old-2',
  ])
})

// swarm-semantics 7.1, monitor vs delay.
t.test('with a delay as long as the monitor time, a task is watched beyond it', async (t) => {
  const slow = (delayMs: number) =>
    aService({
      replicas: 3,
      ...second,
      updateStatus: updating,
      update: { delayMs, monitorMs: 5_000 },
    })
  // It ran for so long.
  const after = (delayMs: number, ms: number): readonly string[] => {
    const first = failed(1, { ranAtMs: 990_000, appliedAtMs: 990_000 + ms })
    const again = fresh(1, { id: 'again-1', createdAtMs: 600_000, startAfter: 'fresh-1' })
    const tasks = [first, again, old(2), old(3)]
    return linesOf(plan({ service: slow(delayMs), tasks }, 1_100_000))
  }
  const goesOn = ['old-2 -> shutdown', '+ new-1 slot 2 ready after old-2']
  t.match(after(5_000, 5_500), [/^paused: /], 'as long')
  t.match(after(10_000, 10_999), [/^paused: /], 'longer')
  t.same(after(10_000, 11_000), goesOn, 'a second beyond')
  t.same(after(4_999, 5_000), goesOn, 'a shorter one changes nothing')
})

t.test('as many slots at a time as the policy says; 0 is all', async (t) => {
  const tasks = [1, 2, 3].map((slot) => old(slot))
  const stopped = (parallelism: number): readonly string[] => {
    const one = aService({
      replicas: 3,
      ...second,
      updateStatus: updating,
      update: { parallelism },
    })
    return linesOf(plan({ service: one, tasks })).filter((line) => line.startsWith('old'))
  }
  t.same(stopped(2), ['old-1 -> shutdown', 'old-2 -> shutdown'])
  t.equal(stopped(0).length, 3)
})

t.test('a first failure pauses the update, and it stays so', async (t) => {
  const why = 'update paused due to failure or early termination of task fresh-1'
  const again = fresh(1, { id: 'again-1', createdAtMs: 600_000, startAfter: 'fresh-1' })
  const tasks = [failed(1), again, old(2), old(3)]
  t.same(linesOf(plan({ tasks })), [`paused: ${why}`])
  const paused = aService({ replicas: 3, ...second, updateStatus: { state: 'paused', slots: 3 } })
  t.same(linesOf(plan({ service: paused, tasks })), [])
  t.same(
    linesOf(plan({ service: paused, tasks: [old(1), old(2)] })),
    ['+ new-1 slot 3 running'],
    'scaling goes on',
  )
})

t.test(
  'what ran for longer than it is watched, and what the cluster stopped, is no failure',
  async (t) => {
    const goesOn = ['old-2 -> shutdown', '+ new-1 slot 2 ready after old-2']
    const again = fresh(1, { id: 'again-1', createdAtMs: 600_000, startAfter: 'fresh-1' })
    const long = failed(1, { ranAtMs: 980_000 })
    t.same(linesOf(plan({ tasks: [long, again, old(2), old(3)] })), goesOn)
    const drained = failed(1, { state: TaskState.SHUTDOWN })
    t.same(linesOf(plan({ tasks: [drained, again, old(2), old(3)] })), goesOn)
    const never = failed(1, { ranAtMs: 0, state: TaskState.REJECTED })
    t.match(linesOf(plan({ tasks: [never, again, old(2), old(3)] })), [/^paused: /])
    const completed = failed(1, { state: TaskState.COMPLETE })
    t.match(linesOf(plan({ tasks: [completed, again, old(2), old(3)] })), [/^paused: /])
  },
)

t.test('a ratio of failures may be allowed, and all of them be ignored', async (t) => {
  const again = fresh(1, { id: 'again-1', createdAtMs: 600_000, startAfter: 'fresh-1' })
  const withPolicy = (update: NonNullable<Parameters<typeof aService>[0]['update']>) =>
    aService({ replicas: 3, ...second, updateStatus: updating, update })
  const tasks = [failed(1), again, old(2), old(3)]
  const goesOn = ['old-2 -> shutdown', '+ new-1 slot 2 ready after old-2']
  t.same(linesOf(plan({ service: withPolicy({ maxFailureRatio: 0.34 }), tasks })), goesOn)
  t.match(linesOf(plan({ service: withPolicy({ maxFailureRatio: 0.33 }), tasks })), [/^paused/])
  t.same(linesOf(plan({ service: withPolicy({ failureAction: 'continue' }), tasks })), goesOn)
})

t.test('an update that fails goes back by itself, once', async (t) => {
  const update = { failureAction: 'rollback' as const }
  const facts = { replicas: 3, ...second, update }
  const again = fresh(1, { id: 'again-1', createdAtMs: 600_000, startAfter: 'fresh-1' })
  const tasks = [failed(1), again, old(2), old(3)]
  const previous = { image: 'one' }
  const service = aService({ ...facts, updateStatus: updating, previous })
  t.same(linesOf(plan({ service, tasks })), [
    'back: update rolled back due to failure or early termination of task fresh-1',
  ])
  const first = aService({ ...facts, updateStatus: updating })
  t.match(linesOf(plan({ service: first, tasks })), [/^paused/], 'there is nothing before')
  // What it went back to fails too.
  const third = { replicas: 3, specHash: 'spec-1', specVersion: 3, task: { image: 'one' } }
  const back = aService({
    ...third,
    updateStatus: { state: 'rollback_started', slots: 1 },
    previous,
  })
  const returned = fresh(1, { ...ended, id: 'back-1', specHash: 'spec-1', specVersion: 3 })
  t.match(linesOf(plan({ service: back, tasks: [returned, old(2), old(3)] })).slice(0, 1), [
    /^rollback_paused: rollback paused due to failure .* back-1/,
  ])
})

t.test(
  'an update is completed when the last task has run for as long as it is watched',
  async (t) => {
    const tasks = [1, 2, 3].map((slot) => fresh(slot, { ranAtMs: 1_000_000 - slot }))
    const during = plan({ tasks }, 1_004_998)
    t.match(during, { changes: [], wakeAtMs: 1_004_999 })
    t.same(linesOf(plan({ tasks }, 1_004_999)), ['completed: update completed'])
    const back = aService({ replicas: 3, ...second, updateStatus: { state: 'rollback_started' } })
    t.same(linesOf(plan({ service: back, tasks }, 1_004_999)), [
      'rollback_completed: rollback completed',
    ])
  },
)

t.test('an update that replaces nothing has no status', async (t) => {
  const scaled = aService({ replicas: 4, ...second })
  const tasks = [1, 2, 3].map((slot) => fresh(slot))
  t.same(linesOf(plan({ service: scaled, tasks })), ['+ new-1 slot 4 running'])
  const begun = aService({ replicas: 3, ...second })
  t.equal(
    linesOf(plan({ service: begun, tasks: [old(1), old(2), old(3)] }))[0],
    'updating: update in progress',
  )
})

t.test('a task that only was to be elsewhere stays on a node that fits', async (t) => {
  const placed = (constraint: string) =>
    aService({
      replicas: 1,
      specHash: 'spec-2',
      specVersion: 2,
      task: { image: 'one', placement: { constraints: [constraint] } },
    })
  t.same(linesOf(plan({ service: placed('node.id==a'), tasks: [old(1)] })), [])
  t.match(linesOf(plan({ service: placed('node.id==b'), tasks: [old(1)] })), [
    /^updating/,
    /^old-1 -> shutdown/,
    /^\+ new-1/,
  ])
  const otherwise = specs.map((record) => ({ ...record, spec: turned(record.spec) }))
  t.not(JSON.stringify(otherwise), JSON.stringify(specs))
  t.same(
    linesOf(plan({ service: placed('node.id==a'), specs: otherwise, tasks: [old(1)] })),
    [],
    'in whatever order its fields were read',
  )
})

/** The same spec with its fields in the other order. */
function turned<T extends object>(spec: T): T {
  return Object.fromEntries(Object.entries(spec).reverse()) as T
}

const startFirst = aService({
  replicas: 3,
  ...second,
  updateStatus: updating,
  update: { order: 'start-first' },
})

t.test('start-first: the old task stops when the new one runs', async (t) => {
  const beside = { startAfter: undefined, createdAtMs: 999_000 }
  t.same(linesOf(plan({ service: startFirst, tasks: [old(1), old(2), old(3)] })), [
    '+ new-1 slot 1 running',
  ])
  for (const state of [TaskState.PENDING, TaskState.STARTING]) {
    const tasks = [old(1), fresh(1, { ...beside, state }), old(2), old(3)]
    t.same(linesOf(plan({ service: startFirst, tasks })), [])
  }
  t.same(
    linesOf(plan({ service: startFirst, tasks: [old(1), fresh(1, beside), old(2), old(3)] })),
    ['old-1 -> shutdown'],
  )
})

t.test('start-first: another update does not put more tasks beside others than one', async (t) => {
  const third = { specHash: 'spec-3', specVersion: 3, task: { image: 'three' } }
  const next = aService({
    replicas: 3,
    ...third,
    updateStatus: updating,
    update: { order: 'start-first' },
  })
  const second = { specHash: 'spec-2', specVersion: 2, createdAtMs: 500_000 }
  const waits = aTask({ id: 'fresh-1', ...second })
  t.same(linesOf(plan({ service: next, tasks: [old(1), waits, old(2), old(3)] })), [
    'fresh-1 -> shutdown',
    '+ new-1 slot 1 running',
  ])
  const alone = aTask({ id: 'lone' })
  const both = linesOf(plan({ service: next, tasks: [alone, old(2), old(3)] }))
  t.match(
    both,
    [/lone/, /slot 1/, '+ new-2 slot 2 running'],
    'what has no node stands beside nobody',
  )
})

t.test('start-first: a new task that fails leaves the old one serving', async (t) => {
  const tasks = [
    old(1),
    failed(1, { startAfter: undefined, desiredState: TaskState.RUNNING }),
    old(2),
    old(3),
  ]
  t.same(linesOf(plan({ service: startFirst, tasks })), [
    'paused: update paused due to failure or early termination of task fresh-1',
    'fresh-1 -> shutdown',
    '+ new-1 slot 1 running after fresh-1',
  ])
})

t.test('start-first: a slot whose attempts are used up is left alone', async (t) => {
  const none = { restart: { condition: 'none' as const } }
  const some = [
    aSpecRecord('spec-1', { image: 'one' }),
    aSpecRecord('spec-2', { image: 'two', ...none }),
  ]
  const parts = {
    replicas: 1,
    ...second,
    update: { order: 'start-first', failureAction: 'continue' },
  } as const
  const service = aService({ ...parts, updateStatus: { ...updating, slots: 1 } })
  const tasks = [old(1), failed(1, { startAfter: undefined })]
  t.same(linesOf(plan({ service, specs: some, tasks })), [
    'completed: update completed except for 1 slot, which keeps its former task: every attempt to start a new one failed',
  ])
  const ended = aService({
    ...parts,
    updateStatus: { state: 'completed', slots: 1 },
  })
  t.same(linesOf(plan({ service: ended, specs: some, tasks })), [], 'and begins no other update')
  t.same(linesOf(plan({ service, tasks }, 997_000)), [], 'and others wait for their delay')
  t.same(linesOf(plan({ service, tasks }, 998_000)), ['+ new-1 slot 1 running'])
})

t.test('a finished task is brought up to date too', async (t) => {
  const one = aService({ replicas: 1, ...second, updateStatus: updating })
  const some = [aSpecRecord('spec-1', { restart: { condition: 'on-failure' } })]
  const done = old(1, { state: TaskState.COMPLETE, desiredState: TaskState.SHUTDOWN })
  t.same(linesOf(plan({ service: one, specs: some, tasks: [done] })), [
    '+ new-1 slot 1 running after old-1',
  ])
})

t.test('replicas added during the update do not hold it', async (t) => {
  const added = aTask({ id: 'added', slot: 3, specHash: 'spec-2', specVersion: 2 })
  t.same(linesOf(plan({ tasks: [old(1), old(2), added] })), [
    'old-1 -> shutdown',
    '+ new-1 slot 1 ready after old-1',
  ])
})

t.test('a newer update replaces what the former has not finished', async (t) => {
  const third = aService({
    replicas: 3,
    specHash: 'spec-3',
    specVersion: 3,
    task: { image: 'three' },
    updateStatus: updating,
  })
  const stopping = old(1, { desiredState: TaskState.SHUTDOWN })
  const waiting = fresh(1, {
    desiredState: TaskState.READY,
    state: TaskState.READY,
    createdAtMs: 999_990,
  })
  t.same(linesOf(plan({ service: third, tasks: [stopping, waiting, old(2), old(3)] })), [
    'fresh-1 -> shutdown',
    '+ new-1 slot 1 ready after fresh-1',
  ])
})
