// Nodes follow overlay networks over real nats-servers that are killed.
import t from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { networkId, nodeId } from '../../../../proto/objects/index.ts'
import { BusCluster } from '../../../support/bus-cluster.ts'
import { OverlayWorld } from '../../../support/overlay-news.ts'
import { until } from '../../../support/until.ts'

t.test('readers converge whatever servers are killed', async (t) => {
  const cluster = await BusCluster.start(3)
  const world = new OverlayWorld(systemClock)
  t.after(async () => {
    await world.stop()
    await cluster.stop()
  })
  await world.fill()
  const [first, second, third] = cluster.servers
  if (first === undefined || second === undefined || third === undefined) {
    throw new Error('no servers')
  }
  cluster.members = [
    ...cluster.members,
    { id: nodeId('w1'), role: 'worker' },
    { id: nodeId('w2'), role: 'worker' },
  ]
  cluster.changed()
  world.lead(await cluster.client('m1', 'manager', { only: first }))
  const timing = { blindMs: 500, jitterMs: 50 }
  const near = world.node('w1', await cluster.client('w1', 'worker'), timing)
  const far = world.node('w2', await cluster.client('w2', 'worker', { only: third }), timing)
  const feeds = [near, far]
  let tasks = 1
  const grows = async (what: string): Promise<void> => {
    tasks += 1
    await world.addTask(`task-${tasks}`, 'w2', `10.1.0.${tasks + 1}`)
    const want = world.serving(near).length
    await until(
      () => feeds.every((feed) => world.serving(feed).length === tasks),
      `${what}: ${tasks} tasks everywhere, there were ${want}`,
      20_000,
    )
  }
  for (const feed of feeds) feed.hold([networkId('net-1')])
  await grows('at first')

  await t.test('over the bus alone', async (t) => {
    await until(() => feeds.every((feed) => feed.counts.fetches > 0), 'all have asked')
    await grows('once connected')
    // Tips are a second apart: a change that has to be fetched takes longer than this.
    const startMs = systemClock.monotonicMs()
    for (let n = 0; n < 20; n++) await grows('a change')
    const eachMs = (systemClock.monotonicMs() - startMs) / 20
    t.ok(eachMs < 250, `${Math.round(eachMs)} ms a change`)
  })

  await t.test('kill -9 of each server in turn', async () => {
    for (const server of cluster.servers) {
      const before = server.pid()
      process.kill(before, 'SIGKILL')
      await grows('while it is away')
      await until(() => server.pid() !== before && server.pid() !== 0, 'it is back', 20_000)
      await grows('when it is back')
    }
  })

  await t.test('all of them dead, and back', async () => {
    cluster.setDead(true)
    await grows('without a bus')
    await grows('without a bus, again')
    cluster.setDead(false)
    for (const server of cluster.servers) await server.reaches('running')
    await grows('with the bus again')
  })

  await t.test('a worker that forges changes is not heard', async (t) => {
    const forger = await cluster.client('w2', 'worker', { only: third })
    await until(() => forger.isConnected, 'it is connected', 20_000)
    forger.publish('tsswarm.cluster.network.net-1', Buffer.from([0xff]))
    t.ok(await forger.flush(AbortSignal.timeout(5_000)))
    await grows('over honest news')
    t.equal(near.counts.refused + far.counts.refused, 0, 'garbage would have been noticed')
  })
})
