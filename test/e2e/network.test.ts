// The node's network on a real kernel: a simulated host and a client, each a network namespace, and fake containers.
import { spawn } from 'node:child_process'
import { readlink, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import { type RunCommand, runCommand } from '../../proto/lib/command.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import type { HostPort, NetworkAttachment } from '../../worker/executor/network-attacher.ts'
import { enterNamespace } from '../../worker/network/data-plane.ts'
import { createNodeNetwork, type NodeNetwork } from '../../worker/network/node-network.ts'
import { createBench, eventually, type FakeContainer, type NetnsBench } from '../support/netns.ts'

const hostAddress = '10.77.0.1'
const clientAddress = '10.77.0.2'
t.setTimeout(300_000)

const never = new AbortController().signal

interface World {
  readonly bench: NetnsBench
  readonly host: string
  readonly client: string
  readonly network: NodeNetwork
  /** A second daemon on the same directories, as after a restart. */
  again(run?: RunCommand): NodeNetwork
}

async function aWorld(t: Test): Promise<World> {
  const bench = await createBench()
  const [host, client] = [await bench.namespace('host'), await bench.namespace('client')]
  await bench.run(host, [
    'ip',
    'link',
    'add',
    'eth0',
    'type',
    'veth',
    'peer',
    'eth0',
    'netns',
    client,
  ])
  for (const [file, address] of [
    [host, hostAddress],
    [client, clientAddress],
  ] as const) {
    await bench.run(file, ['ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0'])
    await bench.run(file, ['ip', 'link', 'set', 'eth0', 'up'])
  }
  const networks: NodeNetwork[] = []
  const create = (run: RunCommand = runCommand): NodeNetwork => {
    const network = createNodeNetwork({
      runDir: join(bench.dir, 'run'),
      hostNamespaceFile: host,
      run,
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    })
    networks.push(network)
    return network
  }
  const network = create()
  t.teardown(async () => {
    await network.purge()
    for (const each of networks) each.close()
    await bench.dispose()
  })
  await network.start()
  return { bench, host, client, network, again: create }
}

interface Attached {
  readonly container: FakeContainer
  readonly attachment: NetworkAttachment
  readonly address: string
}

async function attach(
  { bench, network }: World,
  id: string,
  ports: readonly HostPort[] = [],
): Promise<Attached> {
  const container = await bench.container()
  const request = { containerId: id, name: id, pid: container.pid, endpoints: [], ports }
  const attachment = await network.attach(request, never)
  const [address = ''] = (attachment.endpoints[0]?.addresses[0] ?? '').split('/')
  return { container, attachment, address }
}

/** A server that answers every connection or datagram with the address of its client. */
async function serve(
  { bench }: World,
  enter: readonly string[],
  where: `${'tcp' | 'udp'}:${number}`,
  answer = 'echo $SOCAT_PEERADDR',
): Promise<void> {
  const [protocol, number] = where.split(':')
  const port = Number(number)
  const listen = protocol === 'tcp' ? 'TCP4-LISTEN' : 'UDP4-RECVFROM'
  bench.daemon([
    ...enter,
    'socat',
    `${listen}:${port},fork,reuseaddr`,
    `SYSTEM:read line; ${answer}`,
  ])
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  await eventually(async () => {
    const table = await runCommand([...enter, 'cat', `/proc/net/${protocol}`])
    return table.stdout.includes(`:${hex} 00000000:0000 ${protocol === 'tcp' ? '0A' : '07'}`)
  }, `a server waits on port ${port}`)
}

/** What the server says to a client in the namespace; empty when there is no answer. */
async function ask(
  enter: readonly string[],
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
): Promise<string> {
  const to = protocol === 'tcp' ? 'TCP4' : 'UDP4'
  const argv = [...enter, 'socat', '-t1', '-T2', '-', `${to}:${address}:${port}`]
  const option = protocol === 'tcp' ? ',connect-timeout=1' : ''
  argv.push(`${argv.pop()}${option}`)
  return (await runCommand(argv, { input: 'x\n', timeoutMs: 5_000 })).stdout.trim()
}

const inNs = (file: string): readonly string[] => ['nsenter', `--net=${file}`, '--']

t.test('containers reach one another, the outside and are reached by their host', async (t) => {
  const world = await aWorld(t)
  const a = await attach(world, 'a')
  const b = await attach(world, 'b')
  t.not(a.address, b.address)
  await serve(world, a.container.enter, 'tcp:80')
  t.equal(await ask(b.container.enter, 'tcp', a.address, 80), b.address, 'container to container')
  t.equal(await ask(inNs(world.host), 'tcp', a.address, 80), '169.254.77.1', 'host to container')
  await serve(world, inNs(world.client), 'tcp:8080')
  const seen = await ask(a.container.enter, 'tcp', clientAddress, 8080)
  t.equal(seen, hostAddress, 'the outside sees the host')
  await serve(world, inNs(world.client), 'udp:5353')
  t.equal(await ask(a.container.enter, 'udp', clientAddress, 5353), hostAddress)
})

t.test('a published port answers on its host and keeps the client address', async (t) => {
  const world = await aWorld(t)
  const web = await attach(world, 'web', [
    { protocol: 'tcp', targetPort: 80, publishedPort: 8080 },
    { protocol: 'udp', targetPort: 53, publishedPort: 8053 },
  ])
  await serve(world, web.container.enter, 'tcp:80')
  await serve(world, web.container.enter, 'udp:53')
  const client = inNs(world.client)
  const host = inNs(world.host)
  t.equal(await ask(client, 'tcp', hostAddress, 8080), clientAddress, 'tcp from outside')
  t.equal(await ask(client, 'udp', hostAddress, 8053), clientAddress, 'udp from outside')
  t.equal(await ask(host, 'tcp', hostAddress, 8080), hostAddress, 'tcp on the host')
  t.equal(await ask(host, 'tcp', '127.0.0.1', 8080), '169.254.77.1', 'tcp on loopback')
  t.equal(await ask(host, 'udp', '127.0.0.1', 8053), '169.254.77.1', 'udp on loopback')
  t.equal(await ask(web.container.enter, 'tcp', hostAddress, 8080), '169.254.77.1', 'hairpin')
  t.equal(await ask(client, 'tcp', hostAddress, 80), '', 'only what is published answers')
  await world.network.detach('web')
  t.equal(await ask(client, 'tcp', hostAddress, 8080), '', 'closed with its container')
  t.same(await world.network.audit(), [])
})

t.test(
  'a datagram sender that never stops follows its port from container to container',
  async (t) => {
    const world = await aWorld(t)
    const ports: HostPort[] = [{ protocol: 'udp', targetPort: 53, publishedPort: 8053 }]
    const heard = (name: string): string => join(world.bench.dir, name)
    // One socket all the time, so that conntrack sees one flow.
    world.bench.daemon([
      ...inNs(world.client),
      'sh',
      '-c',
      `while :; do echo x; sleep 0.05; done | socat -u - UDP4-DATAGRAM:${hostAddress}:8053,bind=:7777`,
    ])
    const entries = (): Promise<string> =>
      world.bench.run(world.host, ['conntrack', '-L', '-p', 'udp', '--orig-port-dst', '8053'])
    await eventually(async () => (await entries()).includes('sport=7777'), 'the flow is known')
    for (const name of ['first', 'second']) {
      const { container } = await attach(world, name, ports)
      await serve(world, container.enter, 'udp:53', `echo $SOCAT_PEERADDR >>${heard(name)}`)
      await eventually(
        async () =>
          (await world.bench.run(undefined, ['cat', heard(name)])).includes(clientAddress),
        `${name} gets what is sent`,
      )
      await world.network.detach(name)
    }
  },
)

t.test('a bind address limits a port to itself', async (t) => {
  const world = await aWorld(t)
  const inner = await attach(world, 'inner', [
    { protocol: 'tcp', targetPort: 80, publishedPort: 8080, bindAddress: '127.0.0.1' },
  ])
  const outer = await attach(world, 'outer', [
    { protocol: 'tcp', targetPort: 81, publishedPort: 8080, bindAddress: hostAddress },
  ])
  await serve(world, inner.container.enter, 'tcp:80')
  await serve(world, outer.container.enter, 'tcp:81')
  const host = inNs(world.host)
  const client = inNs(world.client)
  t.equal(await ask(host, 'tcp', '127.0.0.1', 8080), '169.254.77.1')
  t.equal(await ask(client, 'tcp', hostAddress, 8080), clientAddress)
  await world.network.detach('outer')
  t.equal(await ask(client, 'tcp', hostAddress, 8080), '')
  t.equal(await ask(host, 'tcp', '127.0.0.1', 8080), '169.254.77.1')

  // A neighbour that sends packets to 127.0.0.1 over the wire does not get in.
  const { bench } = world
  await bench.run(world.client, ['sh', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet'])
  const forging = [
    'rule add pref 1 to 127.0.0.1 lookup 7',
    'rule add pref 2 lookup local',
    'rule del pref 0',
    `route add 127.0.0.1 via ${hostAddress} dev eth0 table 7 src ${clientAddress}`,
  ]
  await bench.run(world.client, ['ip', '-batch', '-'], `${forging.join('\n')}\n`)
  t.equal(await ask(client, 'tcp', '127.0.0.1', 8080), '')
})

t.test('a port in use is refused by name, and nothing is left of the attempt', async (t) => {
  const world = await aWorld(t)
  await attach(world, 'first', [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }])
  await t.rejects(
    attach(world, 'second', [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }]),
    { code: 'ADDRESS_IN_USE', message: /port 8080\/tcp is in use by another container/ },
  )
  await serve(world, inNs(world.host), 'tcp:9090')
  await t.rejects(
    attach(world, 'third', [{ protocol: 'tcp', targetPort: 80, publishedPort: 9090 }]),
    { code: 'ADDRESS_IN_USE', message: /port 9090\/tcp is in use by a process of this host/ },
  )
  const ephemeral = await attach(world, 'fourth', [
    { protocol: 'tcp', targetPort: 80, publishedPort: 0 },
  ])
  const port = ephemeral.attachment.ports[0]?.publishedPort ?? 0
  t.ok(port >= 49_152 && port <= 65_535)
  await serve(world, ephemeral.container.enter, 'tcp:80')
  t.equal(await ask(inNs(world.client), 'tcp', hostAddress, port), clientAddress)
  t.same(await world.network.audit(), [])
})

t.test('containers cannot borrow addresses, and only published ports are open', async (t) => {
  const world = await aWorld(t)
  const { bench, client, network } = world
  const a = await attach(world, 'a')
  const b = await attach(world, 'b')
  await serve(world, a.container.enter, 'tcp:80')
  await bench.run(client, ['ip', 'route', 'add', network.subnet(), 'via', hostAddress])
  t.equal(await ask(inNs(client), 'tcp', a.address, 80), '', 'a neighbour that routes to us')
  const nobody = ['socat', '-', 'TCP4:172.30.200.200:80,connect-timeout=5']
  const gone = await runCommand([...a.container.enter, ...nobody])
  t.match(gone.stderr, /No route to host/, 'an address nobody has is refused at once')

  const heard = join(bench.dir, 'heard')
  await serve(world, a.container.enter, 'udp:53', `echo $SOCAT_PEERADDR >>${heard}`)
  const to = `socat -t1 - UDP4:${a.address}:53`
  const forge = `ip addr add 172.30.99.99/32 dev eth0; echo x | ${to},bind=172.30.99.99`
  await runCommand([...b.container.enter, 'sh', '-c', forge])
  await runCommand([...b.container.enter, 'sh', '-c', `echo x | ${to}`])
  const text = (): Promise<string> => bench.run(undefined, ['cat', heard])
  await eventually(async () => (await text()).includes(b.address), 'the true packet arrives')
  t.notMatch(await text(), /172\.30\.99\.99/, 'the forged one, sent before it, does not')
})

t.test('what the kernel is still to take away of a container is no difference', async (t) => {
  const world = await aWorld(t)
  const { bench, network } = world
  const { container } = await attach(world, 'a')
  // Who is in its namespace keeps its device.
  await serve(world, container.enter, 'tcp:80')
  await container.kill()
  t.same(await network.audit(), [], 'before it is told that its container has ended')
  await network.detach('a')
  const dataPlane = join(bench.dir, 'run/network/dataplane.netns')
  t.match(await bench.run(dataPlane, ['ip', '-o', 'link']), /: v[0-9a-f]{12}@/, 'it is there')
  t.same(await network.audit(), [])
})

t.test('forwarding that was off stays off for everybody else', async (t) => {
  const world = await aWorld(t)
  const { bench, host, client } = world
  const other = await bench.namespace('other')
  await bench.run(host, [
    'ip',
    'link',
    'add',
    'eth1',
    'type',
    'veth',
    'peer',
    'eth0',
    'netns',
    other,
  ])
  await bench.run(host, ['ip', 'addr', 'add', '10.78.0.1/24', 'dev', 'eth1'])
  await bench.run(host, ['ip', 'link', 'set', 'eth1', 'up'])
  await bench.run(other, ['ip', 'addr', 'add', '10.78.0.2/24', 'dev', 'eth0'])
  await bench.run(other, ['ip', 'link', 'set', 'eth0', 'up'])
  await bench.run(other, ['ip', 'route', 'add', 'default', 'via', '10.78.0.1'])
  await bench.run(client, ['ip', 'route', 'add', '10.78.0.0/24', 'via', hostAddress])
  await serve(world, inNs(other), 'tcp:80')
  const forwarding = async (): Promise<string> =>
    (await bench.run(host, ['cat', '/proc/sys/net/ipv4/ip_forward'])).trim()
  t.equal(await ask(inNs(client), 'tcp', '10.78.0.2', 80), '', 'switched on by us, for us only')
  await world.network.purge()
  t.equal(await forwarding(), '0')

  await bench.run(host, ['sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward'])
  const network = world.again()
  await network.start()
  t.equal(await ask(inNs(client), 'tcp', '10.78.0.2', 80), clientAddress, 'the host wants it')
  const a = await attach({ ...world, network }, 'a')
  await serve(world, a.container.enter, 'tcp:80')
  await bench.run(client, ['ip', 'route', 'add', network.subnet(), 'via', hostAddress])
  t.equal(await ask(inNs(client), 'tcp', a.address, 80), '', 'containers stay closed')
  await network.purge()
  t.equal(await forwarding(), '1')
})

t.test('a restarted daemon adopts its network without touching a connection', async (t) => {
  const world = await aWorld(t)
  const ports: HostPort[] = [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }]
  const web = await attach(world, 'web', ports)
  const gone = await attach(world, 'gone')
  const { bench } = world
  bench.daemon([...web.container.enter, 'socat', 'TCP4-LISTEN:80,fork,reuseaddr', 'PIPE'])
  await eventually(async () => {
    const table = await runCommand([...web.container.enter, 'cat', '/proc/net/tcp'])
    return table.stdout.includes(':0050 00000000:0000 0A')
  }, 'the echo server waits')
  const talk = ['socat', '-', `TCP4:${hostAddress}:8080`]
  const [file = '', ...args] = [...inNs(world.client), ...talk]
  const open = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  let heard = ''
  open.stdout.on('data', (chunk) => {
    heard += chunk
  })
  open.stdin.write('before\n')
  await eventually(async () => heard === 'before\n', 'the echo comes back')

  world.network.close()
  await gone.container.kill()
  const second = world.again()
  await second.start()
  const request = { containerId: 'web', name: 'web', pid: web.container.pid, endpoints: [], ports }
  await second.restore([{ request, attachment: web.attachment }])
  t.same(await second.audit(), [])
  open.stdin.write('after\n')
  await eventually(async () => heard === 'before\nafter\n', 'the connection lives on')
  open.kill()
  const next = await attach({ ...world, network: second }, 'next')
  t.notOk([web.address, gone.address].includes(next.address), 'freed addresses wait')
  t.same(await second.audit(), [])
})

t.test(
  'a daemon that lost its record takes its containers back under their addresses',
  async (t) => {
    const world = await aWorld(t)
    const ports: HostPort[] = [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }]
    const web = await attach(world, 'web', ports)
    await serve(world, web.container.enter, 'tcp:80')
    world.network.close()
    await rm(join(world.bench.dir, 'run/network/journal.jsonl'))
    const second = world.again()
    await second.start()
    const request = {
      containerId: 'web',
      name: 'web',
      pid: web.container.pid,
      endpoints: [],
      ports,
    }
    await second.restore([{ request, attachment: web.attachment }])
    t.equal(await ask(inNs(world.client), 'tcp', hostAddress, 8080), clientAddress)
    t.equal(await ask(inNs(world.host), 'tcp', web.address, 80), '169.254.77.1')
    t.same(await second.audit(), [])
  },
)

t.test('whatever is taken away is put back', async (t) => {
  const world = await aWorld(t)
  const { bench, host, network } = world
  const dataPlane = join(bench.dir, 'run/network/dataplane.netns')
  const web = await attach(world, 'web', [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }])
  await serve(world, web.container.enter, 'tcp:80')
  const [link = ''] = /\bv[0-9a-f]{12}\b/.exec(await bench.run(dataPlane, ['ip', 'link'])) ?? []
  const damages: readonly (readonly [string, string])[] = [
    [dataPlane, `ip route del ${web.address}`],
    [dataPlane, `ip neigh del ${web.address} dev ${link}`],
    [dataPlane, `ip link set ${link} down`],
    [dataPlane, `ip link del ${link}`],
    [dataPlane, 'ip route del default'],
    [dataPlane, `ip route del unreachable ${network.subnet()}`],
    [dataPlane, 'ip addr flush dev up0'],
    [dataPlane, 'ip addr del 100.127.255.254/32 dev lo'],
    [dataPlane, 'echo 0 >/proc/sys/net/ipv4/ip_forward'],
    [dataPlane, `echo 0 >/proc/sys/net/ipv4/conf/${link}/rp_filter`],
    [dataPlane, 'nft flush ruleset'],
    [dataPlane, 'nft flush map inet tsswarm host_ports'],
    [dataPlane, 'nft flush chain inet tsswarm forward'],
    [dataPlane, 'nft insert rule inet tsswarm forward drop'],
    [dataPlane, 'ip link add vstray type veth peer name vstray2'],
    [host, 'nft flush ruleset'],
    [host, 'nft flush set inet tsswarm published'],
    [
      host,
      'nft delete rule inet tsswarm publish handle $(nft -a list chain inet tsswarm publish | sed -n "s/.*@published .*handle //p")',
    ],
    [host, `ip route del ${network.subnet()}`],
    [host, 'ip addr flush dev dp0'],
    [host, 'ip link set dp0 down'],
    [host, 'ip link del dp0'],
    [host, 'echo 0 >/proc/sys/net/ipv4/ip_forward'],
  ]
  for (const [file, damage] of damages) {
    await bench.run(file, ['sh', '-c', damage])
    t.not((await network.audit()).length, 0, `noticed: ${damage}`)
    const { left } = await network.mend()
    t.same(left, [], `mended: ${damage}`)
    t.same(await network.audit(), [])
    t.equal(await ask(inNs(world.client), 'tcp', hostAddress, 8080), clientAddress, damage)
  }
})

t.test('a data plane that is gone is made anew with all containers in it', async (t) => {
  const world = await aWorld(t)
  const { bench, network } = world
  const web = await attach(world, 'web', [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }])
  await serve(world, web.container.enter, 'tcp:80')
  const dataPlane = join(bench.dir, 'run/network/dataplane.netns')
  const inside = async (): Promise<string> => {
    await bench.run(undefined, ['umount', '-l', dataPlane])
    const { left } = await network.mend()
    t.same(left, [])
    t.same(await network.audit(), [])
    return await ask(inNs(world.client), 'tcp', hostAddress, 8080)
  }
  t.equal(await inside(), clientAddress)
  // A namespace lives as long as a process is in it, and with it all its devices.
  const holder = bench.daemon([...inNs(dataPlane), 'sleep', 'infinity'])
  await eventually(async () => {
    const [held, wanted] = await Promise.all([stat(`/proc/${holder.pid}/ns/net`), stat(dataPlane)])
    return held.ino === wanted.ino
  }, 'a process is in the data plane')
  t.equal(await inside(), clientAddress, 'though somebody is in the old one')
})

t.test('a namespace is entered also by who does not see what was bound to its file', async (t) => {
  const bench = await createBench()
  t.teardown(() => bench.dispose())
  const own = await readlink('/proc/self/ns/mnt')
  // As the spawn helper on a host whose root is not shared.
  const helper = bench.daemon(['unshare', '--mount', '--propagation=private', 'sleep', 'infinity'])
  const apart = `/proc/${helper.pid}/ns/mnt`
  await eventually(async () => (await readlink(apart)) !== own, 'it has mounts of its own')
  const file = await bench.namespace('late')
  const { ino } = await stat(file)
  const argv = [...enterNamespace(file), 'readlink', '/proc/self/ns/net']
  const seen = await runCommand(['nsenter', `--mount=${apart}`, '--', ...argv])
  t.match(seen, { code: 0, stdout: `net:[${ino}]` }, seen.stderr)
})

t.test('a firewall that is reloaded is noticed at once', async (t) => {
  const world = await aWorld(t)
  const web = await attach(world, 'web', [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }])
  await serve(world, web.container.enter, 'tcp:80')
  const stop = new AbortController()
  const running = world.network.run(stop.signal)
  try {
    // The monitors need a moment to subscribe: the rules are flushed until that has been seen once.
    const flush = ['nft', 'flush', 'ruleset']
    await eventually(async () => {
      await world.bench.run(world.host, flush)
      await eventually(async () => (await world.network.audit()).length === 0, 'mended', 3_000)
      return true
    }, 'a flushed ruleset is mended within 3 s')
    t.equal(await ask(inNs(world.client), 'tcp', hostAddress, 8080), clientAddress)
  } finally {
    stop.abort()
    await running
  }
})

t.test(
  'a firewall that drops forwarded packets gets two marked accepts, and loses them again',
  async (t) => {
    const nftDrop =
      'nft add table inet mine; nft add chain inet mine fw "{ type filter hook forward priority 0; policy drop; }"'
    const firewalls = {
      iptables: 'iptables -P FORWARD DROP',
      'iptables with a final rule':
        'iptables -A FORWARD -j REJECT --reject-with icmp-host-prohibited',
      'iptables-legacy': 'iptables-legacy -P FORWARD DROP',
      'nft policy': nftDrop,
      'nft final rule': `${nftDrop.replace('policy drop', 'policy accept')}; nft add rule inet mine fw counter reject`,
    }
    const rules = 'iptables -S; iptables-legacy -S; nft list ruleset 2>&1'
    for (const [name, command] of Object.entries(firewalls)) {
      await t.test(name, async (t) => {
        const world = await aWorld(t)
        const { bench, host, network } = world
        const web = await attach(world, 'web', [
          { protocol: 'tcp', targetPort: 80, publishedPort: 8080 },
        ])
        await serve(world, web.container.enter, 'tcp:80')
        await serve(world, inNs(world.client), 'tcp:9090')
        await bench.run(host, ['sh', '-c', `${command}; iptables-legacy -S >/dev/null`])
        await network.purge()
        const before = await bench.run(host, ['sh', '-c', rules])
        const second = world.again()
        await second.start()
        const request = {
          ...{ containerId: 'web', name: 'web', pid: web.container.pid, endpoints: [] },
          ports: web.attachment.ports,
        }
        await second.attach(request, never)
        t.equal(await ask(inNs(world.client), 'tcp', hostAddress, 8080), clientAddress, 'in')
        t.equal(await ask(web.container.enter, 'tcp', clientAddress, 9090), hostAddress, 'out')
        t.same(await second.audit(), [])
        await second.mend()
        const opened = await bench.run(host, ['sh', '-c', rules])
        t.not(opened, before)
        await second.purge()
        t.equal(await bench.run(host, ['sh', '-c', rules]), before, 'as it was')
      })
    }
  },
)

/** Commands of a host whose ufw has settings of its own, not the machine's. */
async function privateUfw({ bench }: Pick<World, 'bench'>): Promise<RunCommand> {
  const script = [
    `mkdir -p ${bench.dir}/etc && cp -a /etc/ufw /etc/default ${bench.dir}/etc`,
    `mount --bind ${bench.dir}/etc/ufw /etc/ufw`,
    `mount --bind ${bench.dir}/etc/default /etc/default`,
  ]
  await runCommand(['sh', '-c', script[0] ?? ''])
  const enter = ['unshare', '-m', 'sh', '-c', `${script.slice(1).join('; ')}; exec "$@"`, 'sh']
  return (argv, options) => runCommand(argv.includes('ufw') ? [...enter, ...argv] : argv, options)
}

t.test('ports left to the firewall are open where its own rules say so', async (t) => {
  const established = 'conntrack --ctstate ESTABLISHED -j ACCEPT'
  const firewalls = {
    iptables: {
      close: `iptables -P FORWARD DROP; iptables -P INPUT DROP; iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m ${established}`,
      admit: `iptables -A FORWARD -o dp0 -p tcp --dport 8081 -s ${clientAddress} -j ACCEPT`,
      shut: `iptables -D FORWARD -o dp0 -p tcp --dport 8081 -s ${clientAddress} -j ACCEPT`,
    },
    ufw: {
      close: 'ufw --force enable',
      admit: `ufw route allow proto tcp from ${clientAddress} to any port 8081`,
      shut: `ufw route delete allow proto tcp from ${clientAddress} to any port 8081`,
    },
  }
  for (const [name, { close, admit, shut }] of Object.entries(firewalls)) {
    await t.test(name, async (t) => {
      const world = await aWorld(t)
      const run = await privateUfw(world)
      const command = (text: string) => run([...inNs(world.host), 'sh', '-c', text, 'ufw'])
      await world.network.purge()
      const network = world.again(run)
      await network.start()
      t.teardown(() => network.purge())
      const ports = [8080, 8081].map((publishedPort) => ({
        ...{ protocol: 'tcp' as const, targetPort: 80, publishedPort },
        isFirewallFirst: publishedPort === 8081,
      }))
      const web = await attach({ ...world, network }, 'web', ports)
      await serve(world, web.container.enter, 'tcp:80')
      const client = inNs(world.client)
      t.equal(await ask(client, 'tcp', hostAddress, 8081), clientAddress, 'without a firewall')
      await command(close)
      await network.mend()
      t.equal(await ask(client, 'tcp', hostAddress, 8080), clientAddress, 'opened by us')
      t.equal(await ask(client, 'tcp', hostAddress, 8081), '', 'closed')
      t.equal(await ask(inNs(world.host), 'tcp', '127.0.0.1', 8081), '169.254.77.1', 'from itself')
      await command(admit)
      t.equal(await ask(client, 'tcp', hostAddress, 8081), clientAddress, 'admitted')
      t.same(await network.audit(), [])
      await command(shut)
      t.equal(await ask(client, 'tcp', hostAddress, 8081), '', 'closed again')
    })
  }
})

t.test('purge leaves nothing', async (t) => {
  const world = await aWorld(t)
  const { bench, host, network } = world
  const look =
    'ip -o link; ip addr; ip route show table all; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward'
  await attach(world, 'web', [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }])
  await network.purge()
  const after = await bench.run(host, ['sh', '-c', look])
  t.notMatch(after, /dp0|tsswarm|169\.254|172\.30/)
  t.match(after, /^0$/m)
  const left = await runCommand(['ls', join(bench.dir, 'run')])
  t.equal(left.stdout, '')
  const mounts = await runCommand(['cat', '/proc/self/mountinfo'])
  t.notOk(mounts.stdout.includes(join(bench.dir, 'run')))
  await network.purge()
})

t.test('a device of somebody else under our name is left alone', async (t) => {
  const world = await aWorld(t)
  await world.network.purge()
  await world.bench.run(world.host, ['ip', 'link', 'add', 'dp0', 'type', 'bridge'])
  await t.rejects(world.again().start(), { code: 'FAILED_PRECONDITION', message: /device "dp0"/ })
  await world.bench.run(world.host, ['ip', 'link', 'show', 'dp0'])
  await world.bench.run(world.host, ['ip', 'link', 'del', 'dp0'])
})
