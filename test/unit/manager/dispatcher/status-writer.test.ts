// Statuses may arrive before the leader itself has applied what they are about.
import t from 'tap'
import { isKnown, StatusWriter, withStatus } from '../../../../manager/dispatcher/status-writer.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId, TaskState, type TaskStatus, taskId } from '../../../../proto/objects/index.ts'
import { aTask } from '../../../support/objects.ts'
import { Replicas } from '../../../support/replicated-stores.ts'

const S = TaskState
const w1 = nodeId('w1')

function aStatus(id: string, state: TaskState): TaskStatus {
  return {
    taskId: taskId(id),
    state,
    atMs: 5,
    message: 'started',
    err: '',
    containerId: id,
    pid: 9,
    exitCode: undefined,
    hostPorts: [],
    connections: [],
    health: undefined,
  }
}

async function aLeader(): Promise<{ replicas: Replicas; writer: StatusWriter }> {
  const replicas = new Replicas()
  const { leader: store, clock } = replicas
  const adding = store.update((tx) => tx.create('tasks', aTask({ id: 'a', state: S.PENDING })))
  await replicas.commitAll()
  await adding
  const { signal } = new AbortController()
  return { replicas, writer: new StatusWriter({ store, clock, random: seededRandom(1), signal }) }
}

t.test('a status of a task whose assignment the leader has not applied is not lost', async (t) => {
  const { replicas, writer } = await aLeader()
  const { leader } = replicas
  const state = () => leader.view((tx) => tx.get('tasks', 'a'))?.state
  // Proposed, and committed by the others: their agents may act on it already.
  const assigning = leader.update((tx) => {
    const task = tx.get('tasks', 'a')
    if (task !== undefined) tx.update('tasks', { ...task, nodeId: w1, state: S.ASSIGNED })
  })
  await Promise.resolve()
  let isWritten = false
  const writing = writer.write(w1, [aStatus('a', S.RUNNING)]).then(() => {
    isWritten = true
  })
  for (let i = 0; i < 10; i++) await Promise.resolve()
  t.equal(state(), S.PENDING)
  t.notOk(isWritten, 'nothing is acknowledged before it is there')
  await replicas.commitAll()
  await Promise.all([assigning, writing])
  t.equal(state(), S.RUNNING)
})

t.test('a task that is being made on the leader is not lost either', async (t) => {
  const { replicas, writer } = await aLeader()
  const { leader } = replicas
  const making = leader.update((tx) =>
    tx.create('tasks', aTask({ id: 'b', node: 'w1', state: S.ASSIGNED })),
  )
  await Promise.resolve()
  const writing = writer.write(w1, [aStatus('b', S.RUNNING)])
  await replicas.commitAll()
  await Promise.all([making, writing])
  t.equal(leader.view((tx) => tx.get('tasks', 'b'))?.state, S.RUNNING)
})

t.test('what is known costs no entry; of tasks on other nodes a manager cannot tell', async (t) => {
  const { replicas, writer } = await aLeader()
  const { leader, log } = replicas
  const known = (id: string, state: TaskState, on = w1): boolean =>
    leader.view((tx) => isKnown(tx, { nodeId: on, status: aStatus(id, state) }))
  t.notOk(known('a', S.RUNNING), 'not assigned here yet')
  t.notOk(known('gone', S.RUNNING), 'not here')
  const assigning = leader.update((tx) => {
    const task = tx.get('tasks', 'a')
    if (task !== undefined) tx.update('tasks', { ...task, nodeId: w1, state: S.ASSIGNED })
  })
  await replicas.commitAll()
  await assigning
  t.notOk(known('a', S.RUNNING))
  const writing = writer.write(w1, [aStatus('a', S.RUNNING)])
  await replicas.commitAll()
  await writing
  t.ok(known('a', S.RUNNING))
  t.ok(known('a', S.STARTING), 'an older one')
  t.notOk(known('a', S.RUNNING, nodeId('w2')), 'of another node')

  const entries = log.length
  for (const [on, id] of [
    [w1, 'a'],
    [w1, 'gone'],
    [nodeId('w2'), 'a'],
  ] as const) {
    const repeated = writer.write(on, [aStatus(id, S.RUNNING)])
    await replicas.commitAll()
    await repeated
  }
  t.equal(log.length, entries)
  t.equal(leader.view((tx) => tx.get('tasks', 'a'))?.nodeId, 'w1')
})

t.test('what is said of a task’s health is kept, and said again changes nothing', async (t) => {
  const running = aTask({ id: 'a', node: 'w1', state: S.RUNNING })
  const health = { state: 'unhealthy' as const, failures: 3, failedAtMs: 1, output: 'no' }
  const status = { ...aStatus('a', S.RUNNING), health }
  const next = withStatus(running, { nodeId: w1, status }, 7)
  t.match(next, { state: S.RUNNING, health, appliedAtMs: 7 })
  if (next === undefined) return
  const again = { ...status, health: { ...health } }
  t.equal(withStatus(next, { nodeId: w1, status: again }, 8), undefined)
  for (const state of ['starting', 'healthy'] as const) {
    const overtaken = { ...status, health: { ...health, state, failures: 0 } }
    t.equal(withStatus(next, { nodeId: w1, status: overtaken }, 9), undefined, state)
  }
  t.equal(withStatus(next, { nodeId: w1, status: { ...status, health: undefined } }, 9), undefined)
})
