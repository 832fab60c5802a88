// Overlay networks over three nodes on a real kernel: what reaches whom, and what does not. The state the managers would
// send is made by hand.
import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand } from '../../proto/lib/command.ts'
import type { NetworkView } from '../../proto/objects/overlay.ts'
import { eventually } from '../support/netns.ts'
import {
  aNetwork,
  aPath,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../support/overlay-builders.ts'
import {
  anOverlayWorld,
  clientAddress,
  inNs,
  joinNetworks,
  type OverlayContainer,
  type OverlayWorld,
  pings,
} from '../support/overlay-world.ts'
import { ask, askBriefly, serve } from '../support/talk.ts'

t.setTimeout(300_000)

/** Two networks; a task of each on each node: of network N on node M at 10.N.0.1M. */
const views = [1, 2].map((network) =>
  aView(aNetwork(network), {
    tasks: [1, 2, 3].map((node) =>
      aTaskEndpoint(`s${network}.${node}`, node, [`10.${network}.0.1${node}`]),
    ),
  }),
)

const addressOf = (id: string): string => `10.${id.slice(1, 2)}.0.1${id.slice(3)}`

/** The task of that name in `views`, with its servers. */
async function run(world: OverlayWorld, id: string): Promise<OverlayContainer> {
  const network = Number(id.slice(1, 2))
  const on = Number(id.slice(3))
  const container = await joinNetworks(world, {
    id,
    on,
    networks: [[network, `${addressOf(id)}/24`]],
  })
  await serve(container.process.enter, 'tcp:80', id)
  await serve(container.process.enter, 'udp:53', id)
  return container
}

t.test('tasks of one network reach one another on any node, those of two do not', async (t) => {
  const world = await anOverlayWorld(t)
  await world.tell(views)
  const ids = ['s1.1', 's1.2', 's1.3', 's2.1', 's2.2', 's2.3']
  const containers = await Promise.all(ids.map((id) => run(world, id)))
  for (const from of containers) {
    const { enter } = from.process
    const tries = ids.map(async (to) => {
      const isSame = from.id[1] === to[1]
      const what = `${from.id} to ${to}`
      const answer = isSame ? `${to} ${addressOf(from.id)}` : ''
      const say = isSame ? ask : askBriefly
      t.equal(await pings(enter, addressOf(to)), isSame, `ping ${what}`)
      t.equal(await say(enter, 'tcp', addressOf(to), 80), answer, `tcp ${what}`)
      t.equal(await say(enter, 'udp', addressOf(to), 53), answer, `udp ${what}`)
    })
    await Promise.all(tries)
  }
  for (const { network } of world.nodes) t.same(await network.audit(), [])

  const resolvers = inNs(world.node(1).dataPlane)
  for (const where of ['udp:53', 'udp:54'] as const) {
    await serve(resolvers, where, 'resolver', '127.0.0.11')
  }
  const inside = containers[0]?.process.enter ?? []
  const asker = await ask(inside, 'udp', '127.0.0.11', 53)
  t.equal(asker, 'resolver 10.1.0.11', 'the resolver knows who asks')
  t.equal(
    await askBriefly(inside, 'udp', '127.0.0.11', 54),
    '',
    'nothing else of its loopback answers',
  )

  await world.node(1).network.detach('s1.1')
  const links = await world.bench.run(world.node(1).dataPlane, ['ip', '-br', 'link'])
  t.notMatch(links, /vx100001/, 'a network without a container here is let go')
  t.match(links, /vx100002/)
  t.same(await world.node(1).network.audit(), [])
})

t.test('whatever is taken from the overlay by hand is put back', async (t) => {
  const world = await anOverlayWorld(t)
  const web = aServiceEndpoint('s1', { vips: ['10.1.0.2'] })
  const [first, second] = views
  const told: NetworkView[] = [aView(aNetwork(9, { isIngress: true }))]
  if (first !== undefined) told.push({ ...first, services: [web] })
  if (second !== undefined) told.push(second)
  await world.tell(told)
  const here = await run(world, 's1.1')
  await run(world, 's1.2')
  const { network, dataPlane, host } = world.node(1)
  const damages: readonly (readonly [string, string])[] = [
    [dataPlane, 'bridge fdb del 02:00:00:00:01:02 dev vx100001 self'],
    [dataPlane, 'bridge fdb replace 02:00:00:00:01:02 dev vx100001 dst 10.99.0.3 self static'],
    [dataPlane, 'ip neigh del 100.127.0.2 dev vx100001'],
    [dataPlane, 'ip neigh replace 100.127.0.2 lladdr 02:00:00:00:01:03 dev vx100001 nud permanent'],
    [dataPlane, 'ip route del 10.1.0.12'],
    [dataPlane, 'ip route replace 10.1.0.12 via 100.127.0.3 dev vx100001 onlink'],
    [dataPlane, 'ip route del unreachable 10.1.0.0/24'],
    [dataPlane, 'ip route del local 10.1.0.2 table local'],
    [dataPlane, 'ip route flush table 100002'],
    [dataPlane, 'ip rule del pref 10'],
    [dataPlane, 'ip rule add pref 5 fwmark 7 lookup main'],
    [dataPlane, 'ip addr del 100.127.0.1/32 dev lo'],
    [dataPlane, 'ip link set vx100001 down'],
    [dataPlane, 'ip link set vx100001 mtu 1400'],
    [dataPlane, 'ip link del vx100001'],
    [dataPlane, 'ip link add vx900000 type vxlan id 9 dstport 4790'],
    [dataPlane, 'echo 1 >/proc/sys/net/ipv4/conf/vx100001/rp_filter'],
    [dataPlane, 'nft flush ruleset'],
    [dataPlane, 'nft flush set inet tsswarm same_network'],
    [dataPlane, 'nft flush map inet tsswarm vips'],
    [dataPlane, 'nft flush chain inet tsswarm svc4_1048577_s1'],
    [dataPlane, 'nft insert rule inet tsswarm svc4_1048577_s1 drop'],
    [dataPlane, 'nft add chain inet tsswarm svc4_1_stale'],
    [dataPlane, 'nft flush map inet tsswarm entry_nodes'],
    [host, 'nft flush set inet tsswarm vteps'],
    [host, 'nft add element inet tsswarm vteps { 10.99.0.100 }'],
  ]
  for (const [file, damage] of damages) {
    await world.bench.run(file, ['sh', '-c', damage])
    t.not((await network.audit()).length, 0, `noticed: ${damage}`)
    t.same((await network.mend()).left, [], `mended: ${damage}`)
    t.same(await network.audit(), [])
    t.equal(await ask(here.process.enter, 'tcp', addressOf('s1.2'), 80), 's1.2 10.1.0.11', damage)
  }
})

t.test(
  'packets of 1450 bytes fill the wire exactly, and greater ones arrive in parts',
  async (t) => {
    const world = await anOverlayWorld(t)
    await world.tell(views)
    const here = await run(world, 's1.1')
    const there = await run(world, 's1.2')
    const { host } = world.node(1)
    const rules = `table ip probe {
    counter full { }
    counter parts { }
    chain out {
      type filter hook postrouting priority 0;
      udp dport 4789 meta length 1500 counter name full
      udp dport 4789 meta length > 1500 counter name parts
      ip frag-off & 0x3fff != 0 counter name parts
    }
  }`
    await world.bench.run(host, ['sh', '-c', 'cat | nft -f -'], rules)
    const count = async (name: string): Promise<number> => {
      const text = await world.bench.run(host, ['nft', 'list', 'counter', 'ip', 'probe', name])
      return Number(/packets (\d+)/.exec(text)?.[1])
    }
    t.equal(await pings(here.process.enter, addressOf('s1.2'), 1450 - 28), true)
    t.equal(await count('full'), 1)
    t.equal(await count('parts'), 0, 'no packet of the underlay is in parts')
    t.equal(await pings(here.process.enter, addressOf('s1.2'), 1451 - 28), true)
    t.equal(await count('parts'), 0, 'the container itself makes parts')

    const heard = join(world.bench.dir, 'heard')
    world.bench.daemon([
      ...there.process.enter,
      ...['socat', '-u', '-b65536', 'UDP4-RECVFROM:99', `OPEN:${heard},creat,append`],
    ])
    const datagram = 'x'.repeat(40_000)
    await eventually(async () => {
      const argv = [...here.process.enter, 'socat', '-u', '-b65536', '-']
      await runCommand([...argv, `UDP4:${addressOf('s1.2')}:99`], { input: datagram })
      return (await readFile(heard, 'utf8')) === datagram
    }, 'a datagram of 40 kB arrives whole')
    t.equal(await count('parts'), 0)
  },
)

t.test(
  'an address that nobody has any more is unreachable, and never asked of the LAN',
  async (t) => {
    const world = await anOverlayWorld(t)
    // The subnet of the network is that of the LAN, and a host there has the address of a task that is gone.
    const network = aNetwork(1, { subnets: ['10.99.0.0/24'] })
    const here = aTaskEndpoint('s1.1', 1, ['10.99.0.50'])
    await world.tell([aView(network, { tasks: [here, aTaskEndpoint('s1.2', 2, [clientAddress])] })])
    const container = await joinNetworks(world, {
      id: 's1.1',
      on: 1,
      networks: [[1, '10.99.0.50/24']],
    })
    const { enter } = container.process
    await serve(inNs(world.client), 'tcp:80', 'client')
    const rules = `table ip probe {
    counter leaked { }
    chain out {
      type filter hook postrouting priority 500;
      oifname eth0 ip daddr ${clientAddress} counter name leaked
    }
  }`
    await world.bench.run(world.node(1).host, ['sh', '-c', 'cat | nft -f -'], rules)
    t.equal(await askBriefly(enter, 'tcp', clientAddress, 80), '', 'nobody at node 2 has it')
    await world.tell([aView(network, { tasks: [here] })])
    t.equal(await askBriefly(enter, 'tcp', clientAddress, 80), '')
    const refused = await runCommand([...enter, 'socat', '-', `TCP4:${clientAddress}:80`])
    t.match(refused.stderr, /No route to host/, 'refused at once')
    const leaked = await world.bench.run(world.node(1).host, [
      ...['nft', 'list', 'counter', 'ip', 'probe', 'leaked'],
    ])
    t.match(leaked, /packets 0 /)
  },
)

t.test(
  'what is forged is dropped: packets of strangers, and sources of other networks',
  async (t) => {
    const world = await anOverlayWorld(t)
    await world.tell(views)
    const here = await run(world, 's1.1')
    const other = await run(world, 's2.2')
    const heard = join(world.bench.dir, 'heard')
    world.bench.daemon([
      ...here.process.enter,
      ...['socat', '-u', 'UDP4-RECV:99', `OPEN:${heard},creat,append`],
    ])
    const hears = async (text: string): Promise<boolean> =>
      (await readFile(heard, 'utf8').catch(() => '')).includes(text)

    // A host of the LAN that knows everything: identifier, MAC addresses, IP addresses.
    const device = [
      'link add vx0 address 02:00:00:00:01:04 mtu 1450 type vxlan id 1048577 local 10.99.0.100 dstport 4789 nolearning',
      'link set vx0 up',
      'addr add 10.1.0.14/24 dev vx0',
      'neigh replace 10.1.0.11 lladdr 02:00:00:00:01:01 dev vx0 nud permanent',
    ]
    await world.bench.run(world.client, ['ip', '-batch', '-'], `${device.join('\n')}\n`)
    await world.bench.run(world.client, [
      ...['bridge', 'fdb', 'replace', '02:00:00:00:01:01', 'dev', 'vx0', 'dst', '10.99.0.1'],
      ...['self', 'static'],
    ])
    const send = (enter: readonly string[], text: string, from: string): Promise<unknown> =>
      runCommand([...enter, 'socat', '-u', '-', `UDP4:10.1.0.11:99,bind=${from}`], {
        input: text,
      })
    const stranger = inNs(world.client)
    const path = aPath(4, { dataPathAddress: '10.99.0.100' })
    const paths = [...world.paths, path]
    await world.tell(views, { paths })
    await eventually(async () => {
      await send(stranger, 'member', '10.1.0.14')
      return await hears('member')
    }, 'as a node of the cluster it is heard')
    await world.tell(views)
    await send(stranger, 'stranger', '10.1.0.14')

    await world.bench.run(undefined, [
      ...[...other.process.enter, 'ip', 'addr', 'add', '10.1.0.12/32', 'dev', 'eth0'],
    ])
    await send(other.process.enter, 'borrowed', '10.1.0.12')
    const friend = await run(world, 's1.3')
    await eventually(async () => {
      await send(friend.process.enter, 'friend', '10.1.0.13')
      return await hears('friend')
    }, 'a task of the network is heard')
    t.equal(await hears('stranger'), false)
    t.equal(await hears('borrowed'), false)
  },
)

t.test(
  'a restarted daemon goes on with what it knows, without a word from a manager',
  async (t) => {
    const world = await anOverlayWorld(t)
    await world.tell(views)
    const here = await run(world, 's1.1')
    await run(world, 's1.2')
    const node = world.node(1)
    node.network.close()
    const second = node.again()
    await second.start()
    const request = {
      containerId: 's1.1',
      name: 's1.1',
      pid: here.process.pid,
      endpoints: [{ networkId: 'net1', addresses: ['10.1.0.11/24'], aliases: [] }],
      ports: [],
    }
    const restored = [{ request, attachment: here.attachment }]
    await second.restore(restored)
    t.same(await second.audit(), [])
    t.equal(await ask(here.process.enter, 'tcp', addressOf('s1.2'), 80), 's1.2 10.1.0.11')

    second.close()
    await rm(join(world.bench.dir, 'run1/network/journal.jsonl'))
    const third = node.again()
    await third.start()
    await third.restore(restored)
    t.same(await third.audit(), [])
    t.equal(
      await ask(here.process.enter, 'tcp', addressOf('s1.2'), 80),
      's1.2 10.1.0.11',
      'its record lost, it takes the container back under its address',
    )
  },
)

t.test('a data plane that is gone is made anew, while others are in the old one', async (t) => {
  const world = await anOverlayWorld(t)
  await world.tell(views)
  const [here] = await Promise.all(['s1.1', 's1.2'].map((id) => run(world, id)))
  const { dataPlane, network } = world.node(1)
  const stopping = new AbortController()
  const running = network.run(stopping.signal)
  // Its monitors and its prober are in the data plane, and so is this one.
  const holder = world.bench.daemon([...inNs(dataPlane), 'sleep', 'infinity'])
  await eventually(async () => {
    const [held, wanted] = await Promise.all([stat(`/proc/${holder.pid}/ns/net`), stat(dataPlane)])
    return held.ino === wanted.ino
  }, 'a process is in the data plane')
  await world.bench.run(undefined, ['umount', '-l', dataPlane])
  t.same((await network.mend()).left, [])
  t.same(await network.audit(), [])
  const answer = await ask(here?.process.enter ?? [], 'tcp', addressOf('s1.2'), 80)
  t.equal(answer, 's1.2 10.1.0.11')
  stopping.abort()
  await running
})

t.test('a container waits for the news of its network, and is refused without them', async (t) => {
  const world = await anOverlayWorld(t)
  await world.tell([])
  const ending = new AbortController()
  const process = await world.bench.container()
  const { network } = world.node(1)
  const attach = (containerId: string, networkId: string): Promise<unknown> => {
    const endpoints = [{ networkId, addresses: ['10.1.0.11/24'], aliases: [] }]
    const request = { containerId, name: containerId, pid: process.pid, endpoints, ports: [] }
    return network.attach(request, ending.signal)
  }
  const waiting = attach('early', 'net1')
  await world.tell(views)
  await t.resolves(waiting)
  const refused = attach('never', 'net7')
  ending.abort(new Error('stopped'))
  await t.rejects(refused, { message: 'stopped' })
  await network.detach('early')
  t.same(await network.audit(), [])
})

/** The bridge between the nodes keeps to these rules of nft from now on. */
async function onTheWay(world: OverlayWorld, rules: readonly string[]): Promise<void> {
  const text = rules.map((rule) => `    ${rule}\n`).join('')
  const lan = join(world.bench.dir, 'lan.netns')
  const chain = `chain way {\n    type filter hook forward priority 0;\n${text}  }`
  const script = `table bridge way\ndelete table bridge way\ntable bridge way {\n  ${chain}\n}\n`
  await world.bench.run(lan, ['sh', '-c', 'cat | nft -f -'], script)
}

/** What node 1 knows of node `to`: `reachable 1450`. */
function way(world: OverlayWorld, to: number): string {
  const report = world
    .node(1)
    .network.peers()
    .find(({ nodeId }) => nodeId === `n${to}`)
  return `${report?.state} ${report?.mtu}`
}

t.test('a narrow path is measured, and routes say so; a closed one is told of', async (t) => {
  const world = await anOverlayWorld(t, { hasIpv6: true })
  const tasks = [1, 2, 3].map((on) =>
    aTaskEndpoint(`s.${on}`, on, [`10.1.0.1${on}`, `fd01::1${on}`]),
  )
  const network = aNetwork(1, { subnets: ['10.1.0.0/24', 'fd01::/64'] })
  const stopping = new AbortController()
  const running = world.nodes.map((node) => node.network.run(AbortSignal.any([stopping.signal])))
  t.teardown(async () => {
    stopping.abort()
    await Promise.all(running)
  })
  // Between nodes 1 and 2 only, and nobody on the way says that a packet was too large.
  const between = 'ip saddr . ip daddr { 10.99.0.1 . 10.99.0.2, 10.99.0.2 . 10.99.0.1 }'
  await onTheWay(world, [`${between} ip length > 1400 drop`])
  // As on a wire: what the kernel carries as one packet would be too large here.
  for (const { host } of world.nodes) {
    await world.bench.run(host, ['ip', 'link', 'set', 'eth0', 'gso_max_segs', '1'])
  }
  await world.tell([aView(network, { tasks })])
  const join = (on: number): Promise<OverlayContainer> =>
    joinNetworks(world, {
      id: `s.${on}`,
      on,
      networks: [[1, `10.1.0.1${on}/24`, `fd01::1${on}/64`]],
    })
  const [here, there] = await Promise.all([join(1), join(2)])
  await eventually(async () => way(world, 2) === 'reachable 1350', 'it is measured', 15_000)
  t.equal(way(world, 3), 'reachable 1450', 'and the others are not narrow')
  await eventually(async () => {
    const routes = await world.bench.run(world.node(1).dataPlane, ['ip', 'route'])
    return /10\.1\.0\.12 .* mtu 1350/.test(routes) && !/10\.1\.0\.13 .* mtu/.test(routes)
  }, 'routes say so')
  t.same(await world.node(1).network.audit(), [])

  const { enter } = here.process
  for (const to of ['10.1.0.12', 'fd01::12']) {
    const name = to.includes(':') ? `UDP6:[${to}]` : `UDP4:${to}`
    // A datagram that is not to be taken apart: refused, and the container knows from then on.
    await runCommand([...enter, 'socat', '-u', '-b2000', '-', `${name}:9`], {
      input: 'x'.repeat(1_400),
    })
    const known = await world.bench.run(undefined, [...enter, 'ip', 'route', 'get', to])
    t.match(known, /mtu 1350/, `${to}: the container is told of 1350 bytes`)
    // The other side, too, may have to be told first.
    await eventually(() => pings(enter, to, 8_000), `${to} is reached in parts`)
  }
  const heard = `${world.bench.dir}/heard`
  world.bench.daemon([
    ...there.process.enter,
    ...['socat', '-u', 'TCP6-LISTEN:81,ipv6only=0,fork', `OPEN:${heard},creat,append`],
  ])
  const much = 'x'.repeat(2_000_000)
  for (const to of ['TCP4:10.1.0.12:81', 'TCP6:[fd01::12]:81']) {
    await eventually(async () => {
      const { code } = await runCommand([...enter, 'socat', '-u', '-', to], { input: much })
      return code === 0
    }, `${to} is reached`)
  }
  const all = async (): Promise<boolean> => (await stat(heard)).size === 2 * much.length
  await t.resolves(eventually(all, 'all arrives'), 'much over TCP, over IPv4 and IPv6')

  await onTheWay(world, [`${between} udp dport 4789 drop`])
  await eventually(async () => way(world, 2) === 'silent 1350', 'it is noticed', 15_000)
  t.equal(way(world, 3), 'reachable 1450')
  await onTheWay(world, [])
  await eventually(async () => way(world, 2).startsWith('reachable'), 'it heals', 15_000)
  await healsByItself(t, world)
})

/** What is taken away or changed behind its back, and what says that it is right again. */
const wounds: readonly (readonly [string, string])[] = [
  [
    'bridge fdb del 02:00:00:00:01:02 dev vx100001 self',
    'bridge fdb show dev vx100001 | grep -q 02:00:00:00:01:02',
  ],
  [
    'ip neigh replace 100.127.0.2 lladdr 02:00:00:00:01:03 dev vx100001 nud permanent',
    'ip neigh show 100.127.0.2 dev vx100001 | grep -q 02:00:00:00:01:02',
  ],
  ['ip route del 10.1.0.12', 'ip route show 10.1.0.12 | grep -q 100.127.0.2'],
  ['ip rule add pref 5 fwmark 7 lookup main', '! ip rule | grep -q ^5:'],
  [
    'nft flush set inet tsswarm same_network',
    'nft list set inet tsswarm same_network | grep -q 10.1.0.0',
  ],
  [
    'echo 1 >/proc/sys/net/ipv4/conf/vx100001/rp_filter',
    'grep -q 0 /proc/sys/net/ipv4/conf/vx100001/rp_filter',
  ],
]

/** On node 1, which runs: without being asked, long before the next regular comparison. */
async function healsByItself(t: Test, world: OverlayWorld): Promise<void> {
  const { dataPlane } = world.node(1)
  for (const [wound, isWell] of wounds) {
    await world.bench.run(dataPlane, ['sh', '-c', wound])
    const startedMs = performance.now()
    const healed = async (): Promise<boolean> =>
      (await world.bench.attempt(dataPlane, ['sh', '-c', isWell])) === 0
    await eventually(healed, `mended: ${wound}`, 15_000)
    t.comment(`${Math.round(performance.now() - startedMs)} ms: ${wound}`)
  }
}

t.test('over an IPv6 underlay packets are 20 bytes smaller', async (t) => {
  const world = await anOverlayWorld(t)
  const tasks = [1, 2].map((on) => aTaskEndpoint(`s.${on}`, on, [`10.1.0.1${on}`]))
  const paths = [1, 2, 3].map((number) => aPath(number, { dataPathAddress: `fd99::${number}` }))
  const { network, dataPlane } = world.node(1)
  await world.tell([aView(aNetwork(1), { tasks })], { paths })
  const join = (on: number): Promise<OverlayContainer> =>
    joinNetworks(world, { id: `s.${on}`, on, networks: [[1, `10.1.0.1${on}/24`]] })
  const [here] = await Promise.all([join(1), join(2)])
  const routes = await world.bench.run(dataPlane, ['ip', 'route'])
  t.match(routes, /10\.1\.0\.12 .* mtu 1430/, 'before anything is measured')
  const stopping = new AbortController()
  const running = network.run(stopping.signal)
  t.teardown(() => {
    stopping.abort()
    return running
  })
  await eventually(async () => way(world, 2) === 'reachable 1430', 'as it is measured', 15_000)
  t.equal(await pings(here.process.enter, '10.1.0.12', 1430 - 28), true)
  t.same(await network.audit(), [])
})
