// Which networks a node may know of.
import t from 'tap'
import { storeOverlay } from '../../../../manager/bus/store-overlay.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { Store } from '../../../../manager/store/store.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { localNetworksLevel, networkId, nodeId } from '../../../../proto/objects/index.ts'
import { aNetwork, aNode, aTask } from '../../../support/objects.ts'

/** A task on each network on node n1; the node's program is of that level. */
async function aStore(featureLevel: number): Promise<Store> {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  await store.update((tx) => {
    const node = aNode({ id: 'n1' })
    const { description } = node
    tx.create('nodes', { ...node, description: description && { ...description, featureLevel } })
    tx.create('nodes', aNode({ id: 'n2' }))
    tx.create('networks', aNetwork({ id: 'in', isIngress: true, subnets: ['10.0.0.0/24'] }))
    tx.create('networks', aNetwork({ id: 'back', subnets: ['10.0.1.0/24'] }))
    tx.create('networks', aNetwork({ id: 'near', driver: 'bridge', subnets: ['10.0.2.0/24'] }))
    const attachments = { back: ['10.0.1.5'], near: ['10.0.2.5'] }
    tx.create('tasks', aTask({ id: 't1', node: 'n1', attachments }))
  })
  return store
}

function heldBy(store: Store, node: string): readonly string[] {
  return store.view((tx) =>
    [...storeOverlay.networkIds(tx)].filter((id) =>
      storeOverlay.isHeldBy(tx, networkId(id), nodeId(node)),
    ),
  )
}

t.test('a node holds networks of its tasks, and the ingress network in any case', async (t) => {
  const store = await aStore(localNetworksLevel)
  t.same(heldBy(store, 'n1'), ['in', 'back', 'near'])
  t.same(heldBy(store, 'n2'), ['in'])
  const isHeld = store.view((tx) => storeOverlay.isHeldBy(tx, networkId('x'), nodeId('n1')))
  t.equal(isHeld, false, 'it is not there')
})

t.test('an older program is told of no bridge network: it would take it for another', async (t) => {
  t.same(heldBy(await aStore(localNetworksLevel - 1), 'n1'), ['in', 'back'])
})
