// What lists, inspect and progress say of services of other modes than replicated.
import t from 'tap'
import { renderList } from '../../../../cli/render/list-format.ts'
import {
  convergenceOf,
  outcomeOf,
  progressLines,
  stuckText,
  verifiedLines,
} from '../../../../cli/render/progress.ts'
import { serviceListView, serviceRows } from '../../../../cli/render/service-list.ts'
import { prettyService } from '../../../../cli/render/service-pretty.ts'
import { taskName } from '../../../../cli/render/task-list.ts'
import { serviceJson } from '../../../../proto/docker/service-json.ts'
import type { WatchServiceResponse } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { TaskState } from '../../../../proto/objects/task-state.ts'
import { aService } from '../../../support/objects.ts'
import {
  aServiceView,
  aTaskView,
  type ServiceViewFacts,
  type TaskViewFacts,
} from '../../../support/views.ts'

const { COMPLETE, FAILED, RUNNING } = TaskState
const jobMode = { kind: 'replicated-job', completions: 10, maxConcurrent: 2 } as const
const jobStatus = { iteration: 3, lastExecutionMs: 1_700_000_000_000 }

t.test('service ls says how far jobs are, as docker does', async (t) => {
  const line = (facts: ServiceViewFacts): string =>
    renderList(serviceListView, serviceRows([aServiceView({ name: 's', ...facts })]), {
      format: '{{.Mode}} {{.Replicas}}',
    }).trim()
  t.equal(line({ mode: { kind: 'global' }, running: 2, desired: 3 }), 'global 2/3')
  t.equal(
    line({ mode: jobMode, running: 1, desired: 2, completed: 5 }),
    'replicated job 1/2 (5/10 completed)',
  )
  t.equal(
    line({ mode: { kind: 'global-job' }, running: 1, desired: 1, completed: 2 }),
    'global job 1/1 (2/3 completed)',
  )
})

t.test('tasks without a slot are named after their node', async (t) => {
  t.equal(taskName(aTaskView({ forNode: 'node9', node: 'node9' }), true), 'web.node9')
  t.equal(taskName(aTaskView({ slot: 0, jobIteration: 1 }), true), 'web.0')
})

t.test('inspect', async (t) => {
  const job = aService({ mode: jobMode, jobStatus })
  t.match(serviceJson(job), {
    Spec: { Mode: { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 10 } } },
    JobStatus: { JobIteration: { Index: 3 }, LastExecution: '2023-11-14T22:13:20.000Z' },
  })
  t.notOk(JSON.stringify(serviceJson(job)).includes('UpdateConfig'), 'jobs have no policies')
  const text = prettyService(job)
  t.match(text, 'Service Mode:\tReplicated Job\n Max Concurrent:\t2\n Total Completions:\t10\n')
  t.notMatch(text, 'UpdateConfig')
  t.match(prettyService(aService({ mode: { kind: 'global' } })), 'Service Mode:\tGlobal\n')
  t.match(prettyService(aService({ mode: { kind: 'global-job' } })), 'Service Mode:\tGlobal Job\n')
  t.match(serviceJson(aService({ mode: { kind: 'global' } })), { Spec: { Mode: { Global: {} } } })
  t.match(serviceJson(aService({ mode: { kind: 'global-job' } })), {
    Spec: { Mode: { GlobalJob: {} } },
  })
})

function watched(
  facts: ServiceViewFacts,
  tasks: readonly TaskViewFacts[],
  givenUp: { readonly slots?: readonly number[]; readonly nodes?: readonly string[] } = {},
): WatchServiceResponse {
  return {
    service: aServiceView({ name: 's', ...facts }),
    tasks: tasks.map(aTaskView),
    removed: false,
    currentRunningTasks: tasks.filter(({ state }) => state === RUNNING).length,
    givenUpSlots: givenUp.slots ?? [],
    givenUpNodes: givenUp.nodes ?? [],
  }
}

const two = {
  mode: { kind: 'replicated-job', completions: 2, maxConcurrent: 1 },
  jobStatus,
} as const
const task = { jobIteration: 3, desiredState: COMPLETE }

t.test('a job is there when all of it has ended well', async (t) => {
  const former = { id: 'f', slot: 0, jobIteration: 2, state: FAILED, err: 'old' }
  const first = { ...task, id: 'a', slot: 0, state: COMPLETE }
  const second = { ...task, id: 'b', slot: 1, state: RUNNING }
  const going = convergenceOf(watched({ ...two, completed: 1 }, [former, first, second]))
  t.equal(outcomeOf(going), 'moving')
  t.same(
    progressLines(going).map(({ text }) => text.slice(0, 40)),
    [
      'job progress: 1 out of 2 complete',
      '1/2: complete  [========================',
      '2/2: running   [========================',
    ],
  )
  const all = convergenceOf(
    watched({ ...two, completed: 2 }, [first, { ...second, state: COMPLETE }]),
  )
  t.equal(outcomeOf(all), 'there')
  t.same(verifiedLines('s', all), [{ key: 'verify', text: 'job complete' }])
})

t.test('a job is stuck when a slot is given up and nothing runs', async (t) => {
  const failed = { ...task, id: 'a', slot: 0, state: FAILED, err: 'exit 1' }
  const other = { ...task, id: 'b', slot: 1, state: RUNNING }
  const outcome = (...args: Parameters<typeof watched>) =>
    outcomeOf(convergenceOf(watched(...args)))
  t.equal(outcome(two, [failed, other]), 'moving')
  t.equal(outcome(two, [failed, other], { slots: [0] }), 'moving', 'the other may end well')
  const end = watched({ ...two, completed: 1 }, [failed, { ...other, state: COMPLETE }], {
    slots: [0],
  })
  t.equal(outcomeOf(convergenceOf(end)), 'stuck')
  t.match(stuckText('s', convergenceOf(end)), '1 of 2 tasks failed and will not be tried again')
})

t.test('a global job counts the nodes', async (t) => {
  const facts = { mode: { kind: 'global-job' }, jobStatus } as const
  const on = (node: string, state: TaskState): TaskViewFacts => ({
    ...task,
    id: `t-${node}`,
    forNode: node,
    node,
    state,
  })
  const state = watched({ ...facts, desired: 1, completed: 1 }, [
    on('a', COMPLETE),
    on('b', RUNNING),
  ])
  t.match(convergenceOf(state), { wanted: 2, running: 1, slots: [{ slot: 'a' }, { slot: 'b' }] })
  const lost = watched(
    { ...facts, desired: 1, completed: 1 },
    [on('a', COMPLETE), on('b', FAILED)],
    {
      nodes: ['b'],
    },
  )
  t.equal(outcomeOf(convergenceOf(lost)), 'stuck')
})

const nightly = aService({
  mode: { kind: 'cron', schedule: '30 2 * * *', timeZone: 'Europe/Berlin' },
  jobStatus: { iteration: 2, lastExecutionMs: 1_700_000_000_000 },
  cronStatus: {
    decidedMs: Date.parse('2026-01-10T01:30:00Z'),
    forced: 0,
    runs: [
      {
        scheduledMs: Date.parse('2026-01-09T01:30:00Z'),
        iteration: undefined,
        state: 'missed',
        startedMs: 0,
        endedMs: 0,
        message: 'no manager could begin it within its window',
        times: 2,
      },
      {
        scheduledMs: Date.parse('2026-01-10T01:30:00Z'),
        iteration: 2,
        state: 'completed',
        startedMs: Date.parse('2026-01-10T01:30:01Z'),
        endedMs: Date.parse('2026-01-10T01:31:00Z'),
        message: '',
        times: 1,
      },
    ],
  },
})

t.test('a cron service shows its runs, and the next', async (t) => {
  t.match(serviceJson(nightly), {
    Spec: { Mode: { Cron: { Schedule: '30 2 * * *', TimeZone: 'Europe/Berlin', Retries: 6 } } },
    CronStatus: {
      NextRun: '2026-01-11T01:30:00.000Z',
      Runs: [
        { State: 'completed', Iteration: 2, Ended: '2026-01-10T01:31:00.000Z' },
        { State: 'missed', Times: 2, Message: /window/ },
      ],
    },
  })
  const text = prettyService(nightly)
  t.match(text, ' Schedule:\t30 2 * * * (Europe/Berlin)\n')
  t.match(text, ' Next:\t\t2026-01-11 01:30:00 UTC\n')
  t.match(text, '  2026-01-09 01:30:00 UTC\tmissed (2 times): no manager could')
  const mode = { kind: 'cron', schedule: '@daily' } as const
  const nextRunMs = Date.parse('2026-01-11T01:30:00Z')
  const line = (facts: ServiceViewFacts): string =>
    renderList(serviceListView, serviceRows([aServiceView({ name: 's', mode, ...facts })]), {
      format: '{{.Mode}} {{.Replicas}}',
    }).trim()
  t.equal(line({ running: 0, desired: 0, nextRunMs }), 'cron 0/0 (next 2026-01-11 01:30:00 UTC)')
  t.equal(line({ running: 1, desired: 1 }), 'cron 1/1 (no next run)')
  const state = convergenceOf(watched({ mode, desired: 0, nextRunMs }, []))
  t.equal(outcomeOf(state), 'there')
  t.same(progressLines(state), [{ key: 'overall', text: 'next run: 2026-01-11 01:30:00 UTC' }])
  t.same(verifiedLines('s', state), [])
})
