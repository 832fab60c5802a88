// Ports in host mode on a real kernel, of both families, with bind addresses and source ranges: a simulated host, two clients,
// fake containers on the local network.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import type { HostPort } from '../../worker/executor/network-attacher.ts'
import { createNodeNetwork, type NodeNetwork } from '../../worker/network/node-network.ts'
import { createBench, eventually, type FakeContainer, type NetnsBench } from '../support/netns.ts'
import { pings } from '../support/overlay-world.ts'
import { ask, askBriefly, endTalks, isSilent, serve } from '../support/talk.ts'

t.setTimeout(300_000)

const never = new AbortController().signal
const host4 = '10.77.0.1'
const host6 = 'fd97::1'
/** Of the clients `near` and `far`. */
const near = ['10.77.0.2', 'fd97::2'] as const
const far = ['10.77.0.130', 'fd97::8000:0:0:2'] as const

interface World {
  readonly bench: NetnsBench
  readonly host: string
  readonly near: readonly string[]
  readonly far: readonly string[]
  readonly network: NodeNetwork
  again(): NodeNetwork
}

const inNs = (file: string): readonly string[] => ['nsenter', `--net=${file}`, '--']

async function aWorld(t: Test): Promise<World> {
  const bench = await createBench()
  const [host, one, other] = await Promise.all(['host', 'near', 'far'].map(bench.namespace))
  if (host === undefined || one === undefined || other === undefined) throw new Error('no bench')
  const lines = (...all: readonly string[]): string => `${all.join('\n')}\n`
  await bench.run(
    host,
    ['ip', '-batch', '-'],
    lines(
      'link add lan type bridge',
      `link add one type veth peer eth0 netns ${one}`,
      `link add other type veth peer eth0 netns ${other}`,
      ...['one', 'other'].flatMap((link) => [`link set ${link} master lan`, `link set ${link} up`]),
      ...['lan up', 'lo up'].map((what) => `link set ${what}`),
      `addr add ${host4}/24 dev lan`,
      `addr add ${host6}/64 dev lan nodad`,
    ),
  )
  for (const [file, [address4, address6]] of [
    [one, near],
    [other, far],
  ] as const) {
    const up = ['link set eth0 up', `addr add ${address4}/24 dev eth0`]
    const batch = lines(...up, `addr add ${address6}/64 dev eth0 nodad`)
    await bench.run(file, ['ip', '-batch', '-'], batch)
  }
  const networks: NodeNetwork[] = []
  const create = (): NodeNetwork => {
    const network = createNodeNetwork({
      runDir: join(bench.dir, 'run'),
      hostNamespaceFile: host,
      run: runCommand,
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    })
    networks.push(network)
    return network
  }
  const network = create()
  t.teardown(async () => {
    await endTalks()
    await network.purge()
    for (const each of networks) each.close()
    await bench.dispose()
  })
  await network.start()
  return { bench, host, near: inNs(one), far: inNs(other), network, again: create }
}

async function attach(
  { bench, network }: World,
  id: string,
  ports: readonly HostPort[],
): Promise<FakeContainer> {
  const container = await bench.container()
  await network.attach(
    { containerId: id, name: id, pid: container.pid, endpoints: [], ports },
    never,
  )
  const targets = new Map(ports.map((port) => [port.targetPort, port.protocol]))
  for (const [target, protocol] of targets) {
    await serve(container.enter, protocol === 'udp' ? `udp:${target}` : `tcp:${target}`, id)
  }
  return container
}

const tcp = (port: Partial<HostPort>): HostPort => ({
  protocol: 'tcp',
  targetPort: 80,
  publishedPort: 8080,
  ...port,
})
const udp = (port: Partial<HostPort>): HostPort => ({
  ...{ protocol: 'udp', targetPort: 53, publishedPort: 8053 },
  ...port,
})

t.test('a port on IPv6 shows its container the client, tcp and udp', async (t) => {
  const world = await aWorld(t)
  await attach(world, 'web', [tcp({ bindAddress: '::' }), udp({ bindAddress: '::' })])
  t.equal(await ask(world.near, 'tcp', host6, 8080), `web ${near[1]}`)
  t.equal(await ask(world.near, 'udp', host6, 8053), `web ${near[1]}`)
  t.equal(await ask(inNs(world.host), 'tcp', host6, 8080), `web ${host6}`, 'the host itself')
  t.equal(await isSilent(world.near, ['tcp', host4, 8080]), true, 'IPv4 is not asked for')
  t.same(await world.network.audit(), [])
  await world.network.detach('web')
  t.equal(await isSilent(world.near, ['tcp', host6, 8080]), true, 'closed with its container')
  t.same(await world.network.mend().then(({ left }) => left), [])
  t.same(await world.network.audit(), [])
})

t.test('a bind address of IPv6 limits a port to itself, beside one of IPv4', async (t) => {
  const world = await aWorld(t)
  const { bench, host } = world
  await bench.run(host, ['ip', 'addr', 'add', 'fd97::9/64', 'dev', 'lan', 'nodad'])
  await attach(world, 'six', [tcp({ bindAddress: host6 })])
  await attach(world, 'four', [tcp({ bindAddress: '0.0.0.0' })])
  await attach(world, 'nine', [tcp({ bindAddress: 'fd97:0::9' })])
  t.equal(await ask(world.near, 'tcp', host6, 8080), `six ${near[1]}`)
  t.equal(await ask(world.near, 'tcp', host4, 8080), `four ${near[0]}`)
  t.equal(await ask(world.near, 'tcp', 'fd97::9', 8080), `nine ${near[1]}`)
  await t.rejects(attach(world, 'late', [tcp({ bindAddress: '::' })]), { code: 'ADDRESS_IN_USE' })
  await t.rejects(attach(world, 'nobody', [tcp({ publishedPort: 1, bindAddress: 'fd97::7' })]), {
    code: 'INVALID_ARGUMENT',
    message: /"fd97::7": it is no address of this host \(there are .*fd97::9/,
  })
  t.same(await world.network.audit(), [])
})

t.test('a container that is reached over IPv6 begins nothing over it', async (t) => {
  const world = await aWorld(t)
  const { bench, host, network } = world
  const web = await attach(world, 'web', [tcp({ bindAddress: '::' })])
  const other = await attach(world, 'other', [tcp({ publishedPort: 81, bindAddress: '::' })])
  await serve(world.near, 'tcp:9090', 'outside')
  t.equal(await askBriefly(web.enter, 'tcp', near[1], 9090), '', 'the outside')
  const own = await bench.run(undefined, [...other.enter, 'ip', '-o', '-6', 'addr', 'show', 'eth0'])
  const address = /inet6 (fd77:2::\S+)\/128/.exec(own)?.[1] ?? ''
  t.not(address, '')
  t.equal(await askBriefly(web.enter, 'tcp', address, 80), '', 'its neighbour')
  await bench.run(world.near[1]?.replace('--net=', '') ?? '', [
    ...['ip', '-6', 'route', 'add', 'fd77::/16', 'via', host6],
  ])
  t.equal(await askBriefly(world.near, 'tcp', address, 80), '', 'who routes to it gets nowhere')
  t.equal(await askBriefly(world.near, 'tcp', 'fd77::2', 8080), '', 'nor to a door')
  t.equal(await askBriefly(inNs(host), 'tcp', address, 80), '')
  t.equal(await ask(world.near, 'tcp', host6, 8080), `web ${near[1]}`, 'the port is open')
  await network.purge()
  const left = await bench.run(host, ['sh', '-c', 'ip addr; ip -6 route; nft list ruleset'])
  t.notMatch(left, /fd77|tsswarm/)
})

t.test('a port of loopback is closed to containers, also by the door behind it', async (t) => {
  const world = await aWorld(t)
  await attach(world, 'web', [
    tcp({ bindAddress: '127.0.0.1' }),
    tcp({ bindAddress: host4, publishedPort: 8081 }),
    tcp({ bindAddress: host6, publishedPort: 8082 }),
  ])
  const other = await attach(world, 'other', [tcp({ bindAddress: host6 })])
  t.equal(await ask(inNs(world.host), 'tcp', '127.0.0.1', 8080), 'web 169.254.77.1')
  t.equal(await ask(other.enter, 'tcp', host4, 8081), 'web 169.254.77.1', 'by the host, led back')
  for (const [door, port] of [
    ['169.254.77.4', 8080],
    ['169.254.77.5', 8081],
    ['fd77::1:4', 8082],
  ] as const) {
    t.equal(await isSilent(other.enter, ['tcp', door, port]), true, `${door} ${port}`)
  }
  t.same(await world.network.audit(), [])
})

t.test('source ranges hold for each family, and loopback is said of either', async (t) => {
  const world = await aWorld(t)
  const sources = ['10.77.0.0/25', '10.77.0.2', 'fd97::/65', '127.0.0.1']
  await attach(world, 'web', [
    tcp({ bindAddress: '0.0.0.0', sources }),
    tcp({ bindAddress: '::', sources }),
    udp({ sources }),
    udp({ publishedPort: 8054, targetPort: 54, bindAddress: '::', sources }),
    tcp({ publishedPort: 8081, targetPort: 81, sources: ['fd97::/64'] }),
  ])
  t.equal(await ask(world.near, 'tcp', host4, 8080), `web ${near[0]}`)
  t.equal(await ask(world.near, 'tcp', host6, 8080), `web ${near[1]}`)
  t.equal(await ask(world.near, 'udp', host4, 8053), `web ${near[0]}`)
  t.equal(await ask(world.near, 'udp', host6, 8054), `web ${near[1]}`)
  t.equal(await isSilent(world.far, ['tcp', host4, 8080]), true)
  t.equal(await isSilent(world.far, ['udp', host4, 8053]), true)
  t.equal(await isSilent(world.far, ['udp', host6, 8054]), true)
  t.equal(await isSilent(world.far, ['tcp', host6, 8080]), true)
  t.equal(await ask(inNs(world.host), 'tcp', '127.0.0.1', 8080), 'web 169.254.77.1')
  t.equal(await isSilent(inNs(world.host), ['tcp', host4, 8081]), true, 'for IPv6 clients only')
  t.same(await world.network.audit(), [])
  const dataPlane = join(world.bench.dir, 'run/network/dataplane.netns')
  await world.bench.run(dataPlane, ['nft', 'flush', 'set', 'inet', 'tsswarm', 'guarded'])
  t.match(await world.network.audit(), [/guarded/])
  t.same((await world.network.mend()).left, [])
  t.equal(await isSilent(world.far, ['tcp', host4, 8080]), true, 'mended')
})

t.test(
  'who borrows an address between host and data plane is not taken for the host',
  async (t) => {
    const world = await aWorld(t)
    const { bench, network } = world
    const heard = join(bench.dir, 'heard')
    const container = await bench.container()
    const sources = ['127.0.0.1']
    const ports = [udp({ bindAddress: '0.0.0.0', sources }), udp({ bindAddress: '::', sources })]
    const request = { containerId: 'web', name: 'web', pid: container.pid, endpoints: [], ports }
    await network.attach(request, never)
    const listen = 'UDP6-RECVFROM:53,fork,ipv6only=0'
    bench.daemon([...container.enter, 'socat', listen, `SYSTEM:read line; echo $line >>${heard}`])
    const send = (enter: readonly string[], line: string, to: string) =>
      runCommand([...enter, 'sh', '-c', `echo ${line} | socat -u - UDP${to}`])
    for (const address of ['169.254.77.1', '169.254.77.2', '169.254.77.255']) {
      await bench.run(undefined, [...world.near, 'ip', 'addr', 'add', `${address}/32`, 'dev', 'lo'])
    }
    for (const address of ['fd77::1', 'fd77::2', 'fd77::ff']) {
      const add = ['ip', 'addr', 'add', `${address}/128`, 'dev', 'lo', 'nodad']
      await bench.run(undefined, [...world.near, ...add])
    }
    await eventually(async () => {
      await send(inNs(world.host), 'own', '4:127.0.0.1:8053')
      return (await readFile(heard, 'utf8')).includes('own')
    }, 'the host itself is heard')
    // Whoever is not known yet would be asked for in the borrowed name.
    for (const to of [host4, host6]) {
      await eventually(() => pings(world.near, to), `the neighbour ${to} is known`)
    }
    for (const from of ['169.254.77.1', '169.254.77.2', '169.254.77.255']) {
      await send(world.near, 'borrowed', `4:${host4}:8053,bind=${from}`)
    }
    for (const from of ['fd77::1', 'fd77::2', 'fd77::ff']) {
      await send(world.near, 'borrowed', `6:[${host6}]:8053,bind=[${from}]`)
    }
    await eventually(async () => {
      await send(inNs(world.host), 'last', '4:127.0.0.1:8053')
      return (await readFile(heard, 'utf8')).includes('last')
    }, 'what was sent later is heard')
    t.notMatch(await readFile(heard, 'utf8'), /borrowed/)
  },
)

t.test('a restarted daemon keeps and finds again what is published on IPv6', async (t) => {
  const world = await aWorld(t)
  const ports = [tcp({ bindAddress: '::', sources: [near[1]] })]
  await attach(world, 'web', ports)
  world.network.close()
  const second = world.again()
  await second.start()
  t.same(await second.audit(), [])
  t.equal(await ask(world.near, 'tcp', host6, 8080), `web ${near[1]}`)
  t.equal(await isSilent(world.far, ['tcp', host6, 8080]), true)
})
