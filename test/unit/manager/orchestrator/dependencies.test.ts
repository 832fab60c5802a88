// Each rule of depends_on as Compose has it, over first deployment, updates and restarts.
import t from 'tap'
import { type Depended, waitsFor } from '../../../../manager/orchestrator/dependencies.ts'
import { reconcileService } from '../../../../manager/orchestrator/reconcile-service.ts'
import { type Node, type Service, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask, type ServiceFacts } from '../../../support/objects.ts'
import {
  aDecisionEnv,
  aServiceView,
  linesOf,
  type Situation,
} from '../../../support/orchestration.ts'

const nodes: Node[] = ['a', 'b'].map((id) => aNode({ id }))
const specs = [
  aSpecRecord('spec-1', { image: 'old' }),
  aSpecRecord('spec-2', { image: 'new', dependsOn: [{ service: 'db' }] }),
]

function web(condition = 'started', facts: ServiceFacts = {}): Service {
  const task = { image: 'new', dependsOn: [{ service: 'db', condition }] }
  return aService({ id: 'web', specHash: 'spec-2', specVersion: 2, replicas: 2, task, ...facts })
}

function db(tasks: readonly Task[], facts: ServiceFacts = {}): Depended {
  const task = { image: 'old' }
  return { service: aService({ id: 'db-id', name: 'db', task, ...facts }), tasks }
}

function dbTask(facts: Parameters<typeof aTask>[0] = {}): Task {
  return aTask({ id: 'd1', service: 'db-id', node: 'a', ...facts })
}

function webTask(facts: Parameters<typeof aTask>[0]): Task {
  return aTask({ service: 'web', specHash: 'spec-2', specVersion: 2, ...facts })
}

function view(situation: Partial<Situation>) {
  return aServiceView({ nodes, specs, service: web(), tasks: [], ...situation })
}

function decide(situation: Partial<Situation>) {
  return reconcileService(view(situation), 'all', aDecisionEnv())
}

t.test('when a dependency is so far: condition by condition, state by state', async (t) => {
  const { STARTING, RUNNING, COMPLETE, PREPARING, READY, FAILED } = TaskState
  const cases: readonly (readonly [string, Task | undefined, boolean])[] = [
    ['started', undefined, false],
    ['started', dbTask({ state: PREPARING }), false],
    ['started', dbTask({ state: READY }), false],
    ['started', dbTask({ state: STARTING }), true],
    ['started', dbTask({ state: RUNNING }), true],
    ['started', dbTask({ state: COMPLETE }), true],
    ['started', dbTask({ state: FAILED, ranAtMs: 0 }), false],
    ['started', dbTask({ state: FAILED, ranAtMs: 5 }), true],
    ['healthy', dbTask({ state: STARTING }), false],
    ['healthy', dbTask({ state: RUNNING }), true],
    ['healthy', dbTask({ state: COMPLETE }), false],
    ['completed_successfully', dbTask({ state: RUNNING }), false],
    ['completed_successfully', dbTask({ state: FAILED }), false],
    ['completed_successfully', dbTask({ state: COMPLETE }), true],
  ]
  for (const [condition, task, isMet] of cases) {
    const depended = [db(task === undefined ? [] : [task])]
    const answer = waitsFor(view({ service: web(condition), depended }))
    t.equal(answer === '', isMet, `${condition} ${task?.state}`)
  }
})

t.test('all of its replicas count, and only those of its present spec', async (t) => {
  const two = { replicas: 2 }
  const why = 'service "db" to be healthy'
  const answer = (tasks: readonly Task[], facts: ServiceFacts) =>
    waitsFor(view({ service: web('healthy'), depended: [db(tasks, facts)] }))
  t.equal(answer([dbTask()], two), why)
  t.equal(answer([dbTask(), dbTask({ id: 'd2', slot: 2 })], two), '')
  t.equal(answer([], { replicas: 0 }), '', 'nothing is wanted of it')
  const updated = { specHash: 'spec-9', task: { image: 'newer' }, specVersion: 2 }
  t.equal(answer([dbTask()], updated), why, 'its update is not done')
  t.equal(answer([dbTask({ specHash: 'spec-9', specVersion: 2 })], updated), '')
  const moved = { specHash: 'spec-9', task: { image: 'old', placement: { strategy: 'binpack' } } }
  t.equal(answer([dbTask()], moved as ServiceFacts), '', 'only where it may be is another')
  const removed = dbTask({ id: 'd2', slot: 2, desiredState: TaskState.REMOVE })
  t.equal(answer([dbTask(), removed], {}), '', 'what is scaled away does not count')
})

t.test('jobs and global services are waited for too', async (t) => {
  const mode = { kind: 'replicated-job', completions: 2, maxConcurrent: 1 } as const
  const job: ServiceFacts = { mode, jobStatus: { iteration: 1, lastExecutionMs: 0 } }
  const done = dbTask({ state: TaskState.COMPLETE, slot: 0, jobIteration: 1 })
  const answer = (tasks: readonly Task[], facts: ServiceFacts) =>
    waitsFor(view({ service: web('completed_successfully'), depended: [db(tasks, facts)] }))
  t.equal(answer([done], job), 'service "db" to complete successfully')
  const second = dbTask({ ...{ id: 'd2', slot: 1 }, state: TaskState.COMPLETE, jobIteration: 1 })
  t.equal(answer([done, second], job), '')
  const again = dbTask({ ...{ id: 'd3', slot: 1 }, jobIteration: 2, createdAtMs: 9 })
  const rerun = { mode, jobStatus: { iteration: 2, lastExecutionMs: 5 } }
  t.not(answer([done, second, again], rerun), '', 'it runs again')
  t.not(
    answer([done, second], rerun),
    '',
    'it is to run again, and tasks for that were not made yet',
  )
  const cron: ServiceFacts = {
    mode: { kind: 'cron', schedule: '@hourly' },
    jobStatus: { iteration: 2, lastExecutionMs: 5 },
  }
  t.equal(answer([done], cron), '', 'a run of a schedule is not there yet')
  const everywhere = [dbTask({ forNode: 'a' }), dbTask({ id: 'd2', forNode: 'b', node: 'b' })]
  const global: ServiceFacts = { mode: { kind: 'global' } }
  const started = (tasks: readonly Task[]) => waitsFor(view({ depended: [db(tasks, global)] }))
  t.equal(started(everywhere), '')
  t.not(started([]), '')
})

t.test(
  'first deployment: tasks are prepared, say what for, and start when it is time',
  async (t) => {
    const plan = decide({})
    t.same(linesOf(plan), ['+ new-1 slot 1 ready', '+ new-2 slot 2 ready'])
    t.match(plan.changes[0], {
      object: { waitsFor: 'service "db", which does not exist' },
    })
    const waiting = [1, 2].map((slot) =>
      webTask({
        id: `w${slot}`,
        slot,
        node: 'a',
        state: TaskState.READY,
        desiredState: TaskState.READY,
        waitsFor: 'service "db", which does not exist',
      }),
    )
    const depended = [db([dbTask({ state: TaskState.PREPARING })])]
    const told = decide({ tasks: waiting, depended })
    t.match(told.changes, [
      {
        object: { waitsFor: 'service "db" to be started', desiredState: TaskState.READY },
      },
      { object: { id: 'w2' } },
    ])
    const now = waiting.map((task) => ({
      ...task,
      waitsFor: 'service "db" to be started',
    }))
    t.same(decide({ tasks: now, depended }).changes, [], 'what is said already is not said again')
    const started = decide({ tasks: now, depended: [db([dbTask()])] })
    t.same(linesOf(started), ['w1 -> running', 'w2 -> running'])
    t.match(started.changes, [{ object: { waitsFor: '' } }, { object: { waitsFor: '' } }])
  },
)

t.test('once one task of a version passed, others and restarts wait for nobody', async (t) => {
  const tasks = [
    webTask({ id: 'w1', node: 'a' }),
    webTask({ id: 'w2', slot: 2, node: 'b', state: TaskState.FAILED, ranAtMs: 5 }),
  ]
  const plan = decide({ tasks, depended: [db([])] })
  t.match(linesOf(plan), ['w2 -> shutdown', /^\+ new-1 slot 2/])
  t.match(plan.changes[1], { object: { waitsFor: '' } })
  const more = decide({ tasks, service: web('started', { replicas: 3 }), depended: [] })
  t.match(linesOf(more), [/w2/, /new-1 slot 2/, '+ new-2 slot 3 running'])
})

t.test('a version that is the same as one that passed goes on with its tasks', async (t) => {
  const service = web('started', { specVersion: 4, replicas: 2 })
  const [before, over] = [TaskState.RUNNING, TaskState.SHUTDOWN]
  const w1 = (desiredState: TaskState) => webTask({ id: 'w1', node: 'a', desiredState })
  t.equal(waitsFor(view({ service, tasks: [w1(before)], depended: [] })), '')
  const waits = 'service "db", which does not exist'
  t.equal(waitsFor(view({ service, tasks: [w1(over)], depended: [] })), waits, 'that is over')
})

t.test('an update replaces nothing before that, and says so', async (t) => {
  const old = [1, 2].map((slot) =>
    aTask({ id: `w${slot}`, service: 'web', slot, node: 'a', specHash: 'spec-1', ranAtMs: 5 }),
  )
  const plan = decide({ tasks: old, depended: [db([])] })
  t.same(linesOf(plan), ['updating: update waits for service "db" to be started'])
  const message = 'update waits for service "db" to be started'
  const updateStatus = { state: 'updating' as const, message, slots: 2 }
  const service = web('started', { updateStatus })
  t.same(decide({ service, tasks: old, depended: [db([])] }).changes, [])
  const goesOn = decide({ service, tasks: old, depended: [db([dbTask()])] })
  t.match(linesOf(goesOn), ['updating: update in progress', 'w1 -> shutdown', /^\+ new-1 slot 1/])
})

t.test('going back waits for nobody', async (t) => {
  const updateStatus = { state: 'rollback_started' as const, slots: 1 }
  t.equal(waitsFor(view({ service: web('started', { updateStatus }), depended: [] })), '')
})

t.test('a global service waits as well', async (t) => {
  const service = web('healthy', { mode: { kind: 'global' } })
  t.same(linesOf(decide({ service, depended: [] })), ['+ new-1 on a ready', '+ new-2 on b ready'])
})

t.test('a job waits as well, and then runs to its end', async (t) => {
  const mode = { kind: 'replicated-job' as const, completions: 2, maxConcurrent: 2 }
  const jobStatus = { iteration: 1, lastExecutionMs: 0 }
  const service = web('healthy', { mode, jobStatus })
  const { changes } = decide({ service, depended: [] })
  t.match(changes, [
    { kind: 'create', object: { desiredState: TaskState.READY, waitsFor: /db/ } },
    { kind: 'create', object: { desiredState: TaskState.READY } },
  ])
})
