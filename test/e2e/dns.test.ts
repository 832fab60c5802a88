// The resolver on a real kernel: it answers inside a data plane and asks in the host's namespace, each a network namespace
// of its own, as are the containers. The name server of the host listens on its loopback only.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { networkId, serviceId, taskId } from '../../proto/objects/ids.ts'
import type { NetworkView } from '../../proto/objects/overlay.ts'
import { ensureNamespace } from '../../worker/network/data-plane.ts'
import {
  createResolverProcess,
  type ResolverProcess,
  type ResolverProcessOptions,
} from '../../worker/network/dns/resolver-process.ts'
import { anEndpoint, anOverlay, aTaskEndpoint, aView } from '../support/dns.ts'
import { createBench, eventually, type FakeContainer, type NetnsBench } from '../support/netns.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)

const transit = '100.127.0.1'
const outside = '192.0.2.1'

interface World {
  readonly bench: NetnsBench
  readonly host: string
  readonly dataPlane: string
  readonly options: Pick<
    ResolverProcessOptions,
    'dir' | 'dataPlaneFile' | 'hostNamespaceFile' | 'resolvConfFile'
  >
  /** A daemon's side, on the same folder. */
  daemon(changes?: Partial<ResolverProcessOptions>): ResolverProcess
}

async function aWorld(t: Test): Promise<World> {
  const bench = await createBench()
  const [host, dataPlane] = [await bench.namespace('host'), await bench.namespace('dataplane')]
  const sysctls = 'cd /proc/sys/net/ipv4; echo 1 >ip_forward; echo 0 >conf/all/rp_filter'
  await bench.run(dataPlane, ['sh', '-c', sysctls])
  await bench.run(dataPlane, ['ip', 'addr', 'add', `${transit}/32`, 'dev', 'lo'])
  const resolvConfFile = join(bench.dir, 'resolv.conf')
  writeFileSync(resolvConfFile, 'nameserver 127.0.0.53\n')
  await aProgram(
    t,
    ['nsenter', `--net=${host}`, '--', process.execPath, program('dns-upstream')],
    ['ready'],
  )
  const options = {
    dir: join(bench.dir, 'run', 'dns'),
    dataPlaneFile: dataPlane,
    hostNamespaceFile: host,
    resolvConfFile,
  }
  const daemons: ResolverProcess[] = []
  const daemon: World['daemon'] = (changes = {}) => {
    const made = createResolverProcess({
      ...options,
      ...{ run: runCommand, clock: systemClock, random: systemRandom, log: silentLogger },
      ...changes,
    })
    daemons.push(made)
    return made
  }
  t.teardown(async () => {
    for (const made of daemons) made.close()
    await daemon().purge()
    await bench.dispose()
  })
  return { bench, host, dataPlane, options, daemon }
}

const program = (name: string): string =>
  fileURLToPath(new URL(`../support/${name}.js`, import.meta.url))

/** A process that has said the lines; killed at the end of the test. */
async function aProgram(
  t: Test,
  [file = '', ...args]: readonly string[],
  lines: readonly string[],
): Promise<ChildProcess> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  await until(() => lines.every((line) => said.includes(line)), `it says ${lines}`)
  return child
}

/** A container of the data plane, as the node's network attaches it, with the resolver's address led there. */
async function aContainer(world: World, name: string, address: string): Promise<FakeContainer> {
  const { bench, dataPlane } = world
  const container = await bench.container()
  const inside = async (script: string): Promise<void> => {
    const result = await runCommand([...container.enter, 'sh', '-ec', script])
    if (result.code !== 0) throw new Error(`${script}: ${result.stderr}`)
  }
  await bench.run(dataPlane, [
    ...['sh', '-ec'],
    `ip link add ${name} type veth peer name eth0 netns ${container.pid}
     ip link set ${name} up; ip route add ${address}/32 dev ${name}
     echo 1 >/proc/sys/net/ipv4/conf/${name}/route_localnet`,
  ])
  await inside(
    `ip link set lo up; ip link set eth0 up; ip addr add ${address}/24 dev eth0 noprefixroute
     ip route add default via ${transit} dev eth0 onlink src ${address}
     echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet
     ip route add table local 127.0.0.11 via ${transit} dev eth0 onlink src ${address}`,
  )
  return container
}

/** What nslookup in the container says, addresses only, in order. */
async function lookUp(container: FakeContainer, name: string): Promise<readonly string[]> {
  const { stdout } = await runCommand([
    ...container.enter,
    ...['busybox', 'nslookup', name, '127.0.0.11'],
  ])
  const answer = stdout
    .split(/^Non-authoritative answer:$|^$/m)
    .slice(1)
    .join('\n')
  return [...answer.matchAll(/^Address: (\S+)$/gm)].map(([, address = '']) => address).sort()
}

/** Over another library, for what nslookup cannot ask. */
async function resolve(container: FakeContainer, call: string): Promise<unknown> {
  const script = `import { Resolver } from 'node:dns/promises'
    const resolver = new Resolver(); resolver.setServers(['127.0.0.11'])
    console.log(JSON.stringify(await resolver.${call}))`
  const argv = [process.execPath, '--input-type=module', '--eval', script]
  const { stdout, stderr } = await runCommand([...container.enter, ...argv])
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout)
}

const stampAt = (index: number) => ({ epoch: 1, index })

const one = aTaskEndpoint({ addresses: ['10.0.1.11'] })
const two = aTaskEndpoint({ taskId: taskId('task2'), slot: 2, addresses: ['10.0.1.12'] })
const other = aTaskEndpoint({
  ...{ taskId: taskId('task3'), serviceId: serviceId('svc2'), addresses: ['10.0.2.13'] },
})
const backend = (...tasks: readonly (typeof one)[]): NetworkView =>
  aView(tasks, [anEndpoint({ mode: 'dnsrr', vips: [] })])
const frontend: NetworkView = aView(
  [other],
  [anEndpoint({ serviceId: serviceId('svc2'), name: 'api', vips: ['10.0.2.2'] })],
  anOverlay({ id: networkId('net2'), name: 'frontend', subnets: ['10.0.2.0/24'] }),
)

t.test('containers find each other by name, and the world through the host', async (t) => {
  const world = await aWorld(t)
  const daemon = world.daemon()
  t.equal(await daemon.start(), 'started')
  daemon.setViews([backend(one, two), frontend], stampAt(1))
  await until(() => daemon.applied()?.index === 1, 'the names are known')
  const a = await aContainer(world, 'va', '10.0.1.11')
  const b = await aContainer(world, 'vb', '10.0.2.13')

  t.same(await lookUp(a, 'web'), ['10.0.1.11', '10.0.1.12'])
  t.same(await lookUp(a, 'tasks.web'), ['10.0.1.11', '10.0.1.12'])
  t.same(await lookUp(a, 'web.2'), ['10.0.1.12'])
  t.same(await lookUp(a, 'api'), [], 'a service of a network it is not on')
  t.same(await lookUp(b, 'api'), ['10.0.2.2'])
  t.same(await lookUp(b, 'web'), [])
  t.same(await resolve(a, `reverse('10.0.1.12')`), ['web.2.task2.backend'])

  t.same(await lookUp(a, 'example.com'), [outside], "the host's loopback is asked from the host")
  const large = await resolve(b, `resolve4('200.example.com')`)
  t.equal(Array.isArray(large) && large.length, 200, 'over TCP all the way')

  daemon.setViews([backend(one, { ...two, isServing: false }), frontend], stampAt(2))
  await until(() => daemon.applied()?.index === 2, 'the change is known')
  t.same(await lookUp(a, 'web'), ['10.0.1.11'], 'names vanish before a task stops')

  const reached = await world.bench.attempt(world.host, [
    'busybox',
    'nslookup',
    'web',
    '127.0.0.11',
  ])
  t.not(reached, 0, 'nobody listens in the host')
})

t.test(
  'a container with name servers of its own has those asked for all but names of networks',
  async (t) => {
    const world = await aWorld(t)
    writeFileSync(join(world.bench.dir, 'resolv.conf'), '')
    const askersDir = join(world.bench.dir, 'askers')
    mkdirSync(askersDir)
    writeFileSync(join(askersDir, '10.0.1.11'), 'nameserver 127.0.0.53\n')
    const daemon = world.daemon({ askersDir })
    await daemon.start()
    daemon.setViews([backend(one, two)], stampAt(1))
    await until(() => daemon.applied()?.index === 1, 'the names are known')
    const a = await aContainer(world, 'va', '10.0.1.11')
    const b = await aContainer(world, 'vb', '10.0.1.12')
    t.same(await lookUp(a, 'example.com'), [outside])
    t.same(await lookUp(a, 'web.2'), ['10.0.1.12'])
    t.same(await lookUp(b, 'example.com'), [], 'the host has none')
    rmSync(join(askersDir, '10.0.1.11'))
    t.same(await lookUp(a, 'example.com'), [])
  },
)

t.test('a killed daemon is not missed, and the next one adopts the resolver', async (t) => {
  const world = await aWorld(t)
  const views = JSON.stringify([backend(one)])
  const argv = [process.execPath, program('dns-daemon'), JSON.stringify(world.options), views]
  const killed = await aProgram(t, argv, ['started', 'applied'])
  const container = await aContainer(world, 'va', '10.0.1.11')
  const pid = readFileSync(`${world.options.dir}/resolver.pid`, 'utf8')
  const ended = new Promise((resolve) => killed.once('exit', resolve))
  killed.kill('SIGKILL')
  await ended
  t.same(await lookUp(container, 'web'), ['10.0.1.11'])
  t.same(await lookUp(container, 'example.com'), [outside], 'the world too')

  const daemon = world.daemon()
  t.equal(await daemon.start(), 'adopted')
  daemon.setViews([backend(one, two)], stampAt(2))
  await until(() => daemon.applied()?.index === 2, 'the new daemon is heard')
  t.same(await lookUp(container, 'web'), ['10.0.1.11', '10.0.1.12'])
  t.equal(readFileSync(`${world.options.dir}/resolver.pid`, 'utf8'), pid)

  daemon.close()
  t.equal(await world.daemon({ version: 'next' }).start(), 'replaced', 'an upgrade')
  t.same(await lookUp(container, 'web'), ['10.0.1.11', '10.0.1.12'], 'the names came along')
  t.same(await lookUp(container, 'example.com'), [outside])
})

t.test('a data plane that is made anew gets a resolver of its own', async (t) => {
  const world = await aWorld(t)
  await world.daemon().start()
  const again = await world.bench.namespace('again')
  const daemon = world.daemon({ dataPlaneFile: again })
  t.equal(await daemon.start(), 'started')
  daemon.setViews([backend(one)], stampAt(1))
  await until(() => daemon.applied() !== undefined, 'it has the names')
  const listening = async (file: string): Promise<boolean> =>
    (await world.bench.run(file, ['cat', '/proc/net/udp'])).includes('0B00007F:0035')
  t.ok(await listening(again))
  t.notOk(await listening(world.dataPlane))

  const stop = new AbortController()
  const running = daemon.run(stop.signal)
  await world.bench.run(undefined, ['umount', '-l', again])
  await ensureNamespace(again, runCommand)
  await world.bench.run(again, ['ip', 'link', 'set', 'lo', 'up'])
  await eventually(() => listening(again), 'it follows while the daemon runs', 30_000)
  stop.abort()
  await running
  await daemon.purge()
  await eventually(async () => !(await listening(again)), 'purged, nothing listens')
})
