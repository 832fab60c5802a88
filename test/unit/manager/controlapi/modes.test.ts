// Services of other modes than replicated through the control API.
import t from 'tap'
import { findTask } from '../../../../manager/controlapi/lookup.ts'
import { modesLevel, type Service, TaskState } from '../../../../proto/objects/index.ts'
import {
  aControlWorld,
  addNode,
  addTask,
  aRequestId,
  type ControlWorld,
  createService,
  type ServiceWish,
  specOf,
} from '../../../support/control.ts'
import { aTask } from '../../../support/objects.ts'

const job = { kind: 'replicated-job', completions: 3, maxConcurrent: 2 } as const

function stored(w: ControlWorld, id: string): Service {
  const service = w.store.view((tx) => tx.get('services', id))
  if (service === undefined) throw new Error('it is gone')
  return service
}

async function update(w: ControlWorld, id: string, wish: ServiceWish | 'rollback'): Promise<void> {
  const rollback = wish === 'rollback'
  const spec = rollback ? undefined : specOf(wish)
  const { version } = stored(w, id)
  const request = { requestId: aRequestId(), serviceId: id, version, spec, rollback }
  await w.api.updateService(w.caller, request, w.signal)
}

async function counts(w: ControlWorld, id: string) {
  const { service } = await w.api.getService(w.caller, { reference: id }, w.signal)
  const { runningTasks = 0, desiredTasks = 0, completedTasks = 0 } = service ?? {}
  return [runningTasks, desiredTasks, completedTasks]
}

t.test('what does not go with a mode is refused (swarm-semantics 2)', async (t) => {
  const w = await aControlWorld()
  const refused = async (wish: Partial<ServiceWish>, message: RegExp): Promise<void> => {
    await t.rejects(createService(w, { name: 'x', ...wish }), { code: 'INVALID_ARGUMENT', message })
  }
  await refused({ mode: job, update: { parallelism: 2 } }, /update is not for jobs/)
  await refused({ mode: job, rollback: { delayMs: 1 } }, /rollback is not for jobs/)
  const task = { placement: { maxReplicasPerNode: 2 } }
  await refused({ mode: { kind: 'global' }, task }, /maxReplicasPerNode is not for mode global/)
})

t.test('the mode of a service never changes', async (t) => {
  const w = await aControlWorld()
  const { id } = await createService(w, { name: 'web' })
  await t.rejects(update(w, id, { name: 'web', mode: { kind: 'global' } }), {
    code: 'INVALID_ARGUMENT',
    message: /field mode cannot change from replicated to global/,
  })
})

t.test('no such service is made before all managers know of modes', async (t) => {
  const w = await aControlWorld()
  const cluster = w.store.view((tx) => [...tx.all('cluster')][0])
  // Its level cannot be lowered, so it is made anew.
  await w.store.update((tx) => {
    if (cluster === undefined) return
    tx.remove('cluster', cluster.id)
    tx.create('cluster', { ...cluster, featureLevel: modesLevel - 1 })
  })
  await t.rejects(createService(w, { name: 'all', mode: { kind: 'global' } }), {
    code: 'FAILED_PRECONDITION',
    message: /of mode global cannot be made: the cluster is at feature level/,
  })
  await createService(w, { name: 'web' })
})

t.test('every update runs a job again, going back too (1.1 jobs)', async (t) => {
  const w = await aControlWorld()
  const { id } = await createService(w, { name: 'batch', mode: job })
  const iteration = () => stored(w, id).jobStatus?.iteration
  t.equal(iteration(), 0)
  await update(w, id, { name: 'batch', mode: job, labels: { x: 'y' } })
  t.equal(iteration(), 1)
  await update(w, id, 'rollback')
  t.equal(iteration(), 2)
  t.equal(stored(w, id).updateStatus, undefined)
  t.equal(stored(w, (await createService(w, { name: 'web' })).id).jobStatus, undefined)
})

t.test('the tasks of a job are counted by its present run (7.7 ServiceStatus)', async (t) => {
  const w = await aControlWorld()
  const { id, specHash } = await createService(w, { name: 'batch', mode: job })
  const own = {
    service: id,
    specHash,
    node: 'n',
    desiredState: TaskState.COMPLETE,
    jobIteration: 0,
  }
  await addTask(w, aTask({ ...own, id: 'a', slot: 0, state: TaskState.COMPLETE }))
  await addTask(w, aTask({ ...own, id: 'b', slot: 1 }))
  await addTask(w, aTask({ ...own, id: 'c', slot: 1, jobIteration: 9, state: TaskState.COMPLETE }))
  t.same(await counts(w, id), [1, 2, 1])
})

t.test('one task on each node, as many as there are nodes', async (t) => {
  const w = await aControlWorld()
  const names = ['w1', 'w2', 'w3']
  for (const hostname of names) await addNode(w, { id: hostname.padEnd(25, '0'), hostname })
  const [first = ''] = w.store.view((tx) =>
    [...tx.find('nodes', 'byName', 'w1')].map(({ id }) => id),
  )
  const all = w.store.view((tx) => [...tx.all('nodes')].length)
  const { id, specHash } = await createService(w, { name: 'my.agent', mode: { kind: 'global' } })
  await addTask(w, aTask({ id: 'on1', service: id, specHash, forNode: first, node: first }))
  t.same(await counts(w, id), [1, all, 0])
  const found = (name: string) => w.store.view((tx) => findTask(tx, name).id)
  t.equal(found(`my.agent.${first}`), 'on1')
  t.equal(found(`my.agent.${first}.on1`), 'on1')
  const globalJob = await createService(w, { name: 'once', mode: { kind: 'global-job' } })
  const done = { service: globalJob.id, specHash: globalJob.specHash, jobIteration: 0 }
  const ended = { state: TaskState.COMPLETE, desiredState: TaskState.COMPLETE }
  await addTask(w, aTask({ id: 'j1', ...done, ...ended, forNode: first, node: first }))
  t.same(await counts(w, globalJob.id), [0, all - 1, 1])
})

t.test('a cron service: nothing before its creation or a new schedule is due', async (t) => {
  const w = await aControlWorld()
  const mode = { kind: 'cron', schedule: '@hourly' } as const
  const before = Date.now()
  const { id } = await createService(w, { name: 'tick', mode })
  const first = stored(w, id)
  t.match(first, { jobStatus: { iteration: 0 }, cronStatus: { forced: 0, runs: [] } })
  const decidedMs = first.cronStatus?.decidedMs ?? 0
  t.ok(decidedMs >= Math.floor(before) && decidedMs <= Date.now())
  const old = { ...first, cronStatus: { decidedMs: 5, forced: 0, runs: [] } }
  await w.store.update((tx) => tx.update('services', old))
  await update(w, id, { name: 'tick', mode, labels: { x: 'y' } })
  t.match(stored(w, id), { jobStatus: { iteration: 0 }, cronStatus: { decidedMs: 5 } })
  await update(w, id, { name: 'tick', mode: { ...mode, timeZone: 'Asia/Kolkata' } })
  t.ok((stored(w, id).cronStatus?.decidedMs ?? 0) >= Math.floor(before))
  const { service } = await w.api.getService(w.caller, { reference: id }, w.signal)
  t.ok((service?.nextRunMs ?? 0) > Date.now())
  const task = { restart: { maxAttempts: 3 } }
  await t.rejects(
    createService(w, { name: 'y', mode, task }),
    /task.restart.maxAttempts is not for cron/,
  )
})

t.test('who waits for an update does not wait for paused nodes (1.1 global)', async (t) => {
  const w = await aControlWorld()
  for (const hostname of ['w1', 'w2']) await addNode(w, { id: hostname.padEnd(25, '0'), hostname })
  const ids = w.store.view((tx) => [...tx.all('nodes')].map(({ id }) => id))
  const { id, specHash } = await createService(w, { name: 'agent', mode: { kind: 'global' } })
  for (const node of ids) {
    await addTask(w, aTask({ id: `on-${node}`, service: id, specHash, forNode: node, node }))
  }
  const progress = async () => {
    for await (const one of w.api.watchService(w.caller, { serviceId: id }, w.signal)) {
      return [one.currentRunningTasks, one.service?.desiredTasks]
    }
    return []
  }
  t.same(await progress(), [ids.length, ids.length])
  const constraints = ['node.hostname!=elsewhere']
  const mode = { kind: 'global' } as const
  await update(w, id, { name: 'agent', mode, task: { placement: { constraints } } })
  t.same(await progress(), [ids.length, ids.length], 'what fits where it is stays')
  await update(w, id, { name: 'agent', mode, container: { image: 'new' } })
  t.same(await progress(), [0, ids.length])
  await w.store.update((tx) => {
    for (const node of tx.find('nodes', 'byName', 'w2')) {
      tx.update('nodes', { ...node, spec: { ...node.spec, availability: 'pause' } })
    }
  })
  t.same(await progress(), [0, ids.length - 1])
  t.same((await counts(w, id))[1], ids.length, 'but it has its task')
})
