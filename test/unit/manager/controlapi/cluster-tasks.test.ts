// Cluster, join tokens, tasks, explanations and the watch of a service through the control API.
import t from 'tap'
import type { Filter, WatchServiceResponse } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { NodeRole } from '../../../../proto/gen/tsswarm/v1/objects.ts'
import { TaskState } from '../../../../proto/objects/index.ts'
import {
  aControlWorld,
  addNode,
  addTask,
  aRequestId,
  type ControlWorld,
  collect,
  createService,
} from '../../../support/control.ts'
import { aTask, type TaskFacts } from '../../../support/objects.ts'

const id = (text: string): string => text.padEnd(25, '0')

t.test('the cluster is shown without its secrets', async (t) => {
  const w = await aControlWorld()
  const answer = await w.api.getCluster(w.caller, {}, w.signal)
  t.match(answer.cluster, {
    id: 'cluster-1',
    rootCaCertPem: 'root',
    rootCaKeyPem: '',
    workerJoinToken: '',
    managerJoinToken: '',
  })
  t.equal(answer.nodeId, answer.leaderNodeId)
  w.leader = undefined
  t.equal((await w.api.getCluster(w.caller, {}, w.signal)).leaderNodeId, '')
})

t.test('settings are updated under a version', async (t) => {
  const w = await aControlWorld()
  const { cluster } = await w.api.getCluster(w.caller, {}, w.signal)
  if (cluster?.spec === undefined) throw new Error('no spec')
  const spec = { ...cluster.spec, taskHistoryLimit: 9, scheduling: 'binpack' }
  const request = { requestId: aRequestId(), version: cluster.meta?.version ?? 0, spec }
  const updated = await w.api.updateCluster(w.caller, request, w.signal)
  t.match(updated.cluster, {
    spec: { taskHistoryLimit: 9, scheduling: 'binpack' },
    rootCaKeyPem: '',
  })
  const again = { ...request, requestId: aRequestId() }
  await t.rejects(w.api.updateCluster(w.caller, again, w.signal), { code: 'OUT_OF_SEQUENCE' })
  const bad = {
    requestId: '',
    version: updated.cluster?.meta?.version ?? 0,
    spec: { ...spec, heartbeatMs: 1 },
  }
  await t.rejects(w.api.updateCluster(w.caller, bad, w.signal), {
    code: 'INVALID_ARGUMENT',
    message: /cluster "default" is not valid: heartbeatMs \(1ms\) must be at least 100 ms/,
  })
  const key = w.store.view((tx) => [...tx.all('cluster')][0]?.rootCaKeyPem)
  t.equal(key, 'secret key', 'an update leaves the secrets alone')
})

t.test('join tokens are shown and rotated one at a time, once a request', async (t) => {
  const w = await aControlWorld()
  const before = await w.api.getJoinTokens(w.caller, {}, w.signal)
  t.strictSame(before, {
    worker: 'worker token',
    manager: 'manager token',
    address: '10.0.0.1:2377',
  })
  const request = { requestId: aRequestId(), role: NodeRole.MANAGER }
  const after = await w.api.rotateJoinToken(w.caller, request, w.signal)
  t.match(after.manager, /^SWMTKN-1-root-/)
  t.equal(after.worker, before.worker)
  t.strictSame(await w.api.rotateJoinToken(w.caller, request, w.signal), after)
  const worker = await w.api.rotateJoinToken(
    w.caller,
    { requestId: aRequestId(), role: NodeRole.WORKER },
    w.signal,
  )
  t.equal(worker.manager, after.manager)
  t.not(worker.worker, before.worker)
  await t.rejects(
    w.api.rotateJoinToken(w.caller, { requestId: '', role: 7 as NodeRole }, w.signal),
    { code: 'INVALID_ARGUMENT' },
  )
})

async function aWorldWithTasks() {
  const w = await aControlWorld()
  await addNode(w, { id: id('w1'), hostname: 'alpha' })
  const service = await createService(w, { name: 'web', container: { labels: { color: 'red' } } })
  const other = await createService(w, { name: 'db' })
  const add = (facts: TaskFacts) =>
    addTask(w, aTask({ service: service.id, specHash: service.specHash, ...facts }))
  await add({ id: id('t1'), slot: 1, node: id('w1') })
  await add({
    id: id('t2'),
    slot: 1,
    node: id('w1'),
    desiredState: TaskState.SHUTDOWN,
    state: TaskState.FAILED,
    specHash: 'old',
  })
  await add({ id: id('u3'), slot: 2 })
  await add({ id: id('d1'), service: other.id, specHash: other.specHash, node: id('m') })
  return { w, service, other }
}

t.test('tasks are listed with names and specs, and filtered', async (t) => {
  const { w, service } = await aWorldWithTasks()
  const list = async (...filters: readonly Filter[]) =>
    (await collect(w.api.listTasks(w.caller, { filters }, w.signal))).flatMap(({ tasks }) => tasks)
  const ids = async (key: string, ...values: readonly string[]) =>
    (await list({ key, values })).map((view) => view.task?.id.replace(/0+$/, ''))
  const [first] = await list()
  t.match(first, {
    serviceName: 'web',
    nodeHostname: 'alpha',
  })
  const [message] = await collect(w.api.listTasks(w.caller, { filters: [] }, w.signal))
  t.match(
    message?.specs.map(({ spec }) => spec?.container?.image),
    ['nginx'],
  )
  t.strictSame(await ids('service', 'web'), ['t1', 't2', 'u3'])
  t.strictSame(await ids('service', service.id, 'db'), ['t1', 't2', 'u3', 'd1'])
  t.strictSame(await ids('service', 'nope'), [])
  t.strictSame(await ids('node', 'alpha'), ['t1', 't2'])
  t.strictSame(await ids('node', id('w1')), ['t1', 't2'])
  t.strictSame(await ids('id', 't'), ['t1', 't2'])
  t.strictSame(await ids('name', 'web.1'), ['t1', 't2'])
  t.strictSame(await ids('name', `web.1.${id('t2')}`), ['t2'])
  t.strictSame(await ids('label', 'color=red'), ['t1', 'u3'])
  t.strictSame(await ids('desired-state', 'shutdown'), ['t2'])
  t.strictSame(await ids('up-to-date', 'true'), ['t1', 'u3', 'd1'])
  t.strictSame(
    (await list({ key: 'service', values: ['web'] }, { key: 'desired-state', values: ['running'] }))
      .length,
    2,
  )
  await t.rejects(ids('foo', 'x'), {
    message: /tasks are filtered by id, name, label, service, node/,
  })
  await t.rejects(ids('desired-state', 'happy'), { code: 'INVALID_ARGUMENT' })
})

t.test('a task is found by id, name, name with id, or prefix', async (t) => {
  const { w } = await aWorldWithTasks()
  const find = async (reference: string) =>
    (await w.api.getTask(w.caller, { reference }, w.signal)).task?.task?.id.replace(/0+$/, '')
  t.equal(await find(id('u3')), 'u3')
  t.equal(await find('u'), 'u3')
  t.equal(await find('web.1'), 't1', 'the live one')
  t.equal(await find('WEB.1'), 't1')
  t.equal(await find(`web.1.${id('t2')}`), 't2')
  t.equal(await find('web.1.t2'), 't2')
  await t.rejects(find('web.9'), { code: 'NOT_FOUND', message: /"tsswarm service ps" lists/ })
  await t.rejects(find('t'), { code: 'AMBIGUOUS' })
  await t.rejects(find(''), { code: 'INVALID_ARGUMENT' })
})

t.test('unplaced tasks are explained node by node', async (t) => {
  const w = await aControlWorld()
  await addNode(w, { id: id('w1'), hostname: 'small', memoryBytes: 2 ** 23 })
  await addNode(w, { id: id('w2'), hostname: 'away', state: 'down' })
  const service = await createService(w, {
    name: 'big',
    task: { reservations: { memoryBytes: 2 ** 40 } },
  })
  const task = { service: service.id, specHash: service.specHash }
  await addTask(w, aTask({ ...task, id: id('b'), slot: 2 }))
  await addTask(w, aTask({ ...task, id: id('a'), slot: 1 }))
  await addTask(w, aTask({ ...task, id: id('c'), slot: 3, node: id('w1') }))
  const { tasks } = await w.api.explainService(w.caller, { reference: 'big' }, w.signal)
  t.strictSame(
    tasks.map((one) => one.taskName),
    ['big.1', 'big.2'],
  )
  t.match(tasks[0]?.summary, /^no suitable node \(/)
  t.strictSame(
    tasks[0]?.refusals.map((refusal) => [refusal.hostname, refusal.filter]),
    [
      ['away', 'ready'],
      ['m1', 'resources'],
      ['small', 'resources'],
    ],
  )
  const added = { ...task, state: TaskState.NEW }
  await addTask(
    w,
    aTask({ ...added, id: id('d'), slot: 4, err: 'no free address on network "back"' }),
  )
  await addTask(w, aTask({ ...added, id: id('e'), slot: 5 }))
  const more = await w.api.explainService(w.caller, { reference: 'big' }, w.signal)
  t.match(more.tasks.slice(2), [
    { taskName: 'big.4', summary: 'no free address on network "back"', refusals: [] },
    { taskName: 'big.5', summary: /waits for its addresses/, refusals: [] },
  ])
  const placed = await createService(w, { name: 'placed' })
  t.strictSame(await w.api.explainService(w.caller, { reference: placed.id }, w.signal), {
    tasks: [],
  })
})

async function next(updates: AsyncIterator<WatchServiceResponse>): Promise<WatchServiceResponse> {
  const { value, done } = await updates.next()
  if (done) throw new Error('the watch ended')
  return value
}

function watch(w: ControlWorld, serviceId: string, signal: AbortSignal) {
  return w.api.watchService(w.caller, { serviceId }, signal)[Symbol.asyncIterator]()
}

t.test('a watch tells the state now, after each change, and of the end', async (t) => {
  const { w, service } = await aWorldWithTasks()
  const updates = watch(w, 'web', w.signal)
  t.match(await next(updates), {
    removed: false,
    service: { runningTasks: 1 },
    tasks: { length: 3 },
  })
  const changed = next(updates)
  await addTask(
    w,
    aTask({
      id: id('u4'),
      service: service.id,
      specHash: service.specHash,
      slot: 3,
      node: id('w1'),
    }),
  )
  t.match(await changed, { service: { runningTasks: 2 }, tasks: { length: 4 } })
  // A change between two answers is not missed.
  await w.store.update((tx) => tx.remove('tasks', id('u4')))
  t.match(await next(updates), { tasks: { length: 3 } })
  await w.api.removeService(w.caller, { requestId: aRequestId(), reference: 'web' }, w.signal)
  t.match(await next(updates), { removed: true, service: undefined })
  t.equal((await updates.next()).done, true)
})

t.test('a watch tells which slots get no task any more', async (t) => {
  const w = await aControlWorld()
  const service = await createService(w, {
    name: 'once',
    task: { restart: { condition: 'none' } },
  })
  const ended = {
    service: service.id,
    specHash: service.specHash,
    desiredState: TaskState.SHUTDOWN,
    state: TaskState.REJECTED,
  }
  await addTask(w, aTask({ ...ended, id: id('g1'), slot: 1 }))
  await addTask(w, aTask({ ...ended, id: id('g2'), slot: 2, desiredState: TaskState.REMOVE }))
  await addTask(w, aTask({ ...ended, id: id('g3'), slot: 3, specHash: 'old' }))
  const alive = { state: TaskState.RUNNING, desiredState: TaskState.RUNNING }
  await addTask(w, aTask({ ...ended, ...alive, id: id('g4'), slot: 4 }))
  t.strictSame((await next(watch(w, 'once', w.signal))).givenUpSlots, [1])
})

t.test('a watch of very many tasks gets the sum and some that do not run', async (t) => {
  const w = await aControlWorld()
  const service = await createService(w, {
    name: 'many',
    mode: { kind: 'replicated', replicas: 1_100 },
  })
  const task = { service: service.id, specHash: service.specHash }
  for (let batch = 0; batch < 1_100; batch += 100) {
    await w.store.update((tx) => {
      for (let slot = batch + 1; slot <= batch + 100; slot += 1) {
        const placed = slot <= 1_000 ? { node: 'n' } : {}
        tx.create('tasks', aTask({ ...task, ...placed, id: id(`t${slot}x`), slot }))
      }
    })
  }
  const { tasks, currentRunningTasks } = await next(watch(w, 'many', w.signal))
  t.equal(currentRunningTasks, 1_000)
  t.equal(tasks.length, 50)
  t.ok(tasks.every((view) => view.task?.state === TaskState.PENDING))
  const blamed = id('t7x')
  await w.store.update((tx) => {
    const now = tx.get('services', service.id)
    const message = `update paused due to failure or early termination of task ${blamed}`
    const status = { state: 'paused' as const, startedAtMs: 1, completedAtMs: 0, message, slots: 1 }
    if (now !== undefined) tx.update('services', { ...now, updateStatus: status })
  })
  const paused = await next(watch(w, 'many', w.signal))
  t.ok(
    paused.tasks.some(({ task }) => task?.id === blamed),
    'the one that its update blames',
  )
})

t.test('a watch ends when its caller leaves, and refuses what is not there', async (t) => {
  const { w } = await aWorldWithTasks()
  const controller = new AbortController()
  const updates = watch(w, 'web', controller.signal)
  await next(updates)
  const end = updates.next()
  controller.abort()
  t.equal((await end).done, true)
  await t.rejects(watch(w, 'nope', w.signal).next(), { code: 'NOT_FOUND' })
})

t.test('a task, a service and a node are explained by any manager', async (t) => {
  const { w } = await aWorldWithTasks()
  const about = (kind: string, reference: string) =>
    w.api.explain(w.caller, { kind, reference }, w.signal)
  const task = await about('task', 'web.2')
  t.equal(task.name, 'web.2')
  t.match(task.findings, [{ code: 'STATE' }, { code: 'PENDING' }, { code: 'MADE' }])
  const service = await about('service', 'web')
  t.match(service.findings[0], { code: 'STATE', text: /tasks of web are running/, tasks: [] })
  t.match(
    service.findings.find(({ code }) => code === 'PENDING'),
    { tasks: ['web.2'] },
  )
  const node = await about('node', 'self')
  t.match(node, { name: 'm1', findings: [{ code: 'STATE', text: /ready/ }] })
  await t.rejects(about('volume', 'x'), {
    code: 'INVALID_ARGUMENT',
    message: /a task, a service or a node/,
  })
  await t.rejects(about('task', 'web.77'), { code: 'NOT_FOUND' })
})
