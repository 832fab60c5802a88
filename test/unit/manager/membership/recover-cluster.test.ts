// What a recovery from one manager makes of nodes and cluster.
import t from 'tap'
import {
  countStore,
  nodeAfterRecovery,
  recoverCluster,
} from '../../../../manager/membership/recover-cluster.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { type Node, nodeId, raftId, sessionId } from '../../../../proto/objects/index.ts'
import { aCluster, aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'

const info = (id: string) => ({
  raftId: raftId(`r-${id}`),
  address: `${id}:2377`,
  raftAddress: `${id}:2378`,
})
const self = { nodeId: nodeId('m1'), info: { ...info('m1'), address: 'new:2377' } }

const aManager = (id: string): Node => {
  const node = aNode({ id, role: 'manager', hostname: `host-${id}` })
  return { ...node, spec: { ...node.spec, role: 'manager' }, manager: info(id) }
}

t.test('the survivor is the manager, the others are workers that are down', async (t) => {
  const lost = { ...aManager('m2'), sessionId: sessionId('s'), sessionManagerId: nodeId('m2') }
  t.match(nodeAfterRecovery(lost, self, 77), {
    spec: { role: 'worker' },
    role: 'worker',
    manager: undefined,
    state: 'down',
    stateMessage: /recovered without it/,
    stateAtMs: 77,
    sessionId: undefined,
    sessionManagerId: undefined,
  })
  t.match(nodeAfterRecovery(aManager('m1'), self, 77), { role: 'manager', manager: self.info })
  const leaving = aManager('m1')
  const demoted = { ...leaving, spec: { ...leaving.spec, role: 'worker' as const } }
  t.match(nodeAfterRecovery(demoted, self, 77), { spec: { role: 'manager' } })
})

t.test('workers stay as they are, also one that is to be promoted', async (t) => {
  const worker = aNode({ id: 'w1' })
  t.equal(nodeAfterRecovery(worker, self, 77), undefined)
  const promoted: Node = { ...worker, spec: { ...worker.spec, role: 'manager' } }
  t.equal(nodeAfterRecovery(promoted, self, 77), undefined)
  t.match(
    nodeAfterRecovery({ ...promoted, role: 'manager' }, self, 77),
    { role: 'worker', spec: { role: 'worker' } },
    'one that had become a manager is lost, a member of Raft or not',
  )
})

t.test('a recovery is one transaction, and a repeat of it changes nothing', async (t) => {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  t.same(countStore(store), { services: 0, tasks: 0, nodes: 0, newestAtMs: 0 })
  await store.update((tx) => {
    tx.create('cluster', aCluster({}))
    for (const id of ['m1', 'm2', 'm3']) tx.create('nodes', aManager(id))
    tx.create('nodes', aNode({ id: 'w1' }))
    tx.create('taskSpecs', aSpecRecord('spec-1', {}))
    tx.create('services', aService({}))
    tx.create('tasks', aTask({ id: 't1', node: 'w1' }))
  })
  const before = store.appliedIndex
  const result = await recoverCluster(store, self, 'recovery-1')
  const lost = ['m2', 'm3'].map((id) => ({ nodeId: id, hostname: `host-${id}` }))
  t.same(result, { epoch: 2, lost })
  t.equal(store.appliedIndex, before + 1, 'one entry')
  const nodes = () => store.view((tx) => [...tx.all('nodes')])
  t.same(
    nodes().map(({ id, role, state }) => `${id} ${role} ${state}`),
    ['m1 manager ready', 'm2 worker down', 'm3 worker down', 'w1 worker ready'],
  )
  t.same(await recoverCluster(store, self, 'recovery-1'), result, 'the first result')
  t.equal(
    store.view((tx) => [...tx.all('cluster')][0]?.epoch),
    2,
  )
  t.same((await recoverCluster(store, self, 'recovery-2')).lost, [], 'another one finds nobody')
  const { newestAtMs, ...counts } = countStore(store)
  t.same(counts, { services: 1, tasks: 1, nodes: 4 })
  t.ok(newestAtMs > 0)
})
