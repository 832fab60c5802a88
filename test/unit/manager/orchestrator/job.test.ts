import t from 'tap'
import { failedSlots, reconcileJob } from '../../../../manager/orchestrator/job.ts'
import { reapTasks } from '../../../../manager/orchestrator/task-reaper.ts'
import { type Node, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import {
  aDecisionEnv,
  aServiceView,
  linesOf,
  type Situation,
} from '../../../support/orchestration.ts'

const { COMPLETE, FAILED, READY, RUNNING, SHUTDOWN } = TaskState
const specs = [aSpecRecord('spec-1', { restart: { delayMs: 1_000 } })]
const three: Node[] = ['a', 'b', 'c'].map((id) => aNode({ id }))

function aJob(completions: number, maxConcurrent: number, iteration = 0) {
  const jobStatus = { iteration, lastExecutionMs: 0 }
  return aService({ mode: { kind: 'replicated-job', completions, maxConcurrent }, jobStatus })
}

const globalJob = aService({
  mode: { kind: 'global-job' },
  jobStatus: { iteration: 0, lastExecutionMs: 0 },
})

function decide(situation: Situation, nowMs = 1_000_000): string[] {
  const view = aServiceView({ specs, nodes: three, ...situation })
  return linesOf(reconcileJob(view, aDecisionEnv(nowMs)))
}

/** A task of a job in that slot; ended ones long ago. */
function job(slot: number, state: TaskState, facts: Parameters<typeof aTask>[0] = {}): Task {
  const id = `t${slot}`
  const times = { appliedAtMs: 900_000, createdAtMs: 1 }
  const base = { id, slot, node: 'a', state, desiredState: COMPLETE, jobIteration: 0 }
  return aTask({ ...base, ...times, ...facts })
}

t.test('slots from 0, desired state complete, some at a time (1.1 jobs, 7.2 jobs)', async (t) => {
  const service = aJob(4, 2)
  t.same(decide({ service, tasks: [] }), ['+ new-1 slot 0 complete', '+ new-2 slot 1 complete'])
  const tasks = [job(0, COMPLETE), job(1, RUNNING)]
  t.same(decide({ service, tasks }), ['+ new-1 slot 2 complete'], 'one ended, another begins')
  const last = [job(0, COMPLETE), job(1, COMPLETE), job(2, RUNNING), job(3, RUNNING)]
  t.same(decide({ service, tasks: last }), [])
})

t.test('what ended well is not run again, whatever becomes of its node (7.2 jobs)', async (t) => {
  const service = aJob(2, 2)
  const tasks = [job(0, COMPLETE), job(1, COMPLETE)]
  const cases: Node[][] = [
    three,
    three.slice(1),
    [aNode({ id: 'a', availability: 'drain' })],
    [aNode({ id: 'a', state: 'down' })],
  ]
  for (const nodes of cases) t.same(decide({ service, nodes, tasks }), [])
})

t.test('a failed task is tried again after the delay, as with on-failure (1.1 jobs)', async (t) => {
  const service = aJob(2, 1)
  const tasks = [job(0, FAILED, { appliedAtMs: 999_500 })]
  t.same(
    decide({ service, tasks }),
    ['t0 -> shutdown', '+ new-1 slot 0 ready at 1000500 after t0'],
    'and holds its place among those at work',
  )
  const old = job(0, FAILED, { desiredState: SHUTDOWN })
  const waits = job(0, TaskState.READY, { id: 'r', desiredState: READY, createdAtMs: 2 })
  t.same(decide({ service, tasks: [old, waits] }), ['r -> complete'], 'not running')
})

t.test('a slot that failed too often is left, and the others go on', async (t) => {
  const few = [aSpecRecord('spec-1', { restart: { maxAttempts: 1, delayMs: 0 } })]
  const service = aJob(2, 1)
  const first = job(0, FAILED, { id: 'x1', desiredState: SHUTDOWN })
  const second = job(0, FAILED, { id: 'x2', createdAtMs: 2 })
  const tasks = [first, second]
  t.same(decide({ service, specs: few, tasks }), ['x2 -> shutdown', '+ new-1 slot 1 complete'])
  const view = aServiceView({
    service,
    specs: few,
    nodes: three,
    tasks: [...tasks, job(1, COMPLETE)],
  })
  t.same(
    failedSlots(view).map(({ place }) => place),
    [0],
  )
  const none = [aSpecRecord('spec-1', { restart: { condition: 'none' } })]
  t.same(decide({ service: aJob(1, 1), specs: none, tasks: [job(0, FAILED)] }), ['t0 -> shutdown'])
})

t.test('a task whose node is lost is replaced at once', async (t) => {
  const service = aJob(1, 1)
  const nodes = [aNode({ id: 'a', state: 'down' }), aNode({ id: 'b' })]
  t.same(decide({ service, nodes, tasks: [job(0, RUNNING)] }), [
    't0 -> shutdown',
    '+ new-1 slot 0 complete after t0',
  ])
  const back = [
    job(0, COMPLETE, { id: 'old', desiredState: SHUTDOWN }),
    job(0, RUNNING, { id: 'new', createdAtMs: 2, node: 'b' }),
  ]
  t.same(decide({ service, tasks: back }), ['new -> shutdown'], 'it had ended well after all')
})

t.test('each update runs it again, and what was before goes (1.1 jobs)', async (t) => {
  const tasks = [job(0, COMPLETE), job(1, RUNNING)]
  t.same(decide({ service: aJob(1, 1, 1), tasks }), [
    't0 -> remove',
    't1 -> remove',
    '+ new-1 slot 0 complete',
  ])
})

t.test('a global job ends well once on each node that fits (1.1 jobs)', async (t) => {
  const on = (node: string, state: TaskState, facts: Parameters<typeof aTask>[0] = {}): Task =>
    job(0, state, { id: `t-${node}`, forNode: node, node, ...facts })
  t.same(decide({ service: globalJob, tasks: [] }), [
    '+ new-1 on a complete',
    '+ new-2 on b complete',
    '+ new-3 on c complete',
  ])
  const tasks = [on('a', COMPLETE), on('b', RUNNING)]
  t.same(decide({ service: globalJob, tasks }), ['+ new-1 on c complete'])
  const drained = [
    aNode({ id: 'a', availability: 'drain' }),
    aNode({ id: 'b', availability: 'drain' }),
  ]
  t.same(decide({ service: globalJob, nodes: drained, tasks }), ['t-b -> shutdown'])
  const stopped = [
    on('a', COMPLETE),
    on('b', SHUTDOWN, { desiredState: SHUTDOWN }),
    on('c', COMPLETE),
  ]
  t.same(decide({ service: globalJob, tasks: stopped }), ['+ new-1 on b complete after t-b'])
})

t.test('tasks of jobs are not trimmed by the history limit (7.2 history)', async (t) => {
  const service = aJob(3, 3)
  const failures = Array.from({ length: 20 }, (_, i) =>
    job(0, FAILED, { id: `f${i}`, desiredState: SHUTDOWN, createdAtMs: i }),
  )
  const tasks = [...failures, job(1, COMPLETE), job(2, COMPLETE)]
  t.same(linesOf(reapTasks(aServiceView({ service, specs, tasks }), 1, 0)), [])
  const gone = tasks.map((task) => ({ ...task, desiredState: TaskState.REMOVE }))
  t.equal(reapTasks(aServiceView({ service, specs, tasks: gone }), 5, 0).changes.length, 22)
  const many = Array.from({ length: 1_005 }, (_, i) =>
    job(0, FAILED, { id: `m${i}`, desiredState: SHUTDOWN, createdAtMs: i }),
  )
  const plan = reapTasks(aServiceView({ service, specs, tasks: many }), 1, 0)
  t.same(linesOf(plan), ['- m0', '- m1', '- m2', '- m3', '- m4'], 'but without end there are none')
})
