// A manager whose program knows less than the cluster writes is told so, and is not let in.
import t from 'tap'
import { newNode } from '../../../../manager/ca/ca-handlers.ts'
import { AddressBook } from '../../../../manager/membership/address-book.ts'
import { announceLoop } from '../../../../manager/membership/announce.ts'
import { membershipLoop } from '../../../../manager/membership/membership-loop.ts'
import type { RaftHandle } from '../../../../manager/raft/raft-handle.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom, systemRandom } from '../../../../proto/lib/random.ts'
import {
  type Cluster,
  nodeId,
  featureLevel as ownLevel,
  raftId,
} from '../../../../proto/objects/index.ts'
import { GrpcCluster } from '../../../support/grpc-cluster.ts'
import { aCluster, aNode } from '../../../support/objects.ts'
import { until } from '../../../support/until.ts'

t.test('a manager that knows less than the cluster is refused clearly', async (t) => {
  const cluster = await GrpcCluster.start(['m1', 'm2'], [])
  t.teardown(() => cluster.stop())
  const [m1] = cluster.addresses()
  const info = { raftId: raftId('r2'), address: 'm2:2377', raftAddress: 'm2:2378' }
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  const announcing = (featureLevel: number) =>
    announceLoop({
      self: nodeId('m2'),
      info: () => info,
      store,
      book: new AddressBook({ store, self: nodeId('m2') }),
      hasLeader: () => true,
      leads: () => false,
      joinHere: () => Promise.reject(new Error('it does not lead')),
      identity: cluster.identityOf('m2'),
      known: () => [m1?.address ?? ''],
      onMembers: () => {},
      featureLevel,
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    })
  const inStore = () => cluster.store.view((tx) => tx.get('nodes', 'm2'))?.manager

  const life = new AbortController()
  const older = announcing(0)
  const done = older.run(life.signal)
  await until(() => older.refusal() !== undefined, 'the older one is refused')
  t.match(older.refusal(), {
    code: 'UNSUPPORTED',
    message: /node m2 .*cluster is at feature level \d, its program knows 0.*Upgrade tsswarm/,
  })
  t.equal(inStore(), undefined, 'it is no member')
  life.abort()
  await done

  const again = new AbortController()
  const upgraded = announcing(ownLevel)
  const running = upgraded.run(again.signal)
  await until(() => inStore() !== undefined, 'the upgraded one is a member')
  t.same(inStore(), info)
  t.equal(upgraded.refusal(), undefined)
  again.abort()
  await running
})

t.test('the leader moves the cluster to the level that all managers know', async (t) => {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  const manager = { raftId: raftId('r1'), address: 'm1:2377', raftAddress: 'm1:2378' }
  await store.update((tx) => {
    tx.create('cluster', { ...aCluster({}), featureLevel: 0 })
    const { description } = aNode({})
    tx.create('nodes', { ...newNode('m1', 'manager', 0), manager, description })
  })
  const raft = {
    id: 'r1',
    status: async () => ({
      leadership: { role: 'leader', leader: 'r1', term: 1 },
      members: { voters: ['r1'], learners: [], outgoing: [] },
      peers: [],
      commitIndex: 1,
    }),
  } as unknown as RaftHandle
  const life = new AbortController()
  const random = seededRandom(2)
  const loop = membershipLoop({ store, raft, clock: systemClock, random, log: silentLogger })
  const done = loop.run(life.signal)
  const level = (): number | undefined =>
    store.view((tx): readonly Cluster[] => [...tx.all('cluster')])[0]?.featureLevel
  await until(() => level() === ownLevel, 'the level is raised')
  life.abort()
  await done
  t.equal(level(), ownLevel)
  const networks = store.view((tx) => [...tx.all('networks')])
  t.match(networks, [
    { spec: { name: 'ingress', isIngress: true }, subnets: [{ subnet: '10.0.0.0/24' }] },
  ])
})
