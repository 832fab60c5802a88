// Nodes fetch overlay networks over real gRPC, from whichever manager answers.
import t from 'tap'
import { systemClock } from '../../../proto/lib/clock.ts'
import { silentLogger } from '../../../proto/lib/log.ts'
import { systemRandom } from '../../../proto/lib/random.ts'
import { networkId } from '../../../proto/objects/index.ts'
import { OverlayFeed } from '../../../worker/overlay-feed.ts'
import { grpcSessionTransport } from '../../../worker/session-grpc.ts'
import { GrpcCluster } from '../../support/grpc-cluster.ts'
import { aNetwork, aService, aTask } from '../../support/objects.ts'
import { PipeBus } from '../../support/overlay-news.ts'
import { until } from '../../support/until.ts'

t.test('a node is told of its networks by any manager, and a stranger of none', async (t) => {
  const cluster = await GrpcCluster.start(['m1', 'm2'], ['w1'])
  t.teardown(() => cluster.stop())
  const net = networkId('net-1')
  await cluster.store.update((tx) => {
    tx.create('networks', aNetwork({ id: 'net-1', name: 'front' }))
    const task = { networks: [{ target: 'net-1' }] }
    tx.create('services', aService({ id: 'service-1', name: 'web', task }))
    tx.create('tasks', aTask({ node: 'w1', attachments: { 'net-1': ['10.1.0.2'] } }))
  })
  const identity = await cluster.nodeIdentity('w1')
  const bus = new PipeBus()
  bus.set(false)
  let session = cluster.addresses()[0]
  const feed = new OverlayFeed({
    bus: bus.reader(),
    transport: grpcSessionTransport({ identity: () => identity }),
    sessionManager: () => session,
    managers: () => cluster.addresses(),
    onKnowledge: () => {},
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    timing: { blindMs: 50 },
  })
  const life = new AbortController()
  const running = feed.run(life.signal)
  feed.hold([net])
  const tasks = () => feed.known.views.get(net)?.tasks.length ?? 0
  await until(() => tasks() === 1, 'the first manager tells')
  await cluster.kill('m1')
  await cluster.store.update((tx) =>
    tx.create('tasks', aTask({ id: 'b', node: 'w1', attachments: { 'net-1': ['10.1.0.3'] } })),
  )
  await until(() => tasks() === 2, 'the other manager tells', 20_000)
  session = undefined
  life.abort()
  await running
})
