// What a node hears of overlay networks, and when it is told on.
import t from 'tap'
import { NodeBus } from '../../../../cli/daemon/node-bus.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { type NetworkId, networkId, nodeId } from '../../../../proto/objects/index.ts'
import type { OverlayKnowledge } from '../../../../worker/overlay-feed.ts'
import { TestIdentity } from '../../../support/bus-cluster.ts'
import { OverlayWorld } from '../../../support/overlay-news.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const net = networkId('net-1')
const none: ReadonlySet<NetworkId> = new Set()

async function aNode(t: { after(fn: () => Promise<void>): void }) {
  const clock = new VirtualClock()
  const world = new OverlayWorld(clock)
  await world.fill()
  const told: OverlayKnowledge[] = []
  // No manager has a bus: what it hears it has asked for.
  const manager = { nodeId: 'm1', address: '127.0.0.1:1' }
  const bus = new NodeBus({
    identity: new TestIdentity({ certPem: '', keyPem: '', caPem: '' }),
    nodeId: nodeId('w1'),
    managers: () => [manager, { nodeId: 'm2', address: 'nonsense' }],
    dial: ({ address }) => address,
    sessionManager: () => manager,
    transport: world.transport('w1'),
    follow: (now) => told.push(now),
    confirm: () => {},
    clock,
    random: seededRandom(1),
    log: silentLogger,
  })
  const life = new AbortController()
  const running = bus.loops.map(({ run }) => run(life.signal))
  t.after(async () => {
    life.abort()
    await clock.advance(10_000)
    await Promise.all(running)
    const stopped = world.stop()
    await clock.advance(1)
    await stopped
  })
  await clock.advance(100)
  return { clock, world, bus, told }
}

t.test(
  'what is known is told on once it is known what all nodes hold, and after each change',
  async (t) => {
    const { clock, world, bus, told } = await aNode(t)
    bus.holdForTasks(new Set([net]))
    await clock.advance(5_000)
    t.strictSame(
      told,
      [],
      'nobody said yet which networks all hold: what the kernel has may be right',
    )
    bus.holdAnyway(none)
    await clock.advance(5_000)
    const tasks = () => told.at(-1)?.views.get(net)?.tasks.length
    t.match(told.at(-1), { isComplete: true, paths: [{}, {}] })
    t.equal(tasks(), 1)
    const before = told.at(-1)?.stamps.get(net)?.index ?? 0
    await world.addTask('task-2', 'w2', '10.1.0.3')
    await clock.advance(6_000)
    t.equal(tasks(), 2)
    t.ok((told.at(-1)?.stamps.get(net)?.index ?? 0) > before, 'as of later')
    bus.holdForTasks(none)
    t.equal(told.at(-1)?.views.size, 0, 'a network that is held no more')
    t.equal(told.at(-1)?.paths.length, 2)
  },
)

t.test('a node that holds nothing says so, once', async (t) => {
  const { clock, bus, told } = await aNode(t)
  bus.holdForTasks(none)
  bus.holdAnyway(none)
  bus.holdAnyway(none)
  t.match(told, [{ isComplete: true, paths: [{}, {}] }])
  t.equal(told[0]?.views.size, 0)
  await clock.advance(10_000)
  t.equal(told.length, 1)
})

t.test('without a server it says why', async (t) => {
  const { bus } = await aNode(t)
  t.match(bus.status(), { server: undefined })
})
