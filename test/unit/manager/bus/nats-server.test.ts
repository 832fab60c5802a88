// The bus with real nats-servers and real certificates: who gets in, who may say what, and what happens when a server ends.
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { NatsServer } from '../../../../manager/bus/nats-server.ts'
import { createRootCa } from '../../../../manager/ca/root-ca.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import { BusCluster, commandOf } from '../../../support/bus-cluster.ts'
import { until } from '../../../support/until.ts'

const news = 'tsswarm.cluster.news'
const bytes = (text: string): Uint8Array => Buffer.from(text)

t.test('three managers, one worker', async (t) => {
  const cluster = await BusCluster.start(3)
  t.after(() => cluster.stop())
  const [first, second] = cluster.servers
  if (first === undefined || second === undefined) throw new Error('no servers')
  cluster.members = [...cluster.members, { id: nodeId('w1'), role: 'worker' }]
  cluster.changed()
  const manager = await cluster.client('m1', 'manager', { only: first })
  const worker = await cluster.client('w1', 'worker', { only: second })
  const heard: string[] = []
  worker.subscribe(news, (message) => heard.push(Buffer.from(message).toString()))
  await until(() => worker.isConnected && manager.isConnected, 'both are connected')
  const hears = async (text: string): Promise<void> => {
    const signal = AbortSignal.timeout(20_000)
    await until(() => {
      manager.publish(news, bytes(text))
      return heard.includes(text)
    }, `the worker hears ${text}`)
    await manager.flush(signal)
  }

  await t.test('what a manager says at one server is heard at another one', () => hears('one'))

  await t.test('a worker may neither speak nor listen to what is not its', async (t) => {
    const foreign: string[] = []
    const note = (message: Uint8Array) => foreign.push(Buffer.from(message).toString())
    worker.subscribe('tsswarm.node.w2.secret', note)
    worker.subscribe('_INBOX.>', note)
    worker.publish(news, bytes('forged'))
    worker.publish('_INBOX.m1.x', bytes('forged'))
    t.ok(await worker.flush(AbortSignal.timeout(5_000)), 'it is not thrown out')
    manager.publish('tsswarm.node.w2.secret', bytes('secret'))
    await hears('two')
    t.strictSame(foreign, [])
    t.notOk(heard.includes('forged'))
  })

  await t.test('its own subject and inbox are its', async () => {
    const own: string[] = []
    worker.subscribe('tsswarm.node.w1.x', () => own.push('node'))
    worker.subscribe('_INBOX.w1.x', () => own.push('inbox'))
    await worker.flush(AbortSignal.timeout(5_000))
    manager.publish('tsswarm.node.w1.x', bytes(''))
    worker.publish('_INBOX.w1.x', bytes(''))
    await until(() => own.includes('node') && own.includes('inbox'), 'it hears what is its')
  })

  await t.test('another root, and a node that the store does not have, stay outside', async (t) => {
    const root = await createRootCa(systemClock.wallMs())
    const stranger = await cluster.client('w1', 'worker', { root })
    const unknown = await cluster.client('w9', 'worker')
    await until(() => stranger.status().failure !== undefined, 'the stranger is refused')
    await until(() => unknown.status().failure !== undefined, 'the unknown node is refused')
    t.match(unknown.status().failure, /Authorization Violation/)
    t.notOk(stranger.isConnected || unknown.isConnected)
  })

  await t.test('a new certificate is shown without anybody being cut off', async () => {
    const { pid } = first
    const before = pid()
    first.identity.replace(await cluster.identity('m1', 'manager'))
    await hears('three')
    if (pid() !== before) throw new Error('the server was started anew')
  })

  await t.test('a server that is killed is started again', async (t) => {
    const before = second.pid()
    t.match(commandOf(before), /nats-server/)
    process.kill(before, 'SIGKILL')
    await until(() => second.pid() !== before && second.pid() !== 0, 'another one runs', 20_000)
    await hears('four')
  })

  await t.test('a removed node is out at once', async () => {
    cluster.members = cluster.members.filter(({ id }) => id !== 'w1')
    cluster.changed()
    await until(() => !worker.isConnected, 'it is cut off')
    await until(() => worker.status().failure !== undefined, 'and refused')
  })

  await t.test('a removed manager is no part of the bus any more', async () => {
    cluster.members = cluster.members.filter(({ id }) => id !== 'm3')
    const third = cluster.servers[2]
    const listener = await cluster.client('m2', 'manager', { only: second })
    const said: string[] = []
    listener.subscribe(news, (message) => said.push(Buffer.from(message).toString()))
    await until(() => listener.isConnected, 'the other manager listens')
    first.server.changed()
    second.server.changed()
    // It believes itself a manager still, and its certificate is valid.
    const removed = await cluster.client('m3', 'manager', third && { only: third })
    await until(() => removed.isConnected || removed.status().failure !== undefined, 'm3 tries')
    const endsAtMs = systemClock.monotonicMs() + 1_500
    await until(() => {
      removed.publish(news, bytes('forged'))
      return systemClock.monotonicMs() > endsAtMs
    }, 'it had its time')
    said.length = 0
    await until(() => {
      removed.publish(news, bytes('forged'))
      manager.publish(news, bytes('five'))
      return said.includes('five')
    }, 'managers go on')
    if (said.includes('forged')) throw new Error('the removed manager was heard')
  })
})

t.test('without nats-server the status says what to do', async (t) => {
  const cluster = await BusCluster.start(1, '/nonexistent')
  t.after(() => cluster.stop())
  const [server] = cluster.servers
  await server?.reaches('down')
  t.match(server?.server.status(), { reason: /not installed: apt-get install nats-server/ })
})

t.test('a port that is taken is named, and the bus runs once it is free', async (t) => {
  const cluster = await BusCluster.start(1)
  t.after(() => cluster.stop())
  const [server] = cluster.servers
  if (server === undefined) throw new Error('no server')
  const directory = join(cluster.directory, 'other')
  const life = new AbortController()
  const plan = () => {
    const host = '127.0.0.1'
    const listen = { host, clientPort: server.clientPort, routePort: server.clientPort }
    const members = [{ id: nodeId('m1'), role: 'manager' as const }]
    return { self: nodeId('m1'), clusterId: 'c1', listen, members, managers: [] }
  }
  const other = new NatsServer({
    directory,
    plan,
    identity: () => server.identity.current(),
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  })
  const running = other.run(life.signal)
  await until(() => other.status().kind === 'down', 'the second server cannot run', 20_000)
  const status = other.status()
  t.match(status.kind === 'down' ? status.reason : '', /address already in use/)
  life.abort()
  await running
})

t.test('a server that was left behind is ended first', async (t) => {
  const cluster = await BusCluster.start(1)
  t.after(() => cluster.stop())
  const directory = join(cluster.directory, 'left')
  mkdirSync(directory)
  const leftover = spawn('sh', ['-c', 'read line', 'sh', join(directory, 'nats.conf')], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const ended = new Promise((resolve) => leftover.on('exit', resolve))
  writeFileSync(join(directory, 'pid'), String(leftover.pid))
  const life = new AbortController()
  const identity = () =>
    cluster.servers[0]?.identity.current() ?? { certPem: '', keyPem: '', caPem: '' }
  const server = new NatsServer({
    directory,
    plan: () => undefined,
    identity,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  })
  const running = server.run(life.signal)
  await ended
  t.strictSame(server.status(), { kind: 'waiting' })
  life.abort()
  await running
})
