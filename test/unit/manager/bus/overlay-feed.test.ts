// Overlay networks from the leader's commits to the nodes that hold them, over a bus that loses what the test wants.
import t from 'tap'
import { networkSubject } from '../../../../proto/bus/subjects.ts'
import type { FetchOverlayPart } from '../../../../proto/gen/tsswarm/v1/dispatcher.ts'
import { networkId, nodeId, type Stamp } from '../../../../proto/objects/index.ts'
import { OverlayWorld, PipeBus } from '../../../support/overlay-news.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const net = networkId('net-1')
const subject = networkSubject(net)

async function aWorld() {
  const clock = new VirtualClock()
  const world = new OverlayWorld(clock)
  await world.fill()
  const bus = new PipeBus()
  const feed = world.node('w1', bus.reader())
  feed.hold([net])
  await clock.advance(1)
  world.lead(bus)
  await clock.advance(1)
  return { clock, world, bus, feed }
}

type World = Awaited<ReturnType<typeof aWorld>>

async function tested(t: { after(fn: () => Promise<void>): void }): Promise<World> {
  const made = await aWorld()
  t.after(async () => {
    const stopped = made.world.stop()
    await made.clock.advance(10_000)
    await stopped
  })
  return made
}

t.test('a node learns the state once, and every change over the bus', async (t) => {
  const { clock, world, feed } = await tested(t)
  t.strictSame(world.serving(feed), ['10.1.0.2'])
  t.match(feed.known, { isComplete: true, paths: [{ nodeId: 'w1', mark: 1 }, { nodeId: 'w2' }] })
  const { fetches } = world
  await world.addTask('task-2', 'w2', '10.1.0.3')
  await clock.advance(50)
  t.strictSame(world.serving(feed), ['10.1.0.2', '10.1.0.3'])
  await world.retire('task-1')
  await clock.advance(50)
  t.strictSame(world.serving(feed), ['10.1.0.3'])
  t.equal(world.fetches, fetches, 'nothing had to be fetched')
})

t.test('what travels together arrives together, once', async (t) => {
  const { clock, world, bus, feed } = await tested(t)
  const before = bus.published
  for (let n = 0; n < 20; n++) await world.addTask(`task-${n + 10}`, 'w2', `10.1.1.${n}`)
  await clock.advance(50)
  t.equal(world.serving(feed).length, 21)
  t.ok(bus.published - before <= 3, `${bus.published - before} messages`)
})

t.test('a lost message is noticed at the next tip', async (t) => {
  const { clock, world, bus, feed } = await tested(t)
  bus.loses = (which) => which === subject
  await world.addTask('task-2', 'w2', '10.1.0.3')
  await clock.advance(50)
  bus.loses = () => false
  t.strictSame(world.serving(feed), ['10.1.0.2'])
  await clock.advance(1_500)
  t.strictSame(world.serving(feed), ['10.1.0.2', '10.1.0.3'])
  t.ok(feed.counts.gaps > 0)
})

t.test('a new leader goes on where the last one ended', async (t) => {
  const { clock, world, bus, feed } = await tested(t)
  await world.resign()
  bus.loses = () => true
  await world.addTask('task-2', 'w2', '10.1.0.3')
  bus.loses = () => false
  t.strictSame(world.serving(feed), ['10.1.0.2'], 'nobody told')
  world.lead(bus)
  await clock.advance(300)
  t.strictSame(world.serving(feed), ['10.1.0.2', '10.1.0.3'], 'its first tip tells')
  const { fetches } = world
  await world.resign()
  world.lead(bus)
  await world.addTask('task-3', 'w2', '10.1.0.4')
  await clock.advance(300)
  t.equal(world.serving(feed).length, 3)
  t.equal(world.fetches, fetches, 'a change of leaders costs the nodes nothing')
})

t.test('without a bus nodes compare, and find it again', async (t) => {
  const { clock, world, bus, feed } = await tested(t)
  bus.set(false)
  await world.addTask('task-2', 'w2', '10.1.0.3')
  await clock.advance(5_000)
  t.strictSame(world.serving(feed), ['10.1.0.2', '10.1.0.3'])
  bus.set(true)
  await world.addTask('task-3', 'w2', '10.1.0.4')
  await clock.advance(500)
  t.equal(world.serving(feed).length, 3)
})

t.test('a bus on which nothing is heard counts as none', async (t) => {
  const { clock, world, bus, feed } = await tested(t)
  bus.loses = () => true
  await world.addTask('task-2', 'w2', '10.1.0.3')
  await clock.advance(2_600)
  t.ok(bus.abandoned > 0, 'another server is tried')
  await clock.advance(7_400)
  t.strictSame(world.serving(feed), ['10.1.0.2', '10.1.0.3'])
})

t.test('with no manager to ask a node keeps what it knows, and asks again', async (t) => {
  const { clock, world, bus, feed } = await tested(t)
  world.areManagersUp = false
  bus.set(false)
  await world.addTask('task-2', 'w2', '10.1.0.3')
  await clock.advance(20_000)
  t.strictSame(world.serving(feed), ['10.1.0.2'])
  t.ok(feed.counts.failures > 0)
  world.areManagersUp = true
  await clock.advance(10_000)
  t.strictSame(world.serving(feed), ['10.1.0.2', '10.1.0.3'])
})

t.test('a session that begins is a reason to ask at once', async (t) => {
  for (const silent of [false, true]) {
    const { clock, world, bus, feed } = await tested(t)
    bus.set(false)
    world.areManagersUp = silent
    world.areManagersSilent = silent
    await clock.advance(60_000)
    await world.addTask('task-2', 'w2', '10.1.0.3')
    const { fetches } = world
    world.areManagersUp = true
    world.areManagersSilent = false
    await clock.advance(1)
    t.strictSame(world.serving(feed), ['10.1.0.2'], 'it waits for the next try')
    feed.renew()
    await clock.advance(300)
    t.strictSame(world.serving(feed), ['10.1.0.2', '10.1.0.3'])
    t.ok(world.fetches > fetches)
  }
})

t.test('bytes that are no message are followed by a question', async (t) => {
  const { clock, world, bus, feed } = await tested(t)
  const { fetches } = world
  bus.inject(subject, Buffer.from([0xff, 0xff, 0xff]))
  await clock.advance(1_000)
  t.equal(world.fetches, fetches + 1)
  t.equal(feed.counts.refused, 1)
  t.strictSame(world.serving(feed), ['10.1.0.2'])
})

t.test('a network is told only to nodes that have something on it', async (t) => {
  const { clock, world, bus } = await tested(t)
  const other = world.node('w2', bus.reader())
  other.hold([net])
  await clock.advance(500)
  t.match(other.known, { isComplete: true, paths: [{}, {}] })
  t.strictSame([...other.known.views], [])
  await world.addTask('task-2', 'w2', '10.1.0.3')
  await clock.advance(1_000)
  t.strictSame(world.serving(other), ['10.1.0.2', '10.1.0.3'], 'it is its network from now on')
})

t.test('a removed network ends, a removed node loses its path', async (t) => {
  const { clock, world, feed } = await tested(t)
  await world.store.update((tx) => {
    tx.remove('tasks', 'task-1')
    tx.remove('networks', net)
    tx.remove('nodes', nodeId('w2'))
  })
  await clock.advance(200)
  t.strictSame([...feed.known.views], [])
  t.match(feed.known.paths, [{ nodeId: 'w1' }])
  t.equal(feed.known.paths.length, 1)
})

t.test('what is held no more is forgotten', async (t) => {
  const { clock, world, feed } = await tested(t)
  feed.hold([])
  t.strictSame([...feed.known.views], [])
  await world.addTask('task-2', 'w2', '10.1.0.3')
  await clock.advance(100)
  t.strictSame([...feed.known.views], [])
  t.ok(feed.known.isComplete)
})

t.test('a network too large for a message is fetched', async (t) => {
  const { clock, world, bus, feed } = await tested(t)
  const { fetches } = world
  for (let at = 0; at < 40; at++) {
    await world.store.update((tx) => {
      for (let n = 0; n < 100; n++) {
        const id = `task-${at}-${n}`
        const task = tx.get('tasks', 'task-1')
        if (task === undefined) throw new Error('no task')
        const attachments = [{ networkId: net, addresses: [`10.2.${at}.${n}`, 'x'.repeat(300)] }]
        tx.create('tasks', {
          ...task,
          id: id as typeof task.id,
          slot: 100 * at + n + 2,
          attachments,
        })
      }
    })
  }
  t.ok(bus.isUp)
  await clock.advance(2_000)
  t.equal(feed.known.views.get(net)?.tasks.length, 4_001)
  t.ok(world.fetches > fetches)
})

t.test('the answer to a question', async (t) => {
  const { world } = await tested(t)
  const ask = async (
    asOf: Stamp | undefined,
    name = 'w1',
  ): Promise<readonly FetchOverlayPart[]> => {
    const parts: FetchOverlayPart[] = []
    const request = { networks: [{ id: net, asOf }], paths: { id: '', asOf } }
    const { signal } = world.life
    const manager = { nodeId: 'm1', address: '' }
    for await (const part of world.transport(name).fetchOverlay(manager, request, signal)) {
      parts.push(part)
    }
    return parts
  }
  const kinds = (parts: readonly FetchOverlayPart[]) => parts.map(({ kind }) => kind?.$case)
  t.strictSame(kinds(await ask(undefined)), ['paths', 'view'])
  t.strictSame(kinds(await ask({ epoch: 1, index: 1_000 })), ['unchanged', 'unchanged'])
  t.strictSame(kinds(await ask({ epoch: 0, index: 1_000 })), ['paths', 'view'], 'an old epoch')
  t.strictSame(kinds(await ask(undefined, 'w2')), ['paths', 'notHeld'])
  const many = Array.from({ length: 5_000 }, () => ({ id: 'x', asOf: undefined }))
  const request = { networks: many, paths: undefined }
  const answer = world
    .transport('w1')
    .fetchOverlay({ nodeId: '', address: '' }, request, world.life.signal)
  await t.rejects(
    (async () => {
      for await (const part of answer) t.fail(part.id)
    })(),
    { code: 'INVALID_ARGUMENT' },
  )
})
