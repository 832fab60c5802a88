// What a node hears of overlay networks, and when the kernel is told.
import t from 'tap'
import { NodeBus } from '../../../../cli/daemon/node-bus.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { type NetworkId, networkId, nodeId, type Stamp } from '../../../../proto/objects/index.ts'
import type { OverlayState } from '../../../../worker/network/overlay-state.ts'
import { TestIdentity } from '../../../support/bus-cluster.ts'
import { OverlayWorld } from '../../../support/overlay-news.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const net = networkId('net-1')
const none: ReadonlySet<NetworkId> = new Set()

async function aNode(t: { after(fn: () => Promise<void>): void }) {
  const clock = new VirtualClock()
  const world = new OverlayWorld(clock)
  await world.fill()
  const told: { readonly state: OverlayState; readonly stamp: Stamp }[] = []
  let isBroken = false
  // No manager has a bus: what it hears it has asked for.
  const manager = { nodeId: 'm1', address: '127.0.0.1:1' }
  const bus = new NodeBus({
    identity: new TestIdentity({ certPem: '', keyPem: '', caPem: '' }),
    nodeId: nodeId('w1'),
    managers: () => [manager, { nodeId: 'm2', address: 'nonsense' }],
    dial: ({ address }) => address,
    sessionManager: () => manager,
    transport: world.transport('w1'),
    network: {
      setOverlay: async (state, stamp) => {
        told.push({ state, stamp })
        if (isBroken) throw new Error('the kernel refuses')
      },
    },
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
  const setBroken = (value: boolean): void => {
    isBroken = value
  }
  return { clock, world, bus, told, setBroken }
}

t.test('the kernel is told once everything is known, and after each change', async (t) => {
  const { clock, world, bus, told, setBroken } = await aNode(t)
  t.strictSame(
    told,
    [],
    'nobody said yet which networks it holds: what the kernel has may be right',
  )
  bus.holdForTasks(new Set([net]))
  await clock.advance(5_000)
  t.strictSame(told, [])
  bus.holdAnyway(none)
  await clock.advance(5_000)
  const first = told.at(-1)
  t.match(first?.state, { nodeId: 'w1', paths: [{}, {}], views: [{ tasks: [{}] }] })
  setBroken(true)
  await world.addTask('task-2', 'w2', '10.1.0.3')
  await clock.advance(6_000)
  t.match(told.at(-1)?.state.views, [{ tasks: [{}, {}] }])
  t.ok((told.at(-1)?.stamp.index ?? 0) > (first?.stamp.index ?? 0), 'as of later')
  bus.holdForTasks(none)
  t.strictSame(told.at(-1)?.state.views, [], 'a network that is held no more')
  t.equal(told.at(-1)?.state.paths.length, 2)
  await bus.forget()
  t.strictSame(told.at(-1)?.state.paths, [], 'a node that leaves has no way to others')
})

t.test('without a server it says why', async (t) => {
  const { bus } = await aNode(t)
  t.match(bus.status(), { server: undefined })
})
