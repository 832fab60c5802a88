// The ingress network is made with the cluster, once, and only where managers know of networks.
import t from 'tap'
import { createRootCa } from '../../../../manager/ca/root-ca.ts'
import { foundCluster } from '../../../../manager/found-cluster.ts'
import { createIngress } from '../../../../manager/overlay/ingress.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { featureLevel, raftId } from '../../../../proto/objects/index.ts'
import { clusterSpec } from '../../../../proto/spec/cluster-spec.ts'
import { aCluster, aNetwork } from '../../../support/objects.ts'

const aStore = () => createMemoryStore({ clock: systemClock, random: seededRandom(1) })

async function founded(level: number, spec = {}) {
  const store = aStore()
  const root = await createRootCa(systemClock.wallMs())
  const founding = {
    clusterId: 'c1',
    nodeId: 'n1',
    rootCaCertPem: root.certPem,
    rootCaKeyPem: root.keyPem,
    spec: clusterSpec.parse(spec),
    availability: 0 as const,
    certificateExpiresAtMs: 1,
    featureLevel: level,
  }
  const manager = { raftId: raftId('r1'), address: 'a:1', raftAddress: 'a:2' }
  await foundCluster(store, founding, manager, seededRandom(2))
  return store
}

t.test('a new cluster has it, on the first subnet of its pools', async (t) => {
  const store = await founded(featureLevel, {
    defaultAddressPools: ['10.20.0.0/16'],
    subnetSize: 26,
  })
  const networks = store.view((tx) => [...tx.all('networks')])
  t.match(networks, [
    {
      spec: { name: 'ingress', isIngress: true, driver: 'overlay' },
      vni: 1_048_576,
      subnets: [{ subnet: '10.20.0.0/26', gateway: '10.20.0.1' }],
    },
  ])
  t.match(
    store.view((tx) => [...tx.all('nodes')]),
    [{ id: 'n1', path: undefined }],
  )
})

t.test('a cluster at the level before has none', async (t) => {
  const store = await founded(1)
  t.equal(
    store.view((tx) => tx.count('networks')),
    0,
  )
})

t.test('there is never a second one, nor one of a taken name', async (t) => {
  for (const there of [
    aNetwork({ name: 'mesh', isIngress: true }),
    aNetwork({ name: 'ingress' }),
  ]) {
    const store = aStore()
    await store.update((tx) => {
      const cluster = tx.create('cluster', aCluster({}))
      tx.create('networks', there)
      createIngress(tx, cluster, 'new')
    })
    t.equal(
      store.view((tx) => tx.count('networks')),
      1,
    )
  }
})

t.test('pools without a free subnet are refused by name', async (t) => {
  const store = aStore()
  const spec = clusterSpec.parse({ defaultAddressPools: ['10.0.1.0/24'] })
  const update = store.update((tx) => {
    const cluster = tx.create('cluster', { ...aCluster({}), spec })
    tx.create('networks', aNetwork({ name: 'back' }))
    createIngress(tx, cluster, 'new')
  })
  await t.rejects(update, {
    code: 'RESOURCE_EXHAUSTED',
    message: /network "ingress": subnets cannot be chosen: every \/24 .*\(10\.0\.1\.0\/24/,
  })
})
