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

const specs = [aSpecRecord('spec-1', {}), aSpecRecord('spec-2', {})]
const nodes = ['a', 'b', 'c'].map((id) => aNode({ id }))
const service = aService({ replicas: 3, specHash: 'spec-2', specVersion: 2 })

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

t.test('after a failure the next task must run for 5 s before the update goes on', async (t) => {
  const failed = fresh(1, {
    id: 'failed-1',
    state: TaskState.FAILED,
    desiredState: TaskState.SHUTDOWN,
  })
  const again = fresh(1, { id: 'again-1', createdAtMs: 600_000, startAfter: 'failed-1' })
  const tasks = [failed, again, old(2), old(3)]
  t.match(plan({ tasks }, 1_004_998), { changes: [], wakeAtMs: 1_004_999 })
  t.same(linesOf(plan({ tasks }, 1_004_999)), [
    'old-2 -> shutdown',
    '+ new-1 slot 2 ready after old-2',
  ])
})

t.test('a slot that is restarting holds the update, which looks again soon', async (t) => {
  const failed = fresh(1, { state: TaskState.FAILED })
  const decided = plan({ tasks: [failed, old(2), old(3)] })
  t.same(linesOf(decided), ['fresh-1 -> shutdown', '+ new-1 slot 1 ready at 1004999 after fresh-1'])
  t.equal(decided.wakeAtMs, 1_000_100)
})

t.test('an update that ran out of attempts stays where it is until another comes', async (t) => {
  const restart = { condition: 'none' as const }
  const exhausted = fresh(1, { state: TaskState.FAILED, desiredState: TaskState.SHUTDOWN })
  const tasks = [exhausted, old(2), old(3)]
  const some = [aSpecRecord('spec-1', {}), aSpecRecord('spec-2', { restart })]
  t.same(linesOf(plan({ specs: some, tasks })), [])
  const third = aService({ replicas: 3, specHash: 'spec-3', specVersion: 3 })
  t.same(
    linesOf(plan({ service: third, specs: some, tasks })),
    ['+ new-1 slot 1 running after fresh-1'],
    'the failed slot comes first, without delay',
  )
})

t.test('a finished task is brought up to date too', async (t) => {
  const one = aService({ replicas: 1, specHash: 'spec-2' })
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
  const third = aService({ replicas: 3, specHash: 'spec-3', specVersion: 3 })
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
