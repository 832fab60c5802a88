import t from 'tap'
import { reapTasks } from '../../../../manager/orchestrator/task-reaper.ts'
import { type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aService, aSpecRecord, aTask, type TaskSpecFacts } from '../../../support/objects.ts'
import { aServiceView, linesOf, type Situation } from '../../../support/orchestration.ts'

function reap(situation: Situation, historyLimit = 5): string[] {
  const view = aServiceView({ service: aService({}), ...situation })
  return linesOf(reapTasks(view, historyLimit, 1_000)).sort()
}

function ended(id: string, createdAtMs: number, facts: Parameters<typeof aTask>[0] = {}): Task {
  return aTask({
    id,
    node: 'a',
    createdAtMs,
    state: TaskState.FAILED,
    desiredState: TaskState.SHUTDOWN,
    ...facts,
  })
}

const history = [1, 2, 3, 4, 5].map((at) => ended(`h${at}`, at))
const live = aTask({ id: 'live', node: 'a', createdAtMs: 100 })

t.test('tasks to be removed go before they have a node and after they stopped', async (t) => {
  const at = (state: TaskState): Task[] => [
    aTask({
      id: 't1',
      ...(state < TaskState.ASSIGNED ? {} : { node: 'a' }),
      state,
      desiredState: TaskState.REMOVE,
    }),
  ]
  for (const state of [
    TaskState.PENDING,
    TaskState.COMPLETE,
    TaskState.FAILED,
    TaskState.ORPHANED,
  ]) {
    t.same(reap({ tasks: at(state) }, -1), ['- t1'], String(state))
  }
  for (const state of [TaskState.ASSIGNED, TaskState.PREPARING, TaskState.RUNNING]) {
    t.same(reap({ tasks: at(state) }, -1), [], String(state))
  }
})

t.test('the oldest ended tasks of a slot beyond the limit go; the live one counts', async (t) => {
  t.same(reap({ tasks: [...history, live] }, 6), [])
  t.same(reap({ tasks: [...history, live] }, 5), ['- h1'])
  t.same(reap({ tasks: [...history, live] }, 2), ['- h1', '- h2', '- h3', '- h4'])
  t.same(reap({ tasks: [...history, live] }, 0).length, 5)
  t.same(reap({ tasks: [...history, live] }, -1), [])
})

t.test('each slot has its own history', async (t) => {
  const other = history.map((task) => ({ ...task, id: `o-${task.id}` as Task['id'], slot: 2 }))
  t.same(reap({ tasks: [...history, ...other] }, 4), ['- h1', '- o-h1'])
})

t.test('the last task of a slot stays, since it may hold the place', async (t) => {
  t.same(reap({ tasks: history }, 0), ['- h1', '- h2', '- h3', '- h4'])
})

t.test('what still runs is not history', async (t) => {
  const stopping = ended('h0', 0, { state: TaskState.RUNNING })
  t.same(reap({ tasks: [stopping, ...history, live] }, 5), ['- h1', '- h2'])
})

t.test('a task that was given up before it had a node is history', async (t) => {
  const never = aTask({ id: 'n', createdAtMs: 0, desiredState: TaskState.SHUTDOWN })
  t.same(reap({ tasks: [never, live] }, 1), ['- n'])
})

t.test('counted attempts keep one task more than they are', async (t) => {
  const restart: TaskSpecFacts = { restart: { maxAttempts: 3 } }
  const tasks = [...history, live]
  t.same(reap({ tasks, specs: [aSpecRecord('spec-1', restart)] }, 1), ['- h1', '- h2'])
})

t.test('tasks of a vanished service go as soon as they do not run', async (t) => {
  const tasks = [
    ...history.slice(0, 1),
    live,
    aTask({ id: 'p', slot: 2 }),
    aTask({ id: 'o', slot: 3, node: 'x', state: TaskState.ORPHANED }),
  ]
  t.same(reap({ service: undefined, tasks }), ['- h1', '- o', '- p'])
})
