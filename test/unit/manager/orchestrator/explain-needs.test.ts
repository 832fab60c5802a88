// Explain: secrets and configs that are gone, services that are waited for, runs of cron services, images that cannot be pulled.
import t from 'tap'
import { explainService } from '../../../../manager/orchestrator/explain/explain-service.ts'
import { explainTask } from '../../../../manager/orchestrator/explain/explain-task.ts'
import type { Finding } from '../../../../manager/orchestrator/explain/finding.ts'
import type { CronRun, CronStatus, Service, Task } from '../../../../proto/objects/index.ts'
import { specHash, TaskState } from '../../../../proto/objects/index.ts'
import type { CronMode } from '../../../../proto/spec/service-mode.ts'
import { taskSpec } from '../../../../proto/spec/service-spec.ts'
import { aNode, aService, aTask } from '../../../support/objects.ts'
import { aServiceView, type Situation } from '../../../support/orchestration.ts'

const nowMs = Date.UTC(2026, 10, 27, 12, 0, 30)
const minuteMs = 60_000
const w1 = aNode({ id: 'w1', hostname: 'alpha' })

interface Told extends Omit<Situation, 'tasks'> {
  readonly tasks?: readonly Task[]
  readonly hasPayload?: (kind: string, id: string) => boolean
}

function line({ code, text, causes = [], remedy }: Finding): string {
  return [`${code} ${text}`, ...causes, ...(remedy === undefined ? [] : [`do: ${remedy}`])].join(
    ' | ',
  )
}

function ofService(service: Service, told: Told = {}): string[] {
  const { tasks = [], hasPayload = () => true, ...rest } = told
  const view = aServiceView({ ...rest, service, tasks, nodes: [w1] })
  return explainService({
    service,
    view,
    nowMs,
    wallMs: nowMs,
    wanted: 1,
    placementOf: () => undefined,
    hasPayload,
  }).map(line)
}

function ofTask(task: Task, told: Told = {}): string[] {
  const { tasks = [], hasPayload = () => true, ...rest } = told
  const view = aServiceView({ ...rest, tasks: [...tasks, task], nodes: [w1] })
  return explainTask({ task, view, nowMs, placement: undefined, hasPayload }).map(line)
}

const withPayloads = taskSpec.parse({
  container: {
    image: 'hello',
    secrets: [{ source: 's1', name: 'db', target: 'db' }],
    configs: [{ source: 'c1', name: 'site', target: '/site' }],
  },
})

t.test('a secret or config that was removed is named, with what to do', async (t) => {
  const spec = { hash: specHash('spec-1'), spec: withPayloads }
  const service = aService({ name: 'web' })
  const task = aTask({ node: 'w1', state: TaskState.PREPARING })
  const told = { service, specs: [spec], hasPayload: (_: string, id: string) => id !== 's1' }
  const words =
    'PAYLOAD secret "db" (s1) is not in the swarm any more: a task that needs it cannot be prepared | do: ' +
    '"tsswarm secret create db FILE", then "tsswarm service update --secret-rm db --secret-add db web"'
  t.ok(ofTask(task, told).includes(words))
  const payloads = (lines: readonly string[]) => lines.filter((one) => one.startsWith('PAYLOAD'))
  t.match(payloads(ofTask(task, { ...told, hasPayload: () => false })), [/"db"/, /config "site"/])
  t.strictSame(payloads(ofTask(task, { ...told, hasPayload: () => true })), [])
  const runs = aTask({ node: 'w1' })
  t.strictSame(payloads(ofTask(runs, told)), [], 'it has its own')
  const own = { ...service, spec: { ...service.spec, task: withPayloads } }
  t.strictSame(payloads(ofService(own, told)), [words])
})

const db = aService({ id: 'db', name: 'db' })
const web = aService({
  name: 'web',
  task: { dependsOn: [{ service: 'db', condition: 'healthy' }] },
})
const waiting = aTask({
  node: 'w1',
  state: TaskState.READY,
  desiredState: TaskState.READY,
  waitsFor: 'service "db" to be healthy',
})
const starting = { state: 'starting', failures: 0, failedAtMs: 0, output: '' } as const

t.test('what a task depends on is told as it is now', async (t) => {
  const dependency = (tasks: readonly Task[]): string | undefined =>
    ofTask(waiting, { service: web, depended: [{ service: db, tasks }] }).find((one) =>
      one.startsWith('DEPENDENCY'),
    )
  const start = aTask({ service: 'db', node: 'w1', state: TaskState.STARTING, health: starting })
  t.equal(
    dependency([start]),
    'DEPENDENCY it waits for service "db" to be healthy | db.1 is starting, starting | do: ' +
      '"tsswarm explain service db" says what that one waits for',
  )
  const err = 'no suitable node (insufficient resources on 1 node)'
  t.match(dependency([aTask({ service: 'db', err })]), `| db.1 is pending: ${err} |`)
  t.match(dependency([]), '| service "db" has no tasks |')
  const many = Array.from({ length: 7 }, (_, i) => aTask({ id: `d${i}`, slot: i + 1 }))
  t.match(dependency(many), /db\.5 is pending; and 2 more \|/)
  const none = ofTask(waiting, { service: web }).join('\n')
  t.match(
    none,
    '| there is no service "db" | do: create service "db", or "tsswarm service update --depends-on-rm db web"',
  )
})

t.test('a service says it once: by its tasks, or of its update', async (t) => {
  const depended = [{ service: db, tasks: [] }]
  const told = (task: Task): string[] =>
    ofService(web, { tasks: [task], depended }).filter((one) => one.startsWith('DEPENDENCY'))
  t.equal(told(waiting).length, 1)
  const before = aTask({ node: 'w1', specVersion: 0, specHash: 'spec-0' })
  t.match(told(before), [/^DEPENDENCY it waits for service "db" to be healthy/])
})

const cron: CronMode = {
  kind: 'cron',
  schedule: '*/5 * * * *',
  timeZone: 'UTC',
  missedWindowMs: 3_600_000,
  concurrency: 'forbid',
  completions: 1,
  maxConcurrent: 1,
  keepCompleted: 3,
  keepFailed: 1,
  retries: 6,
  backoffMaxMs: 300_000,
}
const noonMs = nowMs - 30_000

function aRun(facts: Partial<CronRun>): CronRun {
  const times = { scheduledMs: noonMs, startedMs: noonMs, endedMs: 0, times: 1 }
  return { iteration: 1, state: 'running', message: '', ...times, ...facts }
}

function ofCron(mode: Partial<CronMode>, status: Partial<CronStatus> = {}): string[] {
  const cronStatus = { decidedMs: noonMs, forced: 0, runs: [], ...status }
  const { spec, ...service } = aService({ name: 'batch', mode: cron, cronStatus })
  return ofService({ ...service, spec: { ...spec, mode: { ...cron, ...mode } } }).slice(1)
}

const next =
  'NEXT_RUN its next run is due in 5 min, at 2026-11-27 12:05:00 UTC: its schedule is "*/5 * * * *" (UTC)'

t.test('a cron service tells when it runs next', async (t) => {
  t.strictSame(ofCron({}), [next, 'LAST_RUN no run of it has ended yet'])
  t.match(ofCron({ schedule: '0 0 30 2 *' })[0], /has no time to come \| do: .*--schedule/)
  t.match(
    ofCron({}, { decidedMs: noonMs - 5 * minuteMs })[0],
    'NEXT_RUN a run was due 30 s ago and is about to be decided: its schedule is "*/5 * * * *" (UTC)',
  )
  t.strictSame(ofService(aService({ name: 'web' })).length, 1, 'others tell nothing of runs')
})

t.test('a cron service without tasks to run is suspended', async (t) => {
  t.match(ofCron({ completions: 0 }), [
    /^NEXT_RUN/,
    'SUSPENDED it is suspended: its runs have no tasks, because its replicas are 0 | do: "tsswarm service update --replicas 1 batch"',
  ])
})

t.test('what goes on decides about the next run, as its policy says', async (t) => {
  const runs = [aRun({})]
  const of = (concurrency: CronMode['concurrency']): string | undefined =>
    ofCron({ concurrency }, { runs })[1]
  const goes = 'RUN its run of 2026-11-27 12:00:00 UTC goes on since 30 s'
  t.equal(of('forbid'), `${goes}: a run that is due meanwhile is missed (concurrency forbid)`)
  t.equal(of('replace'), `${goes}: the next run takes its place (concurrency replace)`)
  t.equal(of('allow'), `${goes}: the next run goes on beside it (concurrency allow)`)
})

t.test('the last run that ended, and the last that was missed, say why', async (t) => {
  const completed = aRun({ state: 'completed', endedMs: nowMs - 10_000 })
  t.strictSame(ofCron({}, { runs: [completed] }), [
    next,
    'LAST_RUN its run of 2026-11-27 12:00:00 UTC was completed 10 s ago',
  ])
  const failed = aRun({
    state: 'failed',
    endedMs: nowMs - 10_000,
    message: '1 of 1 tasks failed: exit 7',
  })
  const window = aRun({
    state: 'missed',
    iteration: undefined,
    scheduledMs: noonMs - 10 * minuteMs,
    message: 'no manager could begin it within its window',
    times: 3,
  })
  t.strictSame(ofCron({}, { runs: [window, failed] }), [
    next,
    'LAST_RUN its run of 2026-11-27 12:00:00 UTC was failed 10 s ago: 1 of 1 tasks failed: exit 7 | a failed task is tried again 6 times in a run',
    'MISSED_RUN its run of 2026-11-27 11:50:00 UTC and 2 before it was missed 11 min ago: no manager could begin it within its window | ' +
      'a run may begin 60 min late; concurrency is forbid | do: "tsswarm service update --force batch" begins a run at once',
  ])
  const forbidden = aRun({
    state: 'missed',
    iteration: undefined,
    message: 'the run before it goes on',
  })
  t.match(ofCron({}, { runs: [aRun({}), forbidden] }), [
    /^NEXT_RUN/,
    /^RUN/,
    /^MISSED_RUN its run of 2026-11-27 12:00:00 UTC was missed 30 s ago: the run before it goes on \|/,
  ])
})
