// What sessions tell beside tasks: the ingress network to agents, what does not work on a node to the store.
import t from 'tap'
import { nodeDescriptionToProto } from '../../../../proto/codec/node.ts'
import {
  conditionMessageMax,
  conditionsMax,
  connectionsLevel,
  networksLevel,
  optionsLevel,
  runtimesLevel,
} from '../../../../proto/objects/index.ts'
import { MiniCluster } from '../../../support/mini-cluster.ts'
import { aNetwork, aNode } from '../../../support/objects.ts'

async function aWorld(t: { after(fn: () => Promise<void>): void }) {
  const cluster = new MiniCluster()
  await cluster.start('m1', 'm2', 'w1')
  cluster.addManager('m1')
  cluster.addManager('m2')
  await cluster.lead('m1')
  t.after(() => cluster.stop())
  return cluster
}

t.test('agents are told of the ingress network, also when it is made later', async (t) => {
  const cluster = await aWorld(t)
  const agent = cluster.open('w1', 'm1')
  await cluster.clock.advance(100)
  t.match(agent.all('started'), [{ config: { ingressNetworkId: '' } }])
  await cluster.store.update((tx) => tx.create('networks', aNetwork({ id: 'other' })))
  await cluster.clock.advance(100)
  t.equal(agent.all('config').length, 0, 'other networks are no news for all')
  await cluster.store.update((tx) =>
    tx.create('networks', aNetwork({ id: 'net-in', name: 'ingress', isIngress: true })),
  )
  await cluster.clock.advance(100)
  t.match(agent.all('config'), [{ ingressNetworkId: 'net-in' }])
})

t.test(
  'what does not work on a node is in the store, unless a manager would drop it',
  async (t) => {
    const cluster = await aWorld(t)
    const { description } = aNode({ id: 'w1' })
    if (description === undefined) throw new Error('no description')
    const value = nodeDescriptionToProto({
      ...description,
      conditions: [{ code: 'BUS_DOWN', message: 'the bus does not run' }],
      localSubnet: '172.30.0.0/16',
      slotVolumes: ['data-1'],
      runtimes: ['crun', 'runc'],
      resources: { ...description.resources, generic: [{ kind: 'gpu', count: 1, names: [] }] },
    })
    const offered = () => {
      const told = cluster.store.view((tx) => tx.get('nodes', 'w1'))?.description
      return [told?.slotVolumes, told?.resources.generic]
    }
    const localSubnet = () =>
      cluster.store.view((tx) => tx.get('nodes', 'w1')?.description?.localSubnet)
    const agent = cluster.open('w1', 'm1')
    const problems = () =>
      cluster.store.view((tx) => tx.get('nodes', 'w1')?.description?.conditions)
    const level = async (featureLevel: number): Promise<void> => {
      // Levels only rise: another cluster object takes the place of this one.
      await cluster.store.update((tx) => {
        const [now] = tx.all('cluster')
        if (now === undefined) throw new Error('no cluster')
        tx.remove('cluster', now.id)
        tx.create('cluster', { ...now, featureLevel })
      })
    }
    await level(networksLevel - 1)
    agent.send({ kind: { $case: 'description', value } })
    await cluster.clock.advance(1_000)
    t.equal(problems(), undefined)
    await level(networksLevel)
    agent.send({ kind: { $case: 'description', value: { ...value, engineVersion: '2' } } })
    await cluster.clock.advance(1_000)
    t.strictSame(problems(), [{ code: 'BUS_DOWN', message: 'the bus does not run' }])
    t.equal(localSubnet(), undefined, 'it came with a later level')
    await cluster.lead('m2')
    await cluster.clock.advance(1_000)
    t.match(problems(), [{ code: 'BUS_DOWN' }], 'a change of leader changes nothing')
    await level(connectionsLevel)
    agent.send({ kind: { $case: 'description', value: { ...value, engineVersion: '4' } } })
    await cluster.clock.advance(1_000)
    t.equal(localSubnet(), '172.30.0.0/16')
    t.strictSame(offered(), [undefined, undefined], 'they came with a later level')
    await level(optionsLevel)
    agent.send({ kind: { $case: 'description', value: { ...value, engineVersion: '5' } } })
    await cluster.clock.advance(1_000)
    t.strictSame(offered(), [['data-1'], [{ kind: 'gpu', count: 1, names: [] }]])
    const runtimes = () => cluster.store.view((tx) => tx.get('nodes', 'w1')?.description?.runtimes)
    t.equal(runtimes(), undefined, 'they came with a later level')
    await level(runtimesLevel)
    agent.send({ kind: { $case: 'description', value: { ...value, engineVersion: '7' } } })
    await cluster.clock.advance(1_000)
    t.strictSame(runtimes(), ['crun', 'runc'])
    const many = Array.from({ length: 100 }, (_, i) => ({
      ...{ code: 'PORT_TAKEN', serviceId: 's1' },
      message: `port ${i}\n`.repeat(1_000),
    }))
    agent.send({ kind: { $case: 'description', value: { ...value, conditions: many } } })
    await cluster.clock.advance(1_000)
    const kept = problems() ?? []
    t.equal(kept.length, conditionsMax, 'no node tells more than a few')
    t.ok(kept.every(({ message }) => message.length <= conditionMessageMax))
    t.strictSame(kept.at(-1), { code: 'MORE', message: '85 more problems are not shown' })
    const well = { ...value, conditions: [], engineVersion: '3' }
    agent.send({ kind: { $case: 'description', value: well } })
    await cluster.clock.advance(1_000)
    t.equal(problems(), undefined)
  },
)
