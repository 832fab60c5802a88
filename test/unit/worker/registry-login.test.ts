// Credentials on their way to a node: who is sent them, when they are taken back, and that nothing of them is written.
import t, { type Test } from 'tap'
import { encodeRegistryAuth } from '../../../proto/codec/registry-login.ts'
import { payloadId, serviceId, TaskState } from '../../../proto/objects/index.ts'
import { PayloadStore } from '../../../worker/payload-store.ts'
import { MiniCluster } from '../../support/mini-cluster.ts'
import { MiniNode } from '../../support/mini-node.ts'
import { aService, aSpecRecord } from '../../support/objects.ts'

const S = TaskState
const password = 'the moon is made of cheese'
const auth = encodeRegistryAuth({ username: 'someone', password })
const image = 'r.lan/app:1'

function withImage(hash: string, name: string) {
  const record = aSpecRecord(hash, {})
  const container = { ...record.spec.container, image: name }
  return { ...record, spec: { ...record.spec, container } }
}

async function aCluster(t: Test): Promise<MiniCluster> {
  const cluster = new MiniCluster()
  await cluster.start('m1', 'w1', 'w2')
  cluster.addManager('m1')
  await cluster.lead('m1')
  await cluster.store.update((tx) => {
    tx.create('services', aService({ id: 'private' }))
    tx.create('services', aService({ id: 'other', name: 'other' }))
    const present = { id: payloadId('login-1'), registry: 'r.lan', auth }
    tx.create('registryLogins', { serviceId: serviceId('private'), present, previous: undefined })
    tx.create('taskSpecs', withImage('spec-r', image))
    tx.create('taskSpecs', withImage('spec-o', 'o.lan/app:1'))
  })
  await cluster.clock.advance(300)
  t.teardown(() => cluster.stop())
  return cluster
}

async function aNode(t: Test, cluster: MiniCluster): Promise<MiniNode> {
  const registry = { [image]: {}, 'o.lan/app:1': {} }
  const passwords = { [image]: password, 'o.lan/app:1': 'unknown' }
  const node = new MiniNode(cluster, 'w1', ['m1'], { registry, passwords })
  await node.start()
  t.teardown(() => node.kill())
  return node
}

const private_ = { node: 'w1', service: 'private', state: S.ASSIGNED, specHash: 'spec-r' }

const reach = (cluster: MiniCluster, id: string, state: TaskState): Promise<void> =>
  cluster.clock.until(() => cluster.task(id).state === state, 20_000, `${id} reaches ${state}`)

t.test('a node has them while a task of the service pulls, and no other node', async (t) => {
  const cluster = await aCluster(t)
  await cluster.addTask({ id: 'a', ...private_ })
  await cluster.addTask({ id: 'o', ...private_, service: 'other' })
  await cluster.addTask({ id: 'f', ...private_, node: 'w2', specHash: 'spec-o' })
  const agent = cluster.open('w1', 'm1')
  const stranger = cluster.open('w2', 'm1')
  await cluster.clock.advance(100)
  const kinds = agent.got.map(({ kind }) => kind?.$case).filter((kind) => kind !== 'config')
  t.same(kinds, ['started', 'payload', 'set'])
  t.match(agent.all('payload'), [{ id: 'login-1', name: 'r.lan', data: Buffer.from(auth) }])
  const [set] = agent.all('set')
  t.same(set?.payloadIds, ['login-1'])
  const ids = set?.tasks.map(({ id, registryLoginId }) => `${id}:${registryLoginId}`).sort()
  t.same(ids, ['a:login-1', 'o:'], 'a task of another service has none')
  t.same(stranger.all('payload'), [], 'they are not for the registry of that image')
  t.same(stranger.all('set')[0]?.tasks[0]?.registryLoginId, '')

  await cluster.changeTask('a', { state: S.PREPARING })
  await cluster.clock.advance(100)
  t.same(agent.all('changes'), [], 'what it says itself does not come back')
  await cluster.changeTask('a', { state: S.READY })
  await cluster.clock.advance(100)
  t.same(agent.all('changes').at(-1)?.payloadIds, [], 'it has its image')
  await cluster.changeTask('a', { state: S.RUNNING })
  await cluster.clock.advance(100)
  t.equal(agent.all('changes').length, 1)

  await cluster.addTask({ id: 'b', ...private_ })
  await cluster.clock.advance(100)
  t.equal(agent.all('payload').length, 2, 'the next task pulls again')
  await cluster.store.update((tx) => tx.remove('registryLogins', 'private'))
  await cluster.addTask({ id: 'c', ...private_ })
  await cluster.clock.advance(100)
  t.same(agent.all('changes').at(-1)?.payloadIds, [], 'gone from the store is gone')
})

t.test('a task pulls with those of its service, and nothing is written', async (t) => {
  const cluster = await aCluster(t)
  const node = await aNode(t, cluster)
  await cluster.addTask({ id: 'o', ...private_, service: 'other' })
  await reach(cluster, 'o', S.REJECTED)
  t.match(cluster.task('o').err, /pull access denied/)
  await cluster.addTask({ id: 'f', ...private_, specHash: 'spec-o' })
  await reach(cluster, 'f', S.REJECTED)
  await cluster.addTask({ id: 'a', ...private_ })
  await reach(cluster, 'a', S.RUNNING)
  const disk = Buffer.from(await node.disk())
  t.ok(disk.includes('login-1'), 'the task is there')
  for (const text of [password, auth, Buffer.from(auth).toString('base64')]) {
    t.notOk(disk.includes(text.slice(4, -4)))
  }
  t.notMatch(JSON.stringify(node.host.inspect('a')), /moon/)
})

t.test('after a restart a pull waits for a manager', async (t) => {
  const cluster = await aCluster(t)
  const node = await aNode(t, cluster)
  await node.kill()
  await cluster.addTask({ id: 'a', ...private_ })
  await node.start()
  await cluster.clock.until(() => cluster.task('a').state >= S.ACCEPTED, 20_000, 'it is known')
  await reach(cluster, 'a', S.RUNNING)

  const store = new PayloadStore()
  const stop = new AbortController()
  const given = store.login(payloadId('l'), stop.signal)
  stop.abort()
  await t.rejects(given, { code: 'CANCELLED' })
  const never = new AbortController().signal
  const late = store.login(payloadId('l'), never)
  store.receive({ id: payloadId('l'), name: 'r', data: Buffer.from('x'), templateDriver: '' })
  t.match(await late, { id: 'l' })
  store.keepOnly([])
  t.equal(await store.login(payloadId('l'), never), undefined, 'the cluster no longer has them')
})
