// The bus of a manager follows the nodes that the store has.
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createManagerBus, type ManagerBus } from '../../../../manager/bus/manager-bus.ts'
import { createRootCa, issueCertificate } from '../../../../manager/ca/root-ca.ts'
import type { KnownManager } from '../../../../manager/membership/address-book.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { busPortOffset, busRoutePortOffset } from '../../../../proto/bus/ports.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { nodeId, raftId } from '../../../../proto/objects/index.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'
import { commandOf, TestIdentity } from '../../../support/bus-cluster.ts'
import { freePort } from '../../../support/free-ports.ts'
import { aNode } from '../../../support/objects.ts'
import { until } from '../../../support/until.ts'

const self = nodeId('m1')
const basics = { clock: systemClock, random: systemRandom, log: silentLogger }

function known(id: string, address: string): KnownManager {
  const info = { raftId: raftId(`r-${id}`), address, raftAddress: address }
  return { nodeId: nodeId(id), info }
}

async function anIdentity(): Promise<TestIdentity> {
  const root = await createRootCa(systemClock.wallMs())
  const { csrPem, keyPem } = await createNodeKey()
  const subject = { nodeId: self, role: 'manager', clusterId: 'c1' } as const
  const nowMs = systemClock.wallMs()
  const certPem = await issueCertificate(root, { subject, csrPem, nowMs, lifeMs: 3_600_000 })
  return new TestIdentity({ certPem: certPem + root.certPem, keyPem, caPem: root.certPem })
}

/** A control port whose bus ports are free. */
const controlPort = (): Promise<number> => freePort([busPortOffset, busRoutePortOffset])

async function aBus(t: { after(fn: () => Promise<void>): void }, listenAddress: string) {
  const directory = mkdtempSync(join(tmpdir(), 'tsswarm-manager-bus-'))
  const store = createMemoryStore(basics)
  const managers = [known('m1', listenAddress)]
  const identity = await anIdentity()
  const deps = {
    ...basics,
    nodeId: self,
    clusterId: 'c1',
    store,
    listenAddress,
    directory,
    identity,
  }
  const bus: ManagerBus = createManagerBus({ ...deps, managers: () => managers, silentMs: 1_000 })
  const life = new AbortController()
  const running = bus.loops.map(({ run }) => run(life.signal))
  const stop = async (): Promise<void> => {
    life.abort()
    await Promise.all(running)
  }
  t.after(stop)
  const config = (): string => readFileSync(join(directory, 'nats.conf'), 'utf8')
  const hosts = (): string => readFileSync(join(directory, 'hosts'), 'utf8')
  const pid = (): number => Number(readFileSync(join(directory, 'pid'), 'utf8'))
  return { bus, store, managers, config, hosts, pid, directory, stop }
}

t.test('it begins once this node is a manager, and knows whoever joins', async (t) => {
  const { bus, store, managers, config, hosts } = await aBus(t, `127.0.0.1:${await controlPort()}`)
  t.notOk(bus.client.isConnected)
  await store.update((tx) => tx.create('nodes', aNode({ id: 'm1', role: 'manager' })))
  await until(() => bus.client.isConnected, 'its own server runs', 30_000)
  t.strictSame(bus.client.status().server, 'm1')
  t.equal(bus.problem(), undefined)
  await store.update((tx) => tx.create('nodes', aNode({ id: 'w1' })))
  await until(() => config().includes('"w1"'), 'the worker is let in')
  t.match(
    config(),
    /"w1", permissions: \{publish: \["_INBOX.w1.>"\], subscribe: \["tsswarm.cluster.>"/,
  )
  t.match(config(), /"m1", permissions: \{publish: \["tsswarm.>"/)
  managers.push(known('m2', '10.9.9.9:2377'))
  bus.moved()
  await until(() => config().includes('nats-route://m2:6222'), 'the other manager is dialled')
  t.match(hosts(), /10\.9\.9\.9 m2/)
  await store.update((tx) => tx.remove('nodes', 'w1'))
  await until(() => !config().includes('"w1"'), 'the worker is out')
  t.equal(bus.problem(), undefined, 'it runs on all the while')
})

t.test('a server that hangs is replaced, and nothing of it is left at the end', async (t) => {
  const { bus, store, pid, directory, stop } = await aBus(t, `127.0.0.1:${await controlPort()}`)
  await store.update((tx) => tx.create('nodes', aNode({ id: 'm1', role: 'manager' })))
  await until(() => bus.client.isConnected, 'its own server runs', 30_000)
  const before = pid()
  process.kill(before, 'SIGSTOP')
  await until(() => pid() !== before && bus.client.isConnected, 'another one serves', 60_000)
  await stop()
  t.notOk(existsSync(directory), 'its key is gone')
  t.equal(commandOf(before), '')
})

t.test('a control port that leaves no room for the bus is a problem, not a failure', async (t) => {
  const { bus, store } = await aBus(t, '0.0.0.0:65000')
  await store.update((tx) => tx.create('nodes', aNode({ id: 'm1', role: 'manager' })))
  t.match(bus.problem(), /its control port is too high, the bus would listen 3845 above/)
})

t.test('the wildcard and a bare port are listened to, the loopback is dialled', async (t) => {
  const { bus, store, config } = await aBus(t, `:${await controlPort()}`)
  await store.update((tx) => tx.create('nodes', aNode({ id: 'm1', role: 'manager' })))
  await until(() => bus.client.isConnected, 'its own server runs', 30_000)
  t.match(config(), /^host: "0\.0\.0\.0"$/m)
})
