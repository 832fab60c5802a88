// Nodes fetch overlay networks over real gRPC, from whichever manager answers.
import t from 'tap'
import { systemClock } from '../../../proto/lib/clock.ts'
import { silentLogger } from '../../../proto/lib/log.ts'
import { systemRandom } from '../../../proto/lib/random.ts'
import { networkId } from '../../../proto/objects/index.ts'
import { OverlayFeed } from '../../../worker/overlay-feed.ts'
import { grpcSessionTransport } from '../../../worker/session-grpc.ts'
import { GrpcCluster } from '../../support/grpc-cluster.ts'
import { aNetwork, aService, aSpecRecord, aTask } from '../../support/objects.ts'
import { PipeBus } from '../../support/overlay-news.ts'
import { until } from '../../support/until.ts'

const onNetwork = (id: string, address: string) =>
  aTask({ id, node: 'w1', specHash: 'spec-2', attachments: { 'net-1': [address] } })

t.test('a node is told of its networks by any manager, and a stranger of none', async (t) => {
  const cluster = await GrpcCluster.start(['m1', 'm2'], ['w1'])
  t.teardown(() => cluster.stop())
  const net = networkId('net-1')
  await cluster.store.update((tx) => {
    tx.create('networks', aNetwork({ id: 'net-1', name: 'front' }))
    const task = { networks: [{ target: 'net-1' }] }
    tx.create('taskSpecs', aSpecRecord('spec-2', task))
    tx.create('services', aService({ id: 'service-1', specHash: 'spec-2', task }))
    tx.create('tasks', onNetwork('a', '10.1.0.2'))
  })
  const life = new AbortController()
  const running: Promise<void>[] = []
  t.teardown(async () => {
    life.abort()
    await Promise.all(running)
  })
  const aFeed = async (name: string): Promise<OverlayFeed> => {
    const identity = await cluster.nodeIdentity(name)
    const bus = new PipeBus()
    bus.set(false)
    const feed = new OverlayFeed({
      bus: bus.reader(),
      transport: grpcSessionTransport({ identity: () => identity }),
      sessionManager: () => cluster.addresses()[0],
      managers: () => cluster.addresses(),
      onKnowledge: () => {},
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      timing: { blindMs: 50 },
    })
    running.push(feed.run(life.signal))
    feed.hold([net])
    return feed
  }
  const feed = await aFeed('w1')
  const stranger = await aFeed('w9')
  const tasks = () => feed.known.views.get(net)?.tasks.length ?? 0
  await until(() => tasks() === 1, 'the first manager tells')
  await until(() => stranger.counts.failures > 2, 'the stranger is refused')
  t.match(stranger.known, { isComplete: false, pathsStamp: undefined })
  await cluster.kill('m1')
  await cluster.store.update((tx) => tx.create('tasks', onNetwork('b', '10.1.0.3')))
  await until(() => tasks() === 2, 'the other manager tells', 20_000)
})
