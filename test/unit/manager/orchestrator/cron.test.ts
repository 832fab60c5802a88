import t from 'tap'
import { reconcileCron } from '../../../../manager/orchestrator/cron.ts'
import {
  type CronRun,
  type CronStatus,
  type Plan,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import { aDecisionEnv, aServiceView, linesOf } from '../../../support/orchestration.ts'

const { COMPLETE, FAILED, REMOVE, RUNNING, SHUTDOWN } = TaskState
const minuteMs = 60_000
/** A full minute. */
const t0 = 28_000_000 * minuteMs

const specs = [aSpecRecord('spec-1', { restart: { delayMs: 1_000 } })]
const nodes = [aNode({ id: 'a' }), aNode({ id: 'b' })]

interface Facts {
  readonly mode?: object
  readonly status?: Partial<CronStatus>
  readonly iteration?: number
  readonly forceUpdate?: number
}

/** Every minute, decided about up to t0. */
function aCron({ mode, status, iteration = 0, forceUpdate = 0 }: Facts = {}): Service {
  return aService({
    mode: { kind: 'cron', schedule: '* * * * *', ...mode },
    task: { forceUpdate },
    jobStatus: { iteration, lastExecutionMs: 0 },
    cronStatus: { decidedMs: t0, forced: 0, runs: [], ...status },
  })
}

function aRun(iteration: number, facts: Partial<CronRun> = {}): CronRun {
  const base = { scheduledMs: t0, iteration, state: 'running' as const, startedMs: t0 }
  return { ...base, endedMs: 0, message: '', times: 1, ...facts }
}

function decide(service: Service, nowMs: number, tasks: readonly Task[] = []): Plan {
  return reconcileCron(aServiceView({ service, tasks, nodes, specs }), aDecisionEnv(nowMs))
}

function runsOf({ changes }: Plan): readonly CronRun[] | undefined {
  const [first] = changes
  if (first?.kind !== 'update' || first.table !== 'services') return undefined
  return first.object.cronStatus?.runs
}

function tasksOf(plan: Plan): string[] {
  const isTask = ({ table }: Plan['changes'][number]): boolean => table === 'tasks'
  return linesOf({ ...plan, changes: plan.changes.filter(isTask) })
}

function aTaskOf(
  iteration: number,
  state: TaskState,
  facts: Parameters<typeof aTask>[0] = {},
): Task {
  const base = { id: `r${iteration}`, slot: 0, node: 'a', desiredState: COMPLETE }
  return aTask({
    ...base,
    state,
    jobIteration: iteration,
    appliedAtMs: t0,
    createdAtMs: 1,
    ...facts,
  })
}

t.test('nothing before it is due; then one run, written with its tasks', async (t) => {
  const before = decide(aCron(), t0 + minuteMs - 1)
  t.same(before.changes, [])
  t.equal(before.wakeAtMs, t0 + minuteMs)
  const due = decide(aCron(), t0 + minuteMs)
  t.match(runsOf(due), [{ scheduledMs: t0 + minuteMs, iteration: 1, state: 'running' }])
  t.same(tasksOf(due), ['+ new-1 slot 0 complete'])
  t.match(due.changes[0], {
    object: { jobStatus: { iteration: 1 }, cronStatus: { decidedMs: t0 + minuteMs } },
  })
  const again = aCron({ status: { decidedMs: t0 + minuteMs, runs: [aRun(1)] }, iteration: 1 })
  t.same(decide(again, t0 + minuteMs, [aTaskOf(1, RUNNING)]).changes, [], 'it is begun once')
})

t.test('a wall clock that goes back begins nothing twice', async (t) => {
  const service = aCron({ status: { decidedMs: t0 + 60 * minuteMs } })
  t.same(decide(service, t0 + minuteMs).changes, [])
})

t.test('a run that is too late is missed, and told', async (t) => {
  const service = aCron({ mode: { missedWindowMs: 10_000 } })
  const plan = decide(service, t0 + minuteMs + 10_001)
  t.match(runsOf(plan), [{ scheduledMs: t0 + minuteMs, state: 'missed', iteration: undefined }])
  t.same(tasksOf(plan), [])
  t.match(plan.notes, [{ message: /missed/, fields: { times: 1, why: /within its window/ } }])
  t.match(runsOf(decide(service, t0 + minuteMs + 10_000)), [{ state: 'running' }])
})

t.test('of several that are due the last is run, the others are missed', async (t) => {
  const plan = decide(aCron(), t0 + 5 * minuteMs + 1)
  t.match(runsOf(plan), [
    { scheduledMs: t0 + 4 * minuteMs, state: 'missed', times: 4, message: /a later one/ },
    { scheduledMs: t0 + 5 * minuteMs, state: 'running' },
  ])
  const long = decide(aCron(), t0 + 1_000 * minuteMs)
  t.match(runsOf(long), [
    { state: 'missed', times: 99, message: /or more/ },
    { scheduledMs: t0 + 1_000 * minuteMs, state: 'running' },
  ])
})

t.test('a run that goes on when the next is due', async (t) => {
  const status = { runs: [aRun(1)] }
  const tasks = [aTaskOf(1, RUNNING)]
  const due = (concurrency: string) =>
    decide(aCron({ mode: { concurrency }, status, iteration: 1 }), t0 + minuteMs, tasks)
  const forbid = due('forbid')
  t.match(runsOf(forbid), [{ iteration: 1 }, { state: 'missed', message: /before it goes on/ }])
  t.same(tasksOf(forbid), [])
  const allow = due('allow')
  t.match(runsOf(allow), [
    { iteration: 1, state: 'running' },
    { iteration: 2, state: 'running' },
  ])
  t.same(tasksOf(allow), ['+ new-1 slot 0 complete'])
  const replace = due('replace')
  t.match(runsOf(replace), [
    { iteration: 1, state: 'replaced' },
    { iteration: 2, state: 'running' },
  ])
  t.same(tasksOf(replace), ['r1 -> remove'], 'the new one waits for the end of the old one')
  const runs = [aRun(1, { state: 'replaced' }), aRun(2)]
  const later = aCron({ mode: { concurrency: 'replace' }, status: { runs }, iteration: 2 })
  const ended = [aTaskOf(1, SHUTDOWN, { desiredState: REMOVE })]
  t.same(tasksOf(decide(later, t0 + 1, ended)), ['+ new-1 slot 0 complete'])
})

t.test('a run ends when all of it ended well, or failed for good', async (t) => {
  const service = aCron({ status: { runs: [aRun(1)] }, iteration: 1 })
  t.match(runsOf(decide(service, t0 + 1_000, [aTaskOf(1, COMPLETE)])), [
    { state: 'completed', endedMs: t0 + 1_000 },
  ])
  const once = aCron({ mode: { retries: 0 }, status: { runs: [aRun(1)] }, iteration: 1 })
  const failed = decide(once, t0 + 1_000, [aTaskOf(1, FAILED, { err: 'exit 1' })])
  t.match(runsOf(failed), [{ state: 'failed', message: '1 of 1 tasks failed: exit 1' }])
})

t.test(
  'a failed task is tried again, each time after twice the delay, up to a limit',
  async (t) => {
    const service = aCron({
      mode: { backoffMaxMs: 3_000 },
      status: { runs: [aRun(1)] },
      iteration: 1,
    })
    const failures = (count: number): Task[] =>
      Array.from({ length: count }, (_, i) =>
        aTaskOf(1, FAILED, {
          id: `f${i}`,
          createdAtMs: i,
          desiredState: i === count - 1 ? COMPLETE : SHUTDOWN,
        }),
      )
    for (const [count, delayMs] of [
      [1, 1_000],
      [2, 2_000],
      [3, 3_000],
      [4, 3_000],
    ] as const) {
      const last = `f${count - 1}`
      t.same(tasksOf(decide(service, t0 + 1, failures(count))), [
        `${last} -> shutdown`,
        `+ new-1 slot 0 ready at ${t0 + delayMs} after ${last}`,
      ])
    }
    t.match(runsOf(decide(service, t0 + 1, failures(7))), [{ state: 'failed' }], 'six tries more')
  },
)

t.test('as many ended runs are kept as the service says, with their tasks', async (t) => {
  const runs = [
    aRun(1, { state: 'completed' }),
    aRun(2, { state: 'failed' }),
    aRun(3, { state: 'failed' }),
    aRun(4, { state: 'completed' }),
    aRun(5, { state: 'completed' }),
  ]
  const service = aCron({ mode: { keepCompleted: 2 }, status: { runs }, iteration: 5 })
  const tasks = [1, 2, 3, 4, 5].map((at) => aTaskOf(at, at === 2 || at === 3 ? FAILED : COMPLETE))
  const plan = decide(service, t0 + 1, tasks)
  t.same(
    runsOf(plan)?.map(({ iteration }) => iteration),
    [3, 4, 5],
  )
  t.same(tasksOf(plan), ['r1 -> remove', 'r2 -> remove'])
  const missed = Array.from({ length: 14 }, (_, i) =>
    aRun(0, { iteration: undefined, state: 'missed', scheduledMs: i }),
  )
  t.equal(runsOf(decide(aCron({ status: { runs: missed } }), t0 + 1))?.length, 10)
})

t.test('--force begins a run at once', async (t) => {
  const plan = decide(aCron({ forceUpdate: 1 }), t0 + 5)
  t.match(runsOf(plan), [{ scheduledMs: t0 + 5, state: 'running', iteration: 1 }])
  t.match(plan.changes[0], { object: { cronStatus: { forced: 1, decidedMs: t0 } } })
})

t.test('tasks of a lost node are made anew in the same run', async (t) => {
  const down = [aNode({ id: 'a', state: 'down' }), aNode({ id: 'b' })]
  for (const retries of [6, 0]) {
    const service = aCron({ mode: { retries }, status: { runs: [aRun(1)] }, iteration: 1 })
    const view = aServiceView({ service, tasks: [aTaskOf(1, RUNNING)], nodes: down, specs })
    t.same(
      tasksOf(reconcileCron(view, aDecisionEnv(t0 + 1))),
      ['r1 -> shutdown', '+ new-1 slot 0 complete after r1'],
      'it is no failure, whatever the retries',
    )
  }
})
