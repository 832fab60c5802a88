// Progress of convergence: what is drawn, and when it counts as converged.
import t from 'tap'
import { waitForConvergence } from '../../../../cli/converge.ts'
import {
  convergenceOf,
  outcomeOf,
  ProgressDisplay,
  progressLines,
} from '../../../../cli/render/progress.ts'
import { stableMs } from '../../../../cli/update-course.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import type { WatchServiceResponse } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { BoundedQueue } from '../../../../proto/lib/queue.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { TaskState } from '../../../../proto/objects/task-state.ts'
import { MemoryOutput } from '../../../support/cli.ts'
import { golden } from '../../../support/golden.ts'
import { aServiceView, aTaskView, type TaskViewFacts } from '../../../support/views.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'

function update(
  replicas: number,
  tasks: readonly TaskViewFacts[],
  givenUpSlots: readonly number[] = [],
): WatchServiceResponse {
  return {
    service: aServiceView({ id: 'service-1', name: 'web', replicas }),
    tasks: tasks.map(aTaskView),
    removed: false,
    currentRunningTasks: tasks.filter(
      (task) =>
        task.state === TaskState.RUNNING &&
        task.specHash === undefined &&
        task.desiredState === undefined,
    ).length,
    givenUpSlots,
    givenUpNodes: [],
  }
}

const pending: TaskViewFacts = { id: 'a', slot: 1, state: TaskState.PENDING }
const running: TaskViewFacts = { id: 'a', slot: 1, node: 'n', state: TaskState.RUNNING }

t.test('counts the tasks of the present generation that are meant to run', async (t) => {
  const {
    wanted,
    running: count,
    slots,
  } = convergenceOf(
    update(4, [
      running,
      { id: 'b', slot: 2, node: 'n', specHash: 'old' },
      { id: 'c', slot: 3, node: 'n', desiredState: TaskState.SHUTDOWN },
      { id: 'd', slot: 4, node: 'n', state: TaskState.PREPARING },
      {
        id: 'e',
        slot: 4,
        node: 'n',
        state: TaskState.FAILED,
        desiredState: TaskState.SHUTDOWN,
        err: 'exit 1',
        stateAtMs: 5,
      },
    ]),
  )
  t.equal(wanted, 4)
  t.equal(count, 1)
  t.strictSame(slots, [
    { slot: 1, state: TaskState.RUNNING, err: '', isGivenUp: false },
    { slot: 4, state: TaskState.PREPARING, err: 'exit 1', isGivenUp: false },
  ])
})

const rejected: TaskViewFacts = {
  id: 'r',
  slot: 1,
  node: 'n',
  state: TaskState.REJECTED,
  desiredState: TaskState.SHUTDOWN,
  err: 'no such image',
}

t.test('a slot without a live task shows why its last one ended', async (t) => {
  const { slots } = convergenceOf(update(1, [rejected, { ...rejected, id: 'o', specHash: 'old' }]))
  t.match(slots, [{ slot: 1, state: TaskState.REJECTED, err: 'no such image', isGivenUp: false }])
  const old = update(1, [pending, { ...rejected, specHash: 'old', stateAtMs: 9 }])
  t.match(convergenceOf(old).slots, [{ state: TaskState.PENDING, err: '' }], 'of this spec only')
  const removed = update(1, [{ ...rejected, desiredState: TaskState.REMOVE }])
  t.strictSame(convergenceOf(removed).slots, [])
})

t.test('an error that stays is written once where lines are not redrawn', async (t) => {
  const output = new MemoryOutput()
  const display = new ProgressDisplay(output)
  const show = (...tasks: readonly TaskViewFacts[]) =>
    display.show(progressLines(convergenceOf(update(1, tasks))))
  show(rejected)
  show(rejected, { ...pending, state: TaskState.READY })
  show(rejected, { ...pending, state: TaskState.PREPARING })
  show({ ...rejected, err: 'no such host' })
  t.equal(
    output.text,
    'overall progress: 0 out of 1 tasks\n1/1: rejected   no such image\n1/1: rejected   no such host\n',
  )
})

t.test('stuck is what has a slot given up while no other one is on its way', async (t) => {
  const outcome = (...args: Parameters<typeof update>) => outcomeOf(convergenceOf(update(...args)))
  const two: TaskViewFacts = { ...running, id: 'b', slot: 2 }
  t.equal(outcome(2, [rejected, two]), 'moving', 'it will be tried again')
  t.equal(outcome(2, [rejected, two], [1]), 'stuck')
  t.equal(outcome(2, [rejected, { ...two, state: TaskState.PREPARING }], [1]), 'moving')
  t.equal(outcome(2, [rejected, { ...two, state: TaskState.PENDING, err: 'full' }], [1]), 'stuck')
  t.equal(outcome(2, [running, two]), 'there')
  const done: TaskViewFacts = { ...rejected, state: TaskState.COMPLETE, err: '' }
  t.equal(outcome(2, [done, two], [1]), 'there', 'it ended well and is not meant to run again')
  t.equal(outcome(2, [done, two]), 'moving')
})

t.test('more running tasks than wanted count as those wanted', async (t) => {
  t.match(convergenceOf(update(1, [running, { ...running, id: 'b', slot: 2 }])), { running: 1 })
  t.match(convergenceOf(update(0, [running])), { running: 0, wanted: 0 })
})

t.test('lines on a terminal and elsewhere', async (t) => {
  const states = [
    update(3, []),
    update(3, [pending, { ...running, id: 'b', slot: 2, state: TaskState.PREPARING }]),
    update(3, [
      running,
      { ...pending, id: 'c', slot: 3, err: 'no suitable node (insufficient resources on 2 nodes)' },
    ]),
  ]
  for (const isTerminal of [true, false]) {
    const output = new MemoryOutput(isTerminal, 60)
    const display = new ProgressDisplay(output)
    for (const state of states) display.show(progressLines(convergenceOf(state)))
    const name = `test/golden/cli/progress-${isTerminal ? 'terminal' : 'plain'}.txt`
    golden(t, name, output.text.replaceAll('\x1b', 'ESC').replaceAll('\r', 'CR'))
  }
})

t.test('many replicas are summed up, with one of their errors', async (t) => {
  const lines = progressLines(
    convergenceOf(update(21, [running, { ...pending, id: 'b', slot: 2, err: 'no room' }])),
  )
  t.strictSame(
    lines.map((line) => line.text),
    ['overall progress: 1 out of 21 tasks', '1 tasks not running: no room'],
  )
})

function waiting(options: { readonly quiet?: boolean; readonly isRollback?: boolean } = {}) {
  const clock = new VirtualClock()
  const stdout = new MemoryOutput()
  const controller = new AbortController()
  const updates = new BoundedQueue<WatchServiceResponse>(100)
  const ctx = { stdout, clock, signal: controller.signal, random: seededRandom(1) }
  let done = false
  const result = waitForConvergence(ctx, () => updates, {
    name: 'web',
    quiet: options.quiet ?? false,
    isRollback: options.isRollback ?? false,
  }).finally(() => {
    done = true
  })
  return { clock, stdout, controller, updates, result, isDone: () => done }
}

t.test('returns when all tasks have been running for a second', async (t) => {
  const w = waiting()
  w.updates.offer(update(1, [pending]))
  await w.clock.advance(60_000)
  t.notOk(w.isDone())
  w.updates.offer(update(1, [running]))
  await settle()
  await w.clock.advance(stableMs - 1)
  t.notOk(w.isDone())
  await w.clock.advance(1)
  await w.result
  t.equal(
    w.stdout.text,
    'overall progress: 0 out of 1 tasks\noverall progress: 1 out of 1 tasks\n' +
      'verify: Waiting 1 second to verify that tasks are stable...\nverify: Service web converged\n',
  )
})

t.test('a task that fails within the second starts it anew', async (t) => {
  const w = waiting({ quiet: true })
  w.updates.offer(update(1, [running]))
  await settle()
  await w.clock.advance(900)
  w.updates.offer(update(1, [pending]))
  await settle()
  await w.clock.advance(5_000)
  t.notOk(w.isDone())
  w.updates.offer(update(1, [running]))
  await settle()
  await w.clock.advance(500)
  // Something else changed: still the same second.
  w.updates.offer(update(1, [running]))
  await settle()
  await w.clock.advance(500)
  await w.result
  t.equal(w.stdout.text, '', 'quiet')
})

t.test('a service whose tasks will not be tried again is an error with the reasons', async (t) => {
  const w = waiting({ quiet: true })
  w.updates.offer(update(8, [rejected], [1]))
  await settle()
  await w.clock.advance(stableMs - 1)
  t.notOk(w.isDone(), 'what is not made yet has a second to show')
  const others = Array.from({ length: 7 }, (_, i) => ({ ...rejected, id: `r${i}`, slot: i + 2 }))
  w.updates.offer(update(8, [{ ...rejected, err: '' }, ...others], [1, 2, 3, 4, 5, 6, 7, 8]))
  await settle()
  const rejects = t.rejects(w.result, {
    code: 'FAILED_PRECONDITION',
    message:
      /^service web: 8 of 8 tasks failed .*\n {2}web\.1: the task is rejected\n {2}web\.2: no such image\n(?:.*\n)*? {2}and 3 more\n.*service ps --no-trunc web/,
  })
  await w.clock.advance(1)
  await rejects
})

interface UpdateFacts {
  readonly tasks?: readonly TaskViewFacts[]
  readonly monitorMs?: number
}

function updating(
  state: string,
  message = '',
  failureAction = 'pause',
  { tasks = [running], monitorMs = 5_000 }: UpdateFacts = {},
): WatchServiceResponse {
  const answer = update(1, tasks)
  const service = answer.service?.service
  const updateStatus = { state, startedAtMs: 1, completedAtMs: 0, message, slots: 1 }
  const said = {
    ...{ parallelism: 1, delayMs: 0, monitorMs, maxFailureRatio: 0, order: 'stop-first' },
    failureAction,
  }
  const policy = failureAction === '' ? undefined : said
  const { spec } = service ?? {}
  return {
    ...answer,
    service: answer.service && {
      ...answer.service,
      service: service && {
        ...service,
        updateStatus,
        spec: spec && { ...spec, update: policy, rollback: policy },
      },
    },
  }
}

t.test(
  'an update that is paused or taken back is an error, unless that was asked for',
  async (t) => {
    const paused = waiting({ quiet: true })
    paused.updates.offer(updating('paused', 'update paused due to failure of task t'))
    await t.rejects(paused.result, {
      code: 'FAILED_PRECONDITION',
      message: /^service web: update paused due to failure of task t\. See .*service rollback web/,
    })
    const watched = waiting({ quiet: true })
    watched.updates.offer(updating('updating', '', 'rollback'))
    await watched.clock.advance(60_000)
    t.notOk(watched.isDone(), 'it may still be taken back')
    watched.updates.offer(updating('rollback_started', 'why', 'rollback'))
    await watched.clock.advance(60_000)
    t.notOk(watched.isDone(), 'and just is')
    watched.updates.offer(updating('rollback_completed', 'rollback completed', 'rollback'))
    await t.rejects(watched.result, { message: /^service web was rolled back: why\. See/ })
    const asked = waiting({ quiet: true, isRollback: true })
    asked.updates.offer(updating('rollback_completed', 'rollback completed'))
    await settle()
    await asked.clock.advance(1)
    await asked.result
  },
)

/** The state of an update and its failure action (none: the spec is silent), and for how long all tasks must have run until it is good. */
const proofs: readonly (readonly [string, string, boolean, number])[] = [
  ['updating', '', false, 5_000],
  ['updating', 'pause', false, 5_000],
  ['updating', 'continue', false, stableMs],
  ['rollback_started', '', true, 5_000],
  ['rollback_started', 'pause', true, 5_000],
  ['rollback_started', 'continue', true, stableMs],
]

// Source: swarm-semantics 5.2, converge wait: all have been running for the monitor time.
t.test('as long as a failure would pause the update it is waited for', async (t) => {
  for (const [state, action, isRollback, ms] of proofs) {
    const w = waiting({ isRollback })
    w.updates.offer(updating(state, '', action))
    await settle()
    await w.clock.advance(ms - 1)
    t.notOk(w.isDone(), `${state}, ${action}`)
    await w.clock.advance(1)
    await w.result
    t.match(w.stdout.text, new RegExp(`Waiting ${ms / 1_000} seconds? to verify`))
  }
  const sooner = waiting({ quiet: true })
  sooner.updates.offer(updating('updating'))
  await settle()
  await sooner.clock.advance(1_500)
  t.notOk(sooner.isDone())
  sooner.updates.offer(updating('completed', 'update completed'))
  await settle()
  await sooner.clock.advance(1)
  await sooner.result
  t.pass('what the cluster calls completed is so')
  const soon = waiting({ quiet: true })
  soon.updates.offer(updating('completed', '', 'pause', { monitorMs: 0 }))
  await settle()
  await soon.clock.advance(stableMs - 1)
  t.notOk(soon.isDone(), 'nodes have yet to hear of what runs')
  await soon.clock.advance(1)
  await soon.result
  const late = waiting({ quiet: true })
  late.updates.offer(updating('updating'))
  await settle()
  await late.clock.advance(4_000)
  late.updates.offer(updating('paused', 'update paused'))
  await t.rejects(late.result, { message: /^service web: update paused\. See/ })
})

t.test('why an update paused or went back is told in the words of the task to blame', async (t) => {
  const failed: TaskViewFacts = {
    ...{ id: 'task-7', slot: 2, node: 'n', state: TaskState.FAILED },
    ...{ desiredState: TaskState.SHUTDOWN, err: 'port 8100/tcp is in use by process 7' },
  }
  const why = 'due to failure or early termination of task task-7'
  for (const state of ['paused', 'rollback_paused']) {
    const w = waiting({ quiet: true })
    w.updates.offer(updating(state, `update paused ${why}`, 'pause', { tasks: [running, failed] }))
    await t.rejects(w.result, {
      message: /of task task-7: web\.2: port 8100\/tcp is in use by process 7\. See `tsswarm/,
    })
  }
  const silent = waiting({ quiet: true })
  const ended = { ...failed, err: '', state: TaskState.COMPLETE }
  silent.updates.offer(
    updating('paused', `update paused ${why}`, 'pause', { tasks: [running, ended] }),
  )
  await t.rejects(silent.result, { message: /task-7: web\.2: the task is complete\. See/ })
  const back = waiting({ quiet: true })
  const message = `update rolled back ${why}`
  back.updates.offer(
    updating('rollback_started', message, 'rollback', { tasks: [running, failed] }),
  )
  await settle()
  back.updates.offer(updating('rollback_completed', 'rollback completed', 'rollback'))
  await t.rejects(back.result, {
    message: /^service web was rolled back: update rolled back .*: web\.2: port 8100.*\. See/,
  })
})

t.test('Ctrl-C ends the waiting, not the work', async (t) => {
  const w = waiting()
  w.updates.offer(update(1, [pending]))
  await settle()
  w.controller.abort()
  await w.result
  t.match(
    w.stdout.text,
    /Operation continuing in background\.\nUse `tsswarm service ps web` to check progress\.\n$/,
  )
})

t.test('a service that is removed meanwhile is an error', async (t) => {
  const w = waiting()
  w.updates.offer({ ...update(1, []), service: undefined, removed: true })
  await t.rejects(w.result, { code: 'NOT_FOUND' })
})

t.test('a lost manager or daemon is waited for, other errors are not', async (t) => {
  const clock = new VirtualClock()
  const stdout = new MemoryOutput()
  const ctx = { stdout, clock, signal: new AbortController().signal, random: seededRandom(1) }
  let calls = 0
  let last: AbortSignal | undefined
  async function* flaky(signal: AbortSignal): AsyncGenerator<WatchServiceResponse> {
    calls += 1
    last = signal
    if (calls === 1) throw new SwarmError('UNAVAILABLE', 'gone')
    if (calls === 2) throw new SwarmError('DAEMON_NOT_RUNNING', 'it is started again')
    yield update(1, [running])
    await new Promise(() => {})
  }
  const result = waitForConvergence(ctx, flaky, { name: 'web', quiet: true })
  await clock.advance(500)
  await settle()
  await clock.advance(stableMs)
  await result
  t.equal(calls, 3)
  t.equal(last?.aborted, true, 'nothing is watched any longer')
  const refused = (): AsyncIterable<WatchServiceResponse> => {
    const updates = new BoundedQueue<WatchServiceResponse>(1)
    updates.close(new SwarmError('PERMISSION_DENIED', 'no'))
    return updates
  }
  await t.rejects(waitForConvergence(ctx, refused, { name: 'web', quiet: true }), { message: 'no' })
})
