import t from 'tap'
import { explainService } from '../../../../manager/orchestrator/explain/explain-service.ts'
import { explainTask } from '../../../../manager/orchestrator/explain/explain-task.ts'
import type { Finding } from '../../../../manager/orchestrator/explain/finding.ts'
import {
  type Node,
  nodeId,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { allFilters } from '../../../../scheduler/filters/filters.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import { aServiceView } from '../../../support/orchestration.ts'

const nowMs = 1_000_000
const web = aService({ id: 'service-1', name: 'web', replicas: 2 })
const specs = [aSpecRecord('spec-1', { restart: { delayMs: 60_000 }, stopGraceMs: 30_000 })]
const nodes = [
  aNode({ id: 'n1', hostname: 'alpha', availability: 'drain' }),
  aNode({ id: 'n2', hostname: 'beta', state: 'down' }),
  aNode({ id: 'n3', hostname: 'gamma' }),
]

interface Refused {
  readonly nodeId: string
  readonly filter: string
}

function tell(
  task: Task,
  { tasks = [], refused = [] }: { readonly tasks?: Task[]; readonly refused?: Refused[] } = {},
): readonly Finding[] {
  const view = aServiceView({ service: web, tasks: [...tasks, task], nodes, specs })
  const hostname = (id: string) =>
    nodes.find((one: Node) => one.id === id)?.description?.hostname ?? ''
  const refusals = refused.map(({ nodeId: id, filter }) => ({
    ...{ nodeId: nodeId(id), hostname: hostname(id), filter, reason: 'as it is' },
  }))
  const placement = { summary: 'no suitable node', refusals }
  return explainTask({ task, view, nowMs, placement, hasPayload: () => true })
}

const remedy = (findings: readonly Finding[], code: string): string | undefined =>
  findings.find((one) => one.code === code)?.remedy

t.test('every filter that turns nodes away has a remedy', async (t) => {
  const of = (...refused: Refused[]): string | undefined =>
    remedy(tell(aTask({}), { refused }), 'PENDING')
  for (const { name } of allFilters) t.type(of({ nodeId: 'n1', filter: name }), 'string', name)
  t.equal(of(), undefined, 'nobody says no')
  t.equal(of({ nodeId: 'n3', filter: 'volumes' }), undefined)
  t.match(of({ nodeId: 'n3', filter: 'resources' }), /^reserve less .*--reserve-memory.* web\)/)
  const both = of(
    { nodeId: 'n1', filter: 'ready' },
    { nodeId: 'n2', filter: 'ready' },
    { nodeId: 'n3', filter: 'constraints' },
  )
  t.match(
    both,
    /^"tsswarm node update --availability active alpha"; or start the daemon of beta .*; or change the constraints/,
  )
})

t.test(
  'a program that ended says where its words are; what could not be started says it itself',
  async (t) => {
    const failed = aTask({ id: 'b', node: 'n3', state: TaskState.FAILED, appliedAtMs: nowMs })
    const ended = { ...failed, exitCode: 3, err: 'task: non-zero exit (3)' }
    t.equal(remedy(tell(ended), 'FAILED'), '"tsswarm service logs b" shows what it wrote')
    const rejected = { ...failed, state: TaskState.REJECTED, err: 'No such image: x' }
    t.equal(remedy(tell(rejected), 'FAILED'), undefined)
  },
)

t.test('what failed before its own start was due tells when the next one is made', async (t) => {
  const rejected = aTask({
    ...{ id: 'b', node: 'n3', state: TaskState.REJECTED, appliedAtMs: nowMs - 2_000 },
    ...{ startAtMs: nowMs + 3_000, err: 'No such image: x' },
  })
  const waits = (task: Task) => tell(task).find(({ code }) => code === 'WAITS')?.text
  t.equal(waits(rejected), 'its slot gets the next task in 3 s: the restart delay is 60 s')
  t.equal(waits({ ...rejected, startAtMs: nowMs }), undefined)
})

t.test('a task of a cron service is told of the delay that doubles', async (t) => {
  const mode = { kind: 'cron', schedule: '@daily', backoffMaxMs: 240_000 } as const
  const service = aService({ id: 'service-1', name: 'web', mode })
  const task = aTask({ desiredState: TaskState.READY, startAtMs: nowMs + 90_000 })
  const view = aServiceView({ service, tasks: [task], nodes, specs })
  const told = explainTask({ task, view, nowMs, placement: undefined, hasPayload: () => true })
  t.match(
    told.find(({ code }) => code === 'WAITS')?.text,
    'it is started in 90 s: the delay between tries of a run doubles from 60 s up to 4 min',
  )
})

t.test('who waits for a stop is told how long that may take', async (t) => {
  const before = aTask({ id: 'a', node: 'n3', createdAtMs: 1, desiredState: TaskState.SHUTDOWN })
  const task = aTask({
    ...{ id: 'b', node: 'n3', createdAtMs: 2, state: TaskState.READY, startAfter: 'a' },
    desiredState: TaskState.READY,
  })
  const grace = ['its stop grace period is 30 s']
  t.match(
    tell(task, { tasks: [before] }).find(({ code }) => code === 'WAITS'),
    { causes: grace },
  )
  t.match(
    tell(before, { tasks: [task] }).find(({ code }) => code === 'STOPS'),
    { causes: grace },
  )
})

t.test('an update tells how far it is, and when its delay is over', async (t) => {
  const causes = (state: TaskState, ranAtMs = 0): readonly string[] | undefined => {
    const service: Service = aService({
      ...{ id: 'service-1', name: 'web', replicas: 2, specVersion: 2 },
      ...{ updateStatus: { state: 'updating', message: 'update in progress' } },
      update: { delayMs: 60_000 },
    })
    const tasks = [
      aTask({ id: 'a', slot: 1, node: 'n3', state, ranAtMs, specVersion: 2 }),
      aTask({ id: 'b', slot: 2, node: 'n3', specVersion: 1 }),
    ]
    const view = aServiceView({ service, tasks, nodes, specs })
    const picture = { service, view, nowMs, wanted: 2, placementOf: () => undefined }
    const findings = explainService({ ...picture, hasPayload: () => true, wallMs: nowMs })
    return findings.find(({ code }) => code === 'UPDATE')?.causes
  }
  const far = '1 of 2 tasks are of the new specification: 1 at a time, 60 s between'
  t.same(causes(TaskState.PREPARING), [far])
  t.same(causes(TaskState.RUNNING, nowMs - 20_000), [far, 'the update delay is over in 40 s'])
  t.same(causes(TaskState.RUNNING, nowMs - 60_000), [far])
})
