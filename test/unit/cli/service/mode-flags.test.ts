import t from 'tap'
import {
  changedMode,
  type ModeFlags,
  newMode,
  scaledMode,
} from '../../../../cli/service/mode-flags.ts'
import { type ServiceMode, serviceMode } from '../../../../proto/spec/service-mode.ts'

type Given = Partial<Record<keyof ModeFlags, unknown>> & { readonly mode?: string }

function flags(given: Given) {
  const none = {
    replicas: undefined,
    'max-concurrent': undefined,
    schedule: undefined,
    'time-zone': undefined,
    'cron-missed-window': undefined,
    'cron-concurrency': undefined,
    'cron-keep-completed': undefined,
    'cron-keep-failed': undefined,
    'cron-retries': undefined,
    'cron-backoff-max': undefined,
    mode: undefined,
  }
  return { ...none, ...given } as never
}

t.test('the mode of a new service', async (t) => {
  const cases: readonly (readonly [Given, object])[] = [
    [{}, { kind: 'replicated', replicas: 1 }],
    [{ replicas: 0 }, { kind: 'replicated', replicas: 0 }],
    [{ mode: 'global' }, { kind: 'global' }],
    [{ mode: 'global-job' }, { kind: 'global-job' }],
    [{ mode: 'replicated-job' }, { kind: 'replicated-job', completions: 1, maxConcurrent: 1 }],
    [
      { mode: 'replicated-job', replicas: 5 },
      { kind: 'replicated-job', completions: 5, maxConcurrent: 5 },
    ],
    [
      { mode: 'replicated-job', replicas: 5, 'max-concurrent': 2 },
      { kind: 'replicated-job', completions: 5, maxConcurrent: 2 },
    ],
    [
      { mode: 'cron', schedule: '@daily', 'time-zone': 'Europe/Berlin', 'cron-retries': 2 },
      {
        kind: 'cron',
        schedule: '@daily',
        timeZone: 'Europe/Berlin',
        missedWindowMs: 3_600_000,
        concurrency: 'forbid',
        completions: 1,
        maxConcurrent: 1,
        keepCompleted: 3,
        keepFailed: 1,
        retries: 2,
        backoffMaxMs: 300_000,
      },
    ],
  ]
  for (const [given, mode] of cases) t.strictSame(serviceMode.parse(newMode(flags(given))), mode)
})

t.test('flags that are not for the mode are refused (swarm-semantics 3.1)', async (t) => {
  const cases: readonly (readonly [Given, RegExp])[] = [
    [{ mode: 'global', replicas: 2 }, /--replicas can only be used with replicated/],
    [{ 'max-concurrent': 2 }, /--max-concurrent can only be used with replicated-job/],
    [{ mode: 'replicated-job', schedule: '@daily' }, /--schedule can only be used with cron/],
    [{ mode: 'global-job', 'time-zone': 'UTC' }, /--time-zone can only be used with cron/],
    [{ mode: 'cron' }, /--mode cron needs --schedule/],
  ]
  for (const [given, message] of cases) {
    t.throws(() => newMode(flags(given)), { message, code: 'USAGE' })
  }
})

t.test('what no flag names stays', async (t) => {
  const job: ServiceMode = { kind: 'replicated-job', completions: 5, maxConcurrent: 2 }
  t.strictSame(changedMode(job, flags({})), job)
  t.strictSame(changedMode(job, flags({ replicas: 7 })), { ...job, completions: 7 })
  t.strictSame(changedMode(job, flags({ 'max-concurrent': 3 })), { ...job, maxConcurrent: 3 })
  const cron = serviceMode.parse({ kind: 'cron', schedule: '@daily' })
  t.strictSame(changedMode(cron, flags({ schedule: '@hourly', 'cron-concurrency': 'allow' })), {
    ...cron,
    schedule: '@hourly',
    concurrency: 'allow',
  })
  t.throws(() => changedMode({ kind: 'global' }, flags({ replicas: 1 })), /can only be used with/)
  t.strictSame(changedMode({ kind: 'global' }, flags({})), { kind: 'global' })
})

t.test(
  'scaling is for what has replicas; of a job it sets the completions (7.2 jobs)',
  async (t) => {
    const job: ServiceMode = { kind: 'replicated-job', completions: 5, maxConcurrent: 2 }
    t.strictSame(scaledMode(job, 9), { ...job, completions: 9 })
    t.strictSame(scaledMode({ kind: 'replicated', replicas: 1 }, 9), {
      kind: 'replicated',
      replicas: 9,
    })
    for (const kind of ['global', 'global-job'] as const) {
      t.throws(() => scaledMode({ kind }, 2), {
        code: 'USAGE',
        message: /scale can only be used with/,
      })
    }
  },
)
