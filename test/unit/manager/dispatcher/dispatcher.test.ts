import t, { type Test } from 'tap'
import { WatchLagged } from '../../../../manager/store/store.ts'
import { nodeDescriptionToProto } from '../../../../proto/codec/node.ts'
import { hasCode } from '../../../../proto/errors.ts'
import type {
  AgentMessage,
  SessionOpen,
  TaskStatus,
} from '../../../../proto/gen/tsswarm/v1/dispatcher.ts'
import {
  networkId,
  nodeId,
  optionsLevel,
  runtimesLevel,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { type FakeAgent, MiniCluster, opening } from '../../../support/mini-cluster.ts'
import { aNode, aSpecRecord, aTask } from '../../../support/objects.ts'

const S = TaskState

async function aMiniCluster(t: Test, ...managers: readonly string[]): Promise<MiniCluster> {
  const cluster = new MiniCluster()
  await cluster.start('m1', 'm2', 'm3', 'w1', 'w2')
  for (const name of managers) cluster.addManager(name)
  await cluster.lead(managers[0])
  t.teardown(() => cluster.stop())
  await cluster.clock.advance(300)
  return cluster
}

function aStatus(taskId: string, state: TaskState, more: Partial<TaskStatus> = {}): TaskStatus {
  const rest = {
    atMs: 5,
    message: 'm',
    err: '',
    containerId: taskId,
    pid: 9,
    hostPorts: [],
    connections: [],
    health: undefined,
  }
  return { taskId, state, ...rest, ...more }
}

function report(agent: FakeAgent, sequence: number, ...statuses: readonly TaskStatus[]): void {
  agent.send({ kind: { $case: 'statuses', value: { sequence, statuses } } })
}

t.test('a session starts with its configuration, then everything assigned', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  await cluster.addTask({ id: 'b', node: 'w1', state: S.ASSIGNED })
  await cluster.addTask({ id: 'other', node: 'w2', state: S.ASSIGNED })
  await cluster.addTask({ id: 'pending' })
  await cluster.addTask({ id: 'orphan', node: 'w1', state: S.ORPHANED })
  let pass = (): void => {}
  cluster.readBarrier = () =>
    new Promise((resolve) => {
      pass = resolve
    })
  const agent = cluster.open('w1', 'm1')
  await cluster.clock.advance(100)
  t.match(agent.all('started'), [{ managerNodeId: 'm1', config: { heartbeatMs: 500 } }])
  t.equal(agent.all('set').length, 0, 'nothing before this manager is known to be up to date')
  pass()
  await cluster.clock.advance(10)
  const [set] = agent.all('set')
  t.same(
    set?.tasks.map((task) => task.id),
    ['a', 'b'],
  )
  t.equal(set?.specs.length, 1, 'each spec once')
  t.match(set?.stamp, { epoch: 1, index: cluster.store.appliedIndex })
})

t.test('the node is ready as soon as it has a session, with what it says of itself', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2')
  cluster.open('w1', 'm2')
  await cluster.clock.advance(60)
  t.match(cluster.node('w1'), {
    state: 'ready',
    sessionManagerId: 'm2',
    description: { hostname: 'host-w1' },
    address: '10.0.0.2',
  })
})

t.test('increments follow, each spec with the first task that needs it', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  const agent = cluster.open('w1', 'm1')
  agent.keepBeating()
  await cluster.clock.advance(1_000)
  const [set] = agent.all('set')
  await cluster.store.update((tx) => tx.create('taskSpecs', aSpecRecord('spec-2', {})))
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED, specHash: 'spec-2' })
  await cluster.addTask({ id: 'b', node: 'w2', state: S.ASSIGNED })
  await cluster.clock.advance(1)
  const [first] = agent.all('changes')
  t.match(first, { previous: set?.stamp, update: [{ id: 'a', desiredState: S.RUNNING }] })
  t.equal(first?.specs.length, 1)
  await cluster.changeTask('a', { desiredState: S.SHUTDOWN })
  await cluster.clock.advance(30)
  const [, second] = agent.all('changes')
  t.match(second, { previous: first?.stamp, update: [{ id: 'a', desiredState: S.SHUTDOWN }] })
  t.equal(second?.specs.length, 0, 'the agent has it')
  await cluster.store.update((tx) => tx.remove('tasks', 'a'))
  await cluster.clock.advance(30)
  t.same(agent.all('changes')[2]?.remove, ['a'])
  t.equal(agent.all('changes').length, 3, 'nothing of what concerns other nodes')
})

t.test('a node is told to stop a task only when the task is drained', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  const attachments = { red: ['10.0.1.5'] }
  await cluster.addTask({ id: 'a', node: 'w1', state: S.RUNNING, attachments })
  const agent = cluster.open('w1', 'm1')
  agent.keepBeating()
  await cluster.clock.advance(1_000)
  t.match(agent.all('set')[0]?.tasks, [{ attachments: [{ addresses: ['10.0.1.5'] }] }])
  await cluster.changeTask('a', { desiredState: S.SHUTDOWN })
  await cluster.clock.advance(100)
  const told = () => agent.all('changes').at(-1)?.update[0]?.desiredState
  t.equal(told(), S.RUNNING)
  await cluster.changeTask('a', { isDrained: true })
  await cluster.clock.advance(100)
  t.equal(told(), S.SHUTDOWN)
})

t.test('what a node followed of the overlay reaches the leader, and the next one', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2')
  const [red, w1] = [networkId('red'), nodeId('w1')]
  const begin = (): void => {
    cluster.acks.beginTerm()
    cluster.acks.setEpoch(1)
    cluster.acks.setUp(w1, true)
    cluster.acks.count(red, w1, 1)
  }
  begin()
  const agent = cluster.open('w1', 'm2')
  agent.keepBeating()
  await cluster.clock.advance(100)
  t.equal(cluster.acks.reachedIndex(red), 0)
  const value = { epoch: 1, networks: [{ networkId: 'red', raftIndex: 42 }] }
  agent.send({ kind: { $case: 'overlay', value } })
  await cluster.clock.advance(50)
  t.equal(cluster.acks.reachedIndex(red), 42, 'soon')
  begin()
  await cluster.lead('m2')
  await cluster.clock.advance(500)
  t.equal(cluster.acks.reachedIndex(red), 42)
  const many = Array.from({ length: 10_001 }, (_, i) => ({ networkId: `${i}`, raftIndex: 1 }))
  agent.send({ kind: { $case: 'overlay', value: { epoch: 1, networks: many } } })
  await cluster.clock.advance(50)
  t.ok(hasCode(agent.end?.err, 'RESOURCE_EXHAUSTED'))
})

t.test('many changes travel together, at most 100 in a message', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  const agent = cluster.open('w1', 'm1')
  await cluster.clock.advance(1_000)
  for (let i = 0; i < 250; i++) {
    await cluster.addTask({ id: `t${i}`, slot: i, node: 'w1', state: S.ASSIGNED })
  }
  await cluster.clock.advance(200)
  const sizes = agent.all('changes').map(({ update }) => update.length)
  t.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    250,
  )
  t.ok(sizes.length <= 6, `${sizes.length} messages`)
  t.ok(sizes.every((size) => size <= 100))
  const changes = agent.all('changes')
  for (const [at, { previous }] of changes.entries()) {
    if (at > 0) t.same(previous, changes[at - 1]?.stamp)
  }
})

t.test('statuses are committed, then acknowledged', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2')
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  const agent = cluster.open('w1', 'm2')
  await cluster.clock.advance(100)
  report(agent, 1, aStatus('a', S.RUNNING))
  await cluster.clock.advance(30)
  t.match(cluster.task('a'), { state: S.RUNNING, pid: 9, containerId: 'a', stateAtMs: 5 })
  t.same(agent.all('ack'), [{ sequence: 1 }])
  const { version } = cluster.task('a')
  report(agent, 2, aStatus('a', S.RUNNING))
  await cluster.clock.advance(300)
  t.same(agent.all('ack').at(-1), { sequence: 2 })
  t.equal(cluster.task('a').version, version, 'what is known is not written again')
  t.equal(agent.all('changes').length, 0, 'nor told to the agent that said it')
})

/** Levels only rise: another cluster object takes the place of this one. */
async function setLevel(cluster: MiniCluster, featureLevel: number): Promise<void> {
  await cluster.store.update((tx) => {
    for (const now of tx.all('cluster')) {
      tx.remove('cluster', now.id)
      tx.create('cluster', { ...now, featureLevel })
    }
  })
}

t.test('what a lower level left out of the description is there once it has risen', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2')
  await setLevel(cluster, runtimesLevel - 1)
  const runtimes = ['crun', 'runc']
  const { description } = aNode({ id: 'w1' })
  const told = description && nodeDescriptionToProto({ ...description, runtimes })
  const value = { description: told, applied: undefined, advertiseAddress: '10.0.0.2', protocol: 1 }
  const open: AgentMessage = { kind: { $case: 'open', value } }
  // By a manager that does not lead.
  cluster.open('w1', 'm2', { open }).keepBeating()
  await cluster.clock.advance(1_000)
  t.equal(cluster.node('w1').description?.runtimes, undefined)
  await setLevel(cluster, runtimesLevel)
  await cluster.clock.advance(1_000)
  t.same(cluster.node('w1').description?.runtimes, runtimes)
})

t.test('health is written once all managers know what it is (decision 0069)', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  await setLevel(cluster, optionsLevel - 1)
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  const agent = cluster.open('w1', 'm1')
  await cluster.clock.advance(100)
  const health = { state: 'healthy', failures: 0, failedAtMs: 0, output: '' }
  report(agent, 1, aStatus('a', S.RUNNING, { health }))
  await cluster.clock.advance(100)
  t.match(cluster.task('a'), { state: S.RUNNING, health: undefined })
  await setLevel(cluster, optionsLevel)
  report(agent, 2, aStatus('a', S.RUNNING, { health }))
  await cluster.clock.advance(100)
  t.match(cluster.task('a'), { health: { state: 'healthy' } })
})

t.test('an observed state never goes back, and nobody speaks for others', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  await cluster.addTask({ id: 'a', node: 'w1', state: S.RUNNING })
  await cluster.addTask({ id: 'b', node: 'w2', state: S.ASSIGNED })
  const agent = cluster.open('w1', 'm1')
  await cluster.clock.advance(100)
  report(agent, 1, aStatus('a', S.PREPARING), aStatus('b', S.FAILED), aStatus('nowhere', S.FAILED))
  await cluster.clock.advance(100)
  report(agent, 2, aStatus('a', S.FAILED, { exitCode: 1, err: 'x' }))
  await cluster.clock.advance(100)
  report(agent, 3, aStatus('a', S.COMPLETE), aStatus('a', S.ORPHANED))
  await cluster.clock.advance(500)
  t.match(cluster.task('a'), { state: S.FAILED, exitCode: 1 })
  t.equal(cluster.task('b').state, S.ASSIGNED)
  t.same(agent.all('ack').at(-1), { sequence: 3 })
})

t.test('a node is down 2.8 s after its last heartbeat, and ready with the next', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2')
  const agent = cluster.open('w1', 'm2')
  agent.keepBeating()
  await cluster.clock.advance(30_000)
  t.equal(cluster.node('w1').state, 'ready')
  agent.silence()
  agent.beat()
  await cluster.clock.advance(2_790)
  t.equal(cluster.node('w1').state, 'ready')
  await cluster.clock.advance(30)
  t.match(cluster.node('w1'), {
    state: 'down',
    stateMessage: 'heartbeat failure',
    sessionManagerId: undefined,
  })
  agent.beat()
  await cluster.clock.advance(300)
  t.match(cluster.node('w1'), { state: 'ready', sessionManagerId: 'm2' })
})

t.test('nobody is down because a process stood still for 2 s', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2')
  const agent = cluster.open('w1', 'm2')
  agent.keepBeating()
  await cluster.clock.advance(10_000)
  const { version } = cluster.node('w1')
  for (let i = 0; i < 5; i++) {
    // Everything at once, as on a host that swaps.
    await cluster.clock.stall(2_000)
    await cluster.clock.advance(3_000 + i * 137)
  }
  // The agent alone.
  agent.silence()
  await cluster.clock.advance(2_000)
  agent.keepBeating()
  await cluster.clock.advance(3_000)
  t.equal(cluster.node('w1').version, version, 'not even for a moment')
})

t.test('a stall of any length is no proof against a node', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  const agent = cluster.open('w1', 'm1')
  agent.keepBeating()
  await cluster.clock.advance(10_000)
  const { version } = cluster.node('w1')
  await cluster.clock.stall(60_000)
  await cluster.clock.advance(5_000)
  t.equal(cluster.node('w1').version, version)
})

t.test('after a change of leader nodes that live stay ready, others are found out', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2', 'm3')
  const lives = cluster.open('w1', 'm2')
  const dies = cluster.open('w2', 'm3')
  for (const agent of [lives, dies]) agent.keepBeating()
  await cluster.clock.advance(5_000)
  const { version } = cluster.node('w1')
  await cluster.lead(undefined)
  dies.silence()
  await cluster.clock.advance(2_000)
  await cluster.lead('m2')
  await cluster.clock.advance(6_000)
  t.match(cluster.node('w1'), { version, state: 'ready' })
  t.equal(cluster.node('w2').state, 'down')
  t.equal(lives.end, undefined, 'the session is the one from before')
})

t.test('statuses that the old leader did not confirm reach the new one', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2', 'm3')
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  const agent = cluster.open('w1', 'm2')
  agent.keepBeating()
  await cluster.clock.advance(500)
  await cluster.lead(undefined)
  report(agent, 1, aStatus('a', S.STARTING))
  report(agent, 2, aStatus('a', S.RUNNING))
  await cluster.clock.advance(1_000)
  t.equal(cluster.task('a').state, S.ASSIGNED)
  await cluster.lead('m3')
  await cluster.clock.advance(1_000)
  t.equal(cluster.task('a').state, S.RUNNING)
  t.same(agent.all('ack').at(-1), { sequence: 2 })
})

t.test('agents of a manager that died have time to come back elsewhere', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2', 'm3')
  const own = cluster.open('m3', 'm3')
  const guest = cluster.open('w1', 'm3')
  const lost = cluster.open('w2', 'm3')
  for (const agent of [own, guest, lost]) agent.keepBeating()
  await cluster.clock.advance(5_000)
  const { stateAtMs } = cluster.node('w1')
  await cluster.kill('m3')
  await cluster.clock.advance(3_000)
  t.equal(cluster.node('m3').state, 'down', 'the node of the manager itself went with it')
  await cluster.clock.advance(200)
  const again = cluster.open('w1', 'm2')
  again.keepBeating()
  await cluster.clock.advance(5_000)
  t.equal(cluster.node('w2').state, 'down')
  t.match(cluster.node('w1'), { state: 'ready', sessionManagerId: 'm2' })
  t.equal(cluster.node('w1').stateAtMs, stateAtMs, 'it never was anything but ready')
})

t.test('of two sessions of a node the later one counts, wherever they are', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2', 'm3')
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  const old = cluster.open('w1', 'm2')
  old.keepBeating()
  await cluster.clock.advance(1_000)
  const later = cluster.open('w1', 'm3')
  later.keepBeating()
  await cluster.clock.advance(1_000)
  t.ok(hasCode(old.end?.err, 'ALREADY_EXISTS'))
  t.equal(later.end, undefined)
  t.equal(cluster.node('w1').sessionManagerId, 'm3')
  const local = cluster.open('w1', 'm3')
  await cluster.clock.advance(100)
  t.ok(hasCode(later.end?.err, 'ALREADY_EXISTS'), 'on one manager at once')
  report(later, 9, aStatus('a', S.FAILED))
  report(local, 1, aStatus('a', S.RUNNING))
  await cluster.clock.advance(300)
  t.equal(cluster.task('a').state, S.RUNNING)
})

t.test('a manager without a leader for 5 s is of no use to agents', async (t) => {
  const cluster = await aMiniCluster(t, 'm1', 'm2')
  const agent = cluster.open('w1', 'm2')
  agent.keepBeating()
  await cluster.clock.advance(5_000)
  await cluster.lead(undefined)
  await cluster.clock.advance(4_500)
  t.equal(agent.end, undefined)
  await cluster.clock.advance(1_000)
  t.ok(hasCode(agent.end?.err, 'NO_LEADER'))
  const next = cluster.open('w1', 'm2')
  await cluster.clock.advance(10)
  t.ok(hasCode(next.end?.err, 'NO_LEADER'))
  await cluster.lead('m1')
  await cluster.clock.advance(500)
  const third = cluster.open('w1', 'm2')
  await cluster.clock.advance(100)
  t.equal(third.all('set').length, 1)
})

t.test('a removed node is cut', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  const agent = cluster.open('w1', 'm1')
  agent.keepBeating()
  await cluster.clock.advance(1_000)
  await cluster.store.update((tx) => tx.remove('nodes', 'w1'))
  await cluster.clock.advance(1)
  t.ok(hasCode(agent.end?.err, 'PERMISSION_DENIED'))
  const again = cluster.open('w1', 'm1')
  await cluster.clock.advance(1_000)
  t.ok(hasCode(again.end?.err, 'PERMISSION_DENIED'))
})

t.test('a node hears of its new role, and all hear of new managers', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  const [one, two] = [cluster.open('w1', 'm1'), cluster.open('w2', 'm1')]
  for (const agent of [one, two]) agent.keepBeating()
  await cluster.clock.advance(1_000)
  await cluster.store.update((tx) => {
    const node = tx.get('nodes', 'w1')
    if (node !== undefined) {
      tx.update('nodes', { ...node, spec: { ...node.spec, role: 'manager' } })
    }
  })
  await cluster.clock.advance(10)
  t.match(one.all('config'), [{ role: 1 }])
  t.equal(two.all('config').length, 0)
  await cluster.store.update((tx) => {
    const node = tx.get('nodes', 'w1')
    const manager = { raftId: 'r1', address: '10.0.0.1:2377', raftAddress: '10.0.0.1:2378' }
    if (node !== undefined) tx.update('nodes', { ...node, manager: manager as never })
  })
  await cluster.clock.advance(10)
  t.match(two.all('config'), [{ managers: [{ nodeId: 'w1', address: '10.0.0.1:2377' }] }])
})

t.test('after missed commits every agent gets everything anew', async (t) => {
  const cluster = new MiniCluster()
  const { store } = cluster
  const watch = store.watch.bind(store)
  let lags = false
  store.watch = async function* (selector, options) {
    for await (const commit of watch(selector, options)) {
      if (lags) {
        lags = false
        throw new WatchLagged('too slow')
      }
      yield commit
    }
  }
  await cluster.start('m1', 'w1', 'w2')
  cluster.addManager('m1')
  await cluster.lead('m1')
  t.teardown(() => cluster.stop())
  await cluster.clock.advance(300)
  const [agent, leaver] = [cluster.open('w1', 'm1'), cluster.open('w2', 'm1')]
  for (const one of [agent, leaver]) one.keepBeating()
  await cluster.clock.advance(500)
  lags = true
  await store.update((tx) => {
    tx.create('tasks', aTask({ id: 'a', node: 'w1', state: S.ASSIGNED }))
    tx.remove('nodes', 'w2')
  })
  await cluster.clock.advance(10)
  t.match(agent.all('set')[1], { tasks: [{ id: 'a' }] })
  t.ok(hasCode(leaver.end?.err, 'PERMISSION_DENIED'), 'what left meanwhile is cut')
  await cluster.addTask({ id: 'b', node: 'w1', state: S.ASSIGNED })
  await cluster.clock.advance(50)
  t.match(agent.all('changes').at(-1), { update: [{ id: 'b' }] }, 'and changes follow again')
})

t.test('a node that knows a later epoch is sent to the managers of it', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  const first = opening('w1')
  if (first.kind?.$case !== 'open') throw new Error('it opens nothing')
  const open = (epoch: number): AgentMessage => {
    const value = { ...first.kind?.value, applied: { epoch, index: 1 } }
    return { kind: { $case: 'open', value: value as SessionOpen } }
  }
  const newer = cluster.open('w1', 'm1', { open: open(2) })
  await cluster.clock.advance(10)
  t.match(newer.end?.err, { code: 'UNAVAILABLE', message: /recovered without this manager/ })
  t.equal(newer.all('started').length, 0)
  const same = cluster.open('w1', 'm1', { open: open(1) })
  await cluster.clock.advance(10)
  t.match(same.all('started'), [{ config: { clusterEpoch: 1 } }])
})

t.test('whoever does not begin as agreed is sent away', async (t) => {
  const cluster = await aMiniCluster(t, 'm1')
  const beat = { kind: { $case: 'heartbeat', value: { sequence: 1 } } } as const
  const impatient = cluster.open('w1', 'm1', { open: beat })
  const newer = cluster.open('w1', 'm1', { open: opening('w1', 99) })
  const bare = cluster.open('w1', 'm1', {
    open: {
      kind: {
        $case: 'open',
        value: {
          description: { ...emptyDescription },
          applied: undefined,
          advertiseAddress: '',
          protocol: 1,
        },
      },
    },
  })
  await cluster.clock.advance(10)
  t.ok(hasCode(impatient.end?.err, 'INVALID_ARGUMENT'))
  t.ok(hasCode(newer.end?.err, 'UNSUPPORTED'))
  t.ok(hasCode(bare.end?.err, 'INVALID_ARGUMENT'))
  const agent = cluster.open('w1', 'm1')
  await cluster.clock.advance(10)
  report(agent, 1, aStatus('', S.RUNNING))
  await cluster.clock.advance(10)
  t.ok(hasCode(agent.end?.err, 'INVALID_ARGUMENT'), 'a status of no task')
})

const emptyDescription = {
  hostname: '',
  platform: undefined,
  resources: undefined,
  engineVersion: '',
  engineLabels: {},
  featureLevel: 0,
  dataPathAddress: '',
  problems: [],
  conditions: [],
  localSubnet: '',
  slotVolumes: [],
  runtimes: [],
}
