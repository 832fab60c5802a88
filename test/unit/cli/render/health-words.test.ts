// How `service ps` tells of health.
import t from 'tap'
import { failingText, healthLog, healthMark } from '../../../../cli/render/health-words.ts'
import { taskToProto } from '../../../../proto/codec/task.ts'
import { type TaskHealth, TaskState } from '../../../../proto/objects/index.ts'
import { aTask } from '../../../support/objects.ts'

const task = (state: TaskState, health?: Partial<TaskHealth>) =>
  taskToProto({
    ...aTask({ id: 'a', state }),
    health: health && { state: 'starting', failures: 0, failedAtMs: 0, output: '', ...health },
  })

t.test('living tasks show their health, as docker ps does', async (t) => {
  t.equal(healthMark(task(TaskState.RUNNING)), '')
  t.equal(healthMark(task(TaskState.STARTING, {})), ' (health: starting)')
  t.equal(healthMark(task(TaskState.RUNNING, { state: 'healthy' })), ' (healthy)')
  t.equal(healthMark(task(TaskState.RUNNING, { state: 'unhealthy' })), ' (unhealthy)')
  t.equal(healthMark(task(TaskState.FAILED, { state: 'unhealthy' })), '')
  t.equal(healthMark(undefined), '')
})

t.test('what fails now is told, what failed once is in the log', async (t) => {
  const failed = { failedAtMs: 60_000, output: 'exit code 1: a\nb' }
  t.equal(failingText(task(TaskState.STARTING, failed)), 'health check: exit code 1: a\nb')
  t.equal(failingText(task(TaskState.RUNNING, { ...failed, state: 'healthy' })), '')
  t.match(failingText(task(TaskState.RUNNING, { ...failed, state: 'healthy', failures: 1 })), /: a/)
  t.equal(failingText(task(TaskState.SHUTDOWN, { ...failed, failures: 2 })), '')
  const log = (health: Partial<TaskHealth>) =>
    healthLog(task(TaskState.RUNNING, health).health, 65_000)
  t.equal(log({}), '')
  t.equal(log({ ...failed, failures: 2 }), '5 seconds ago, 2 in a row: exit code 1: a b')
  t.equal(log({ ...failed, state: 'healthy' }), '5 seconds ago, healthy since: exit code 1: a b')
})
