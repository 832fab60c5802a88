// Secrets and configs on their way to a node: who is sent what, when it is taken back, and what a restarted daemon does
// (swarm-semantics 1.1 dispatcher, 7.4 secrets).
import t, { type Test } from 'tap'
import { type TaskSpecRecord, TaskState } from '../../../proto/objects/index.ts'
import { payloadUse } from '../../../proto/spec/payload-spec.ts'
import { PayloadStore } from '../../../worker/payload-store.ts'
import { MiniCluster } from '../../support/mini-cluster.ts'
import { MiniNode } from '../../support/mini-node.ts'
import { aPayload, aSpecRecord } from '../../support/objects.ts'

const S = TaskState
const secretText = 'the moon is made of cheese'

function aRecord(hash: string, secrets: readonly object[], configs: readonly object[] = []) {
  const record = aSpecRecord(hash, {})
  const container = {
    ...record.spec.container,
    secrets: secrets.map((use) => payloadUse.parse(use)),
    configs: configs.map((use) => payloadUse.parse(use)),
  }
  return { ...record, spec: { ...record.spec, container } } satisfies TaskSpecRecord
}

async function aCluster(t: Test): Promise<MiniCluster> {
  const cluster = new MiniCluster()
  await cluster.start('m1', 'w1', 'w2')
  cluster.addManager('m1')
  await cluster.lead('m1')
  await cluster.store.update((tx) => {
    tx.create('secrets', aPayload({ id: 's1', name: 'db', data: secretText }))
    tx.create('secrets', aPayload({ id: 's2', name: 'other', data: 'unused' }))
    tx.create('configs', aPayload({ id: 'c1', name: 'conf', data: 'a=1' }))
    const db = { source: 's1', name: 'db', target: 'db', uid: '7', gid: '8', mode: 0o400 }
    tx.create('taskSpecs', aRecord('with', [db], [{ source: 'c1', name: 'conf' }]))
    tx.create('taskSpecs', aRecord('missing', [{ source: 'gone', name: 'lost' }]))
  })
  await cluster.clock.advance(300)
  t.teardown(() => cluster.stop())
  return cluster
}

async function aNode(t: Test, cluster: MiniCluster): Promise<MiniNode> {
  const node = new MiniNode(cluster, 'w1', ['m1'])
  await node.start()
  t.teardown(() => node.kill())
  return node
}

const reach = (cluster: MiniCluster, id: string, state: TaskState): Promise<void> =>
  cluster.clock.until(() => cluster.task(id).state === state, 20_000, `${id} reaches ${state}`)

t.test('a node is sent what its tasks use, before them, and told when no task does', async (t) => {
  const cluster = await aCluster(t)
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED, specHash: 'with' })
  const agent = cluster.open('w1', 'm1')
  const stranger = cluster.open('w2', 'm1')
  await cluster.clock.advance(100)
  const kinds = agent.got.map(({ kind }) => kind?.$case).filter((kind) => kind !== 'config')
  t.same(kinds, ['started', 'payload', 'payload', 'set'])
  t.same(
    agent
      .all('payload')
      .map(({ id }) => id)
      .sort(),
    ['c1', 's1'],
  )
  t.same([...(agent.all('set')[0]?.payloadIds ?? [])].sort(), ['c1', 's1'])
  t.same(stranger.all('payload'), [])

  await cluster.addTask({ id: 'b', node: 'w1', state: S.ASSIGNED, specHash: 'with' })
  await cluster.clock.advance(100)
  t.equal(agent.all('payload').length, 2, 'what it has is not sent again')
  await cluster.changeTask('a', { state: S.FAILED })
  await cluster.clock.advance(100)
  t.equal(agent.all('changes').at(-1)?.payloadIds.length, 2, 'the other task still uses them')
  await cluster.changeTask('b', { state: S.SHUTDOWN })
  await cluster.clock.advance(100)
  t.same(agent.all('changes').at(-1)?.payloadIds, [])

  await cluster.addTask({ id: 'c', node: 'w1', state: S.ASSIGNED, specHash: 'with' })
  await cluster.clock.advance(100)
  t.equal(agent.all('payload').length, 4, 'what was taken back is sent anew')
  await cluster.store.update((tx) => tx.remove('tasks', 'c'))
  await cluster.clock.advance(100)
  t.same(agent.all('changes').at(-1)?.payloadIds, [])
})

t.test('a container gets them as files, and nothing is written', async (t) => {
  const cluster = await aCluster(t)
  const node = await aNode(t, cluster)
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED, specHash: 'with' })
  await reach(cluster, 'a', S.RUNNING)
  const files = node.host.inspect('a').config.files ?? []
  t.match(files, [
    { target: '/run/secrets/db', uid: 7, gid: 8, mode: 0o400 },
    { target: '/conf', uid: 0, gid: 0, mode: 0o444 },
  ])
  t.same(
    files.map((file) => Buffer.from(file.data()).toString()),
    [secretText, 'a=1'],
  )
  const disk = Buffer.from(await node.disk())
  t.ok(disk.includes('spec-1') || disk.length > 0)
  t.notOk(disk.includes(secretText))
  t.notOk(disk.includes(Buffer.from(secretText).toString('base64').slice(4, -4)))
  t.notOk(JSON.stringify(node.host.inspect('a')).includes('moon'), 'a configuration hides them')
})

t.test('what the cluster no longer has is said by the task', async (t) => {
  const cluster = await aCluster(t)
  await aNode(t, cluster)
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED, specHash: 'missing' })
  await reach(cluster, 'a', S.REJECTED)
  t.match(cluster.task('a').err, /secret "lost" \(gone\) is no longer there: make it anew/)
})

t.test('after a restart what runs goes on, and a new task waits for a manager', async (t) => {
  const cluster = await aCluster(t)
  const node = await aNode(t, cluster)
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED, specHash: 'with' })
  await reach(cluster, 'a', S.RUNNING)
  const ready = { state: S.ASSIGNED, desiredState: S.READY, specHash: 'with' }
  await cluster.addTask({ id: 'b', node: 'w1', ...ready })
  await reach(cluster, 'b', S.READY)
  await node.kill()
  // Made again by the daemon, before it has heard a manager.
  node.host.remove('b')
  await cluster.kill('m1')
  await node.start()
  await cluster.clock.advance(5_000)
  t.equal(node.state('a'), 'running')
  t.equal(node.state('b'), undefined, 'it has nothing to make the files of')
  cluster.addManager('m1')
  await cluster.lead('m1')
  await cluster.clock.until(() => node.state('b') === 'created', 20_000, 'it is made')
  t.equal(node.host.inspect('b').config.files?.length, 2)
})

t.test('a task that is stopped while it waits for a secret ends', async (t) => {
  const store = new PayloadStore()
  const use = { ...payloadUse.parse({ source: 's1', name: 'db' }), kind: 'secret' as const }
  const stop = new AbortController()
  const waiting = store.need([use], stop.signal)
  stop.abort()
  await t.rejects(waiting, { code: 'CANCELLED' })
  await t.rejects(store.need([use], stop.signal), { code: 'CANCELLED' })
  const { id, spec } = aPayload({ id: 's1', name: 'db' })
  const never = new AbortController().signal
  const late = store.need([use], never)
  store.receive({ id, name: 'db', data: spec.data, templateDriver: '' })
  t.equal((await late).size, 1)
  store.keepOnly([])
  await t.rejects(store.need([use], never), { code: 'NOT_FOUND' })
})

t.test('templates are expanded for each task, and their errors hide what is secret', async (t) => {
  const cluster = await aCluster(t)
  const node = await aNode(t, cluster)
  const golang = 'golang' as const
  await cluster.store.update((tx) => {
    const text = 'pw={{secret "db"}} {{.Task.ID}} {{env "NONE"}}'
    tx.create('configs', aPayload({ id: 'c2', name: 'tpl', data: text, templateDriver: golang }))
    const bad = '{{index (secret "db") "x"}}'
    tx.create('configs', aPayload({ id: 'c3', name: 'bad', data: bad, templateDriver: golang }))
    const open = '{{.Nothing}}'
    tx.create('configs', aPayload({ id: 'c4', name: 'open', data: open, templateDriver: golang }))
    const broken = 'moonshine {{cheese'
    tx.create('secrets', aPayload({ id: 's4', name: 'bad', data: broken, templateDriver: golang }))
    const db = { source: 's1', name: 'db', target: 'db' }
    for (const id of ['c2', 'c3', 'c4']) {
      tx.create('taskSpecs', aRecord(id, [db], [{ source: id, name: id, target: '/etc/c' }]))
    }
    tx.create('taskSpecs', aRecord('s4', [{ source: 's4', name: 'bad', target: 'bad' }]))
    tx.create('taskSpecs', aRecord('c2-alone', [], [{ source: 'c2', name: 'tpl', target: '/c' }]))
  })
  const add = (specHash: string): Promise<void> =>
    cluster.addTask({ id: specHash, node: 'w1', state: S.ASSIGNED, specHash })
  await add('c2')
  await reach(cluster, 'c2', S.RUNNING)
  const file = node.host.inspect('c2').config.files?.[1]
  t.equal(Buffer.from(file?.data() ?? []).toString(), `pw=${secretText} c2 `)
  for (const id of ['c3', 'c4', 's4', 'c2-alone']) {
    await add(id)
    await reach(cluster, id, S.REJECTED)
    t.notMatch(cluster.task(id).err, /moon|cheese/)
  }
  t.match(cluster.task('c3').err, /config "c3" cannot be expanded: .*why is not told/)
  t.match(cluster.task('s4').err, /secret "bad" cannot be expanded: .*why is not told/)
  t.match(cluster.task('c4').err, /config "c4" cannot be expanded: template: no field "Nothing"/)
  t.match(cluster.task('c2-alone').err, /secret target "db" not found: the service has no such/)
})
