import t from 'tap'
import { explainNode } from '../../../../manager/orchestrator/explain/explain-node.ts'
import { explainService } from '../../../../manager/orchestrator/explain/explain-service.ts'
import { explainTask } from '../../../../manager/orchestrator/explain/explain-task.ts'
import type { Finding } from '../../../../manager/orchestrator/explain/finding.ts'
import { type Node, type Service, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { ClusterIndex } from '../../../../scheduler/cluster-index.ts'
import { aNode, aService, aSpecRecord, aTask, type NodeFacts } from '../../../support/objects.ts'
import { aServiceView } from '../../../support/orchestration.ts'

const nowMs = 1_000_000
const web = aService({ id: 'service-1', name: 'web', replicas: 2 })
const specs = [
  aSpecRecord('spec-1', { restart: { delayMs: 60_000 } }),
  aSpecRecord('once', { restart: { maxAttempts: 1 } }),
  aSpecRecord('never', { restart: { condition: 'none' } }),
]
const w1 = aNode({ id: 'w1', hostname: 'alpha' })

interface Told {
  readonly tasks?: readonly Task[]
  readonly service?: Service | undefined
  readonly nodes?: readonly Node[]
}

function tell(task: Task, told: Told = {}): readonly Finding[] {
  const { tasks = [], nodes = [w1] } = told
  const service = 'service' in told ? told.service : web
  const view = aServiceView({ service, tasks: [...tasks, task], nodes, specs })
  const placement = { summary: 'no suitable node', refusals: [] }
  const hasPayload = () => true
  return explainTask({ task, view, nowMs, placement, hasPayload })
}

/** "CODE text" of each, causes behind it. */
function lines(findings: readonly Finding[]): string[] {
  return findings.map(({ code, text, causes = [] }) => [`${code} ${text}`, ...causes].join(' | '))
}

const failed = (id: string, facts: object = {}): Task =>
  aTask({ id, node: 'w1', state: TaskState.FAILED, appliedAtMs: nowMs - 5_000, ...facts })

t.test('a running task tells why it was made, with the tasks before it', async (t) => {
  const task = aTask({ id: 'b', node: 'w1', createdAtMs: 2, reason: 'failure' })
  const before = failed('a', { err: 'task: non-zero exit (7)', createdAtMs: 1 })
  const told = lines(tell({ ...task, appliedAtMs: nowMs - 3_600_000 }, { tasks: [before] }))
  t.same(told, [
    'STATE running on node alpha for 60 min',
    'MADE it was made because the task before it failed | a (failed on node alpha): task: non-zero exit (7)',
  ])
})

t.test('every reason has its words', async (t) => {
  const reasons = {
    '': /not noted/,
    new: /created or scaled up/,
    update: /was updated/,
    rollback: /went back/,
    failure: /before it failed/,
    ended: /before it ended/,
    'node-down': /was down/,
    'node-removed': /was removed/,
    drain: /was drained/,
    constraint: /no longer met a constraint/,
    resources: /no longer had what was reserved/,
    rebalance: /another node had fewer/,
  } as const
  for (const reason of ['', 'new', 'update', 'rollback', 'failure', 'ended'] as const) {
    t.match(lines(tell(aTask({ node: 'w1', reason }))).at(-1), reasons[reason])
  }
  for (const reason of ['node-down', 'node-removed', 'drain', 'constraint', 'resources'] as const) {
    t.match(lines(tell(aTask({ node: 'w1', reason }))).at(-1), reasons[reason])
  }
  t.match(lines(tell(aTask({ node: 'w1', reason: 'rebalance' }))).at(-1), reasons.rebalance)
})

t.test('what waits for a node says what the scheduler says, or what it needs before', async (t) => {
  t.match(lines(tell(aTask({}))), [
    /^STATE pending on no node/,
    'PENDING no suitable node',
    /^MADE/,
  ])
  const fresh = aTask({ state: TaskState.NEW })
  t.match(lines(tell(fresh))[1], 'ADDRESSES it waits for its addresses on networks')
  const err = 'no free address on network "back"'
  t.match(lines(tell({ ...fresh, err }))[1], `ADDRESSES ${err}`)
  const dropped = aTask({ desiredState: TaskState.REMOVE })
  t.notMatch(lines(tell(dropped)).join(), /PENDING/, 'who is to go waits for nothing')
})

t.test('a task that failed tells where, when, how, and how often before', async (t) => {
  const first = failed('a', { err: 'exit 7', createdAtMs: 1 })
  const second = { ...failed('b', { createdAtMs: 2 }), exitCode: 137 }
  const told = lines(tell(second, { tasks: [first] }))
  t.same(told.slice(1, 3), [
    'FAILED it failed on node alpha 5 s ago: exit code 137 | exit code 137 stands for SIGKILL: out of memory, killed by hand, or still there after its stop grace period',
    'RETRIES 2 of the last 2 tasks of this slot failed | exit 7',
  ])
  const registry =
    'No such image: reg/app:1 (registry reg answered 401 Unauthorized: authentication required)'
  const rejected = {
    ...failed('c'),
    state: TaskState.REJECTED,
    message: 'preparing',
    err: registry,
  }
  t.equal(
    lines(tell(rejected))[1],
    `FAILED it could not be started on node alpha 5 s ago, while preparing: ${registry}`,
  )
  const code = (exitCode: number): string => lines(tell({ ...failed('d'), exitCode })).join()
  t.match(code(127), /the command was not found/)
  t.match(code(126), /cannot be run/)
  t.match(code(139), /SIGSEGV/)
  t.match(lines(tell(failed('e'))).join(), /no reason was told/)
})

t.test('a slot that gets no further task says why, and what to do', async (t) => {
  const used = tell(failed('b', { specHash: 'once', createdAtMs: 2 }), {
    tasks: [failed('a', { specHash: 'once', createdAtMs: 1 })],
  })
  t.match(
    used.find(({ code }) => code === 'GIVEN_UP'),
    {
      text: /all 1 restarts of its restart policy are used up/,
      remedy: /service update --force/,
    },
  )
  t.match(lines(tell(failed('a', { specHash: 'never' }))).join(), /restart condition is none/)
})

t.test(
  'what a prepared task waits for: the delay, the task before it, its dependency',
  async (t) => {
    const ready = {
      desiredState: TaskState.READY,
      state: TaskState.READY,
      node: 'w1',
      createdAtMs: 2,
    }
    const delayed = aTask({ ...ready, id: 'b', startAtMs: nowMs + 30_000, reason: 'failure' })
    t.match(
      lines(tell(delayed, { tasks: [failed('a', { createdAtMs: 1 })] })).join('\n'),
      [/FAILED the task before it \(a\) failed on node alpha/][0],
    )
    t.match(lines(tell(delayed)).join(), /WAITS it is started in 30 s: the restart delay is 60 s/)
    const stopping = aTask({
      id: 'a',
      node: 'w1',
      createdAtMs: 1,
      desiredState: TaskState.SHUTDOWN,
      attachments: { net: ['10.0.0.2'] },
    })
    const behind = aTask({ ...ready, id: 'b', startAfter: 'a' })
    t.match(
      lines(tell(behind, { tasks: [stopping] })).join(),
      /task before it \(a, running on node alpha\) has stopped \| that one serves on until every node/,
    )
    const depends = { ...behind, waitsFor: 'service db to be healthy' }
    t.match(lines(tell(depends)).join(), /DEPENDENCY it waits for service db to be healthy/)
  },
)

t.test('how far the node is, and what its health check says', async (t) => {
  const at = (state: TaskState): string => lines(tell(aTask({ node: 'w1', state }))).join()
  t.match(at(TaskState.ASSIGNED), /has not taken it up/)
  t.match(at(TaskState.PREPARING), /gets the image/)
  t.match(at(TaskState.STARTING), /ports are not waited on yet/)
  const health = {
    state: 'unhealthy',
    failures: 3,
    failedAtMs: nowMs - 2_000,
    output: '500',
  } as const
  const sick = { ...aTask({ node: 'w1', state: TaskState.STARTING }), health }
  t.match(
    lines(tell(sick)).join(),
    /HEALTH its health check says unhealthy: 3 probes in a row failed, the last 2 s ago \| 500/,
  )
  const young = { ...health, state: 'starting', failures: 0, output: '' } as const
  t.match(lines(tell({ ...sick, health: young })).join(), /no probe has succeeded yet/)
})

t.test('a task of an earlier specification waits for its turn, or for somebody', async (t) => {
  const old = aTask({ node: 'w1', specVersion: 1 })
  const service = (state: 'updating' | 'paused'): Service =>
    aService({ specVersion: 2, updateStatus: { state, message: 'due to failure of x' } })
  t.match(
    lines(tell(old, { service: service('updating') })).join(),
    /waits for its turn .*1 at a time/,
  )
  const paused = tell(old, { service: service('paused') }).find(({ code }) => code === 'UPDATE')
  t.match(paused, { text: /stands still \(due to failure of x\)/, remedy: /service rollback/ })
})

t.test('a task that is to stop says why, and that it still serves', async (t) => {
  const stops = { node: 'w1', attachments: { net: ['10.0.0.2'] } }
  const shut = aTask({ ...stops, id: 'a', createdAtMs: 1, desiredState: TaskState.SHUTDOWN })
  const next = aTask({ id: 'b', createdAtMs: 2, startAfter: 'a', reason: 'update' })
  const told = lines(tell(shut, { tasks: [next] }))
  t.match(told.join('\n'), /STOPS it is to stop: the service was updated\nDRAINS it still serves/)
  t.match(lines(tell(shut)).join(), /another task takes its place/)
  t.match(lines(tell({ ...shut, err: 'no gpu' })).join(), /it is to stop: no gpu/)
  const gone = aTask({ ...stops, desiredState: TaskState.REMOVE })
  t.match(lines(tell(gone)).join(), /was scaled down/)
  t.match(lines(tell(gone, { service: undefined })).join(), /its service was removed/)
})

t.test('a node that is not there is said of its tasks', async (t) => {
  const task = aTask({ node: 'w1' })
  const on = (facts: NodeFacts): string =>
    lines(tell(task, { nodes: [aNode({ id: 'w1', ...facts })] })).join()
  t.match(on({ state: 'down' }), /NODE_LOST its node is down: the task may still run/)
  t.match(on({ state: 'unknown' }), /was not heard of since the leader changed/)
  t.notMatch(on({ availability: 'drain' }), /NODE_LOST/)
  t.match(lines(tell(task, { nodes: [] })).join(), /removed from the swarm/)
})

t.test('a service tells each trouble once, with the tasks that have it', async (t) => {
  const service = aService({
    replicas: 4,
    name: 'web',
    updateStatus: { state: 'paused', message: 'stopped', startedAtMs: nowMs - 7_200_000 },
    rebalance: { startedAtMs: nowMs - 1_000, moved: 2 },
  })
  const tasks = [
    aTask({ id: 'a', slot: 1, node: 'w1' }),
    aTask({ id: 'b', slot: 2 }),
    aTask({ id: 'c', slot: 3 }),
    failed('d', { slot: 4, err: 'exit 1', specHash: 'never' }),
  ]
  const findings = explainService({
    service,
    view: aServiceView({ service, tasks, nodes: [w1], specs }),
    nowMs,
    wanted: 4,
    placementOf: () => ({ summary: 'no suitable node (x)', refusals: [] }),
    hasPayload: () => true,
    wallMs: nowMs,
  })
  const told = findings.map(({ code, text, tasks: of }) => `${code} ${of.join('+')} ${text}`)
  t.match(told, [
    'STATE  1 of 4 tasks of web are running',
    /^UPDATE {2}its update began 2 h ago and is paused: stopped$/,
    /^REBALANCE {2}its tasks are being spread anew since 1 s, 2 were moved$/,
    'PENDING web.2+web.3 no suitable node (x)',
    /^FAILED web.4 /,
    /^GIVEN_UP web.4 /,
  ])
})

t.test('a node tells its state, what is left of it, and what failed there', async (t) => {
  const about = (facts: NodeFacts, tasks: readonly Task[] = []): string[] => {
    const node = aNode({ id: 'w1', hostname: 'alpha', stateAtMs: nowMs - 10_000, ...facts })
    const records = [...specs, aSpecRecord('big', { reservations: { nanoCpus: 1.5e9 } })]
    const index = ClusterIndex.from({
      nodes: [node],
      tasks,
      taskSpecs: records,
      strategy: 'spread',
    })
    return lines(explainNode({ node, tasks, entry: index.entryOf(node.id), nowMs }))
  }
  const tasks = [
    aTask({ id: 'a', node: 'w1', specHash: 'big', generic: ['gpu=g1'] }),
    aTask({ id: 'b', node: 'w1', slot: 2, desiredState: TaskState.SHUTDOWN }),
    failed('c', { slot: 3, err: 'exit 1' }),
  ]
  t.same(about({ generic: ['gpu=g1', 'gpu=g2'] }, tasks), [
    'STATE the node is ready since 10 s',
    'RESOURCES reserved: 1.5 of 4 CPUs, 0 MiB of 8192 MiB memory, 1 of 2 gpu',
    'TASKS its tasks: 1 running',
    'STOPS 1 more are to stop and are still there',
    'FAILED 1 of the tasks it is remembered for failed here | c: exit 1',
  ])
  t.match(about({ state: 'down' })[0], /is down since 10 s \| .*given up for good in 24 h/)
  t.match(about({ state: 'unknown' })[0], /takes no new tasks until/)
  t.match(about({ availability: 'drain' })[1], /those it had move elsewhere/)
  t.match(about({ availability: 'pause' })[1], /keeps its tasks and takes no new ones/)
})
