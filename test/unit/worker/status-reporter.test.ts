import t from 'tap'
import { TaskState, type TaskStatus, taskId } from '../../../proto/objects/index.ts'
import { type StatusBatch, StatusReporter } from '../../../worker/status-reporter.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

function aStatus(id: string, state: TaskState): TaskStatus {
  const rest = {
    message: '',
    err: '',
    containerId: '',
    pid: 0,
    exitCode: undefined,
    hostPorts: [],
    connections: [],
    health: undefined,
  }
  return { taskId: taskId(id), state, atMs: 0, ...rest }
}

const told = (batches: readonly StatusBatch[]): readonly string[] =>
  batches.map(
    ({ sequence, statuses }) =>
      `${sequence}: ${statuses.map((status) => `${status.taskId}=${status.state}`).join(' ')}`,
  )

t.test('a task that runs is told at once, others that follow closely together', async (t) => {
  const clock = new VirtualClock()
  const reporter = new StatusReporter(clock)
  const batches: StatusBatch[] = []
  reporter.connect((batch) => batches.push(batch))
  reporter.set(aStatus('a', TaskState.RUNNING))
  await clock.advance(0)
  t.same(told(batches), ['1: a=512'])
  reporter.set(aStatus('b', TaskState.RUNNING))
  await clock.advance(10)
  reporter.set(aStatus('c', TaskState.FAILED))
  await clock.advance(89)
  t.equal(batches.length, 1)
  await clock.advance(1)
  t.same(told(batches), ['1: a=512', '2: b=512 c=704'])
})

t.test('a step that is overtaken soon is not told, one that lasts is', async (t) => {
  const clock = new VirtualClock()
  const reporter = new StatusReporter(clock)
  const batches: StatusBatch[] = []
  reporter.connect((batch) => batches.push(batch))
  reporter.set(aStatus('slow', TaskState.PREPARING))
  reporter.set(aStatus('quick', TaskState.PREPARING))
  await clock.advance(60)
  reporter.set(aStatus('quick', TaskState.RUNNING))
  await clock.advance(0)
  t.same(told(batches), ['1: quick=512'])
  await clock.advance(189)
  t.equal(batches.length, 1)
  await clock.advance(1)
  t.same(told(batches), ['1: quick=512', '2: slow=320'])
})

t.test('a step on the way does not hold up what follows it', async (t) => {
  const clock = new VirtualClock()
  const reporter = new StatusReporter(clock)
  const batches: StatusBatch[] = []
  reporter.connect((batch) => batches.push(batch))
  reporter.set(aStatus('a', TaskState.PREPARING))
  await clock.advance(250)
  t.same(told(batches), ['1: a=320'])
  reporter.set(aStatus('a', TaskState.RUNNING))
  await clock.advance(0)
  t.same(told(batches), ['1: a=320', '2: a=512'])
})

t.test('a status is sent again until acknowledged', async (t) => {
  const clock = new VirtualClock()
  const reporter = new StatusReporter(clock)
  const batches: StatusBatch[] = []
  reporter.connect((batch) => batches.push(batch))
  reporter.set(aStatus('a', TaskState.RUNNING))
  await clock.advance(100)
  reporter.set(aStatus('b', TaskState.RUNNING))
  await clock.advance(100)
  reporter.acknowledge(1)
  await clock.advance(12_000)
  t.same(told(batches).slice(0, 3), ['1: a=512', '2: b=512', '3: b=512'])
  reporter.acknowledge(batches.length)
  t.equal(reporter.openCount, 0)
  const before = batches.length
  await clock.advance(60_000)
  t.equal(batches.length, before, 'silence once everything is acknowledged')
})

t.test('an acknowledgement of an older batch does not cover what changed since', async (t) => {
  const clock = new VirtualClock()
  const reporter = new StatusReporter(clock)
  reporter.connect(() => {})
  reporter.set(aStatus('a', TaskState.STARTING))
  await clock.advance(0)
  reporter.set(aStatus('a', TaskState.RUNNING))
  reporter.acknowledge(1)
  t.equal(reporter.openCount, 1)
})

t.test('a new session hears everything, forgotten tasks excepted', async (t) => {
  const clock = new VirtualClock()
  const reporter = new StatusReporter(clock)
  reporter.connect(() => {})
  reporter.set(aStatus('a', TaskState.RUNNING))
  reporter.set(aStatus('b', TaskState.RUNNING))
  reporter.set(aStatus('c', TaskState.RUNNING))
  await clock.advance(50)
  reporter.acknowledge(9)
  reporter.forget(taskId('c'))
  reporter.disconnect()
  reporter.set(aStatus('b', TaskState.FAILED))
  const batches: StatusBatch[] = []
  reporter.connect((batch) => batches.push(batch))
  await clock.advance(50)
  t.same(told(batches), ['1: b=704 a=512'])
})
