// Overlay networks over IPv6 beside IPv4, on three nodes and a real kernel: what holds for one family holds for the other.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { runCommand } from '../../proto/lib/command.ts'
import type { NetworkView } from '../../proto/objects/overlay.ts'
import { eventually } from '../support/netns.ts'
import {
  aNetwork,
  anIngressPort,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../support/overlay-builders.ts'
import {
  anOverlayWorld,
  clientAddress6,
  inNs,
  joinNetworks,
  type OverlayContainer,
  type OverlayWorld,
  pings,
} from '../support/overlay-world.ts'
import { answers, ask, askBriefly, isSilent, serve } from '../support/talk.ts'

t.setTimeout(300_000)

const subnets = (network: number): readonly string[] => [
  `10.${network}.0.0/24`,
  `fd0${network}::/64`,
]
const address6 = (network: number, node: number): string => `fd0${network}::1${node}`

/** Network 1 and 2, and ingress (9), each with a task of service `webN` on nodes 1 and 2, with both families. */
function dualViews(): NetworkView[] {
  return [1, 2, 9].map((network) => {
    const tasks = [1, 2].map((node) =>
      aTaskEndpoint(`web${network}.${node}`, node, [
        `10.${network}.0.1${node}`,
        address6(network, node),
      ]),
    )
    const ports = [
      anIngressPort(),
      anIngressPort({ protocol: 'udp', targetPort: 53, publishedPort: 8053 }),
      anIngressPort({ publishedPort: 8081, isMasqueraded: true }),
      anIngressPort({ publishedPort: 8082, bindAddress: 'fd99::3' }),
      anIngressPort({ publishedPort: 8083, sources: ['fd98::/64'] }),
    ]
    const vips = [`10.${network}.0.2`, `fd0${network}::2`]
    const services = [
      aServiceEndpoint(`web${network}`, { vips, ports: network === 9 ? ports : [] }),
      aServiceEndpoint('empty', { vips: [`10.${network}.0.3`, `fd0${network}::3`] }),
    ]
    const isIngress = network === 9
    return aView(aNetwork(network, { subnets: subnets(network), isIngress }), { services, tasks })
  })
}

async function web(world: OverlayWorld, network: number, node: number): Promise<OverlayContainer> {
  const id = `web${network}.${node}`
  const container = await joinNetworks(world, {
    id,
    on: node,
    networks: [[network, `10.${network}.0.1${node}/24`, `${address6(network, node)}/64`]],
  })
  await serve(container.process.enter, 'tcp:80', id)
  await serve(container.process.enter, 'udp:53', id)
  return container
}

t.test('tasks reach one another over IPv6, and themselves through their service', async (t) => {
  const world = await anOverlayWorld(t, { hasIpv6: true })
  await world.tell(dualViews())
  const [one] = await Promise.all([web(world, 1, 1), web(world, 1, 2), web(world, 2, 2)])
  const { enter } = one.process
  t.equal(await pings(enter, address6(1, 2)), true, 'ping')
  t.equal(await ask(enter, 'tcp', address6(1, 2), 80), 'web1.2 fd01::11', 'tcp')
  t.equal(await ask(enter, 'udp', address6(1, 2), 53), 'web1.2 fd01::11', 'udp')
  t.equal(await ask(enter, 'tcp', '10.1.0.12', 80), 'web1.2 10.1.0.11', 'tcp over IPv4')
  t.equal(await pings(enter, address6(2, 2)), false, 'not in the other network')
  t.equal(await askBriefly(enter, 'tcp', address6(2, 2), 80), '')
  t.equal(await pings(enter, address6(1, 2), 1450 - 48), true, 'a full packet')
  t.equal(await pings(enter, address6(1, 2), 8_000), true, 'in parts')

  const both = ['web1.1 fd01::2', 'web1.2 fd01::11']
  t.same(await answers(enter, ['tcp', 'fd01::2', 80], both), both, 'virtual address')
  t.same(await answers(enter, ['udp', 'fd01::2', 53], both), both)
  t.equal(await pings(enter, 'fd01::2'), true)
  t.equal(await ask(enter, 'tcp', 'fd01::3', 80), 'ECONNREFUSED')
  t.match(await ask(enter, 'tcp', 'fd01::99', 80), /UNREACH/)
  for (const { network } of world.nodes) t.same(await network.audit(), [])

  const { network, dataPlane, host } = world.node(1)
  const damages: readonly (readonly [string, string])[] = [
    [dataPlane, 'ip route del fd01::12'],
    [dataPlane, 'ip route del unreachable fd01::/64'],
    [dataPlane, 'ip -6 route del default'],
    [dataPlane, 'ip -6 route flush table 100002'],
    [dataPlane, 'ip -6 rule del pref 10'],
    [dataPlane, 'ip neigh del fd7f::2 dev vx100001'],
    [dataPlane, 'ip addr del fd77::2/126 dev up0'],
    [dataPlane, 'echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'],
    [dataPlane, 'nft flush chain inet tsswarm svc6_1048577_web1'],
    [host, 'ip addr del fd77::1/126 dev dp0'],
    [host, 'echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'],
  ]
  for (const [file, damage] of damages) {
    await world.bench.run(file, ['sh', '-c', damage])
    t.not((await network.audit()).length, 0, `noticed: ${damage}`)
    t.same((await network.mend()).left, [], `mended: ${damage}`)
    t.equal(await ask(enter, 'tcp', address6(1, 2), 80), 'web1.2 fd01::11')
  }
})

t.test(
  'a borrowed IPv6 source reaches nobody, and the outside is reached by the host',
  async (t) => {
    const world = await anOverlayWorld(t, { hasIpv6: true })
    await world.tell(dualViews())
    const [one, other] = await Promise.all([web(world, 1, 1), web(world, 2, 1)])
    const heard = join(world.bench.dir, 'heard')
    world.bench.daemon([
      ...one.process.enter,
      ...['socat', '-u', 'UDP6-RECV:99', `OPEN:${heard},creat,append`],
    ])
    const send = (from: OverlayContainer, text: string, bind: string): Promise<unknown> =>
      runCommand([...from.process.enter, 'socat', '-u', '-', `UDP6:[fd01::11]:99,bind=[${bind}]`], {
        input: text,
      })
    await world.bench.run(undefined, [
      ...[...other.process.enter, 'ip', 'addr', 'add', 'fd01::12/128', 'dev', 'eth0', 'nodad'],
    ])
    await send(other, 'borrowed', 'fd01::12')
    const friend = await web(world, 1, 2)
    await eventually(async () => {
      await send(friend, 'friend', 'fd01::12')
      return (await readFile(heard, 'utf8')).includes('friend')
    }, 'its owner is heard')
    t.notMatch(await readFile(heard, 'utf8'), /borrowed/)

    await serve(inNs(world.client), 'tcp:81', 'outside')
    t.equal(await ask(one.process.enter, 'tcp', clientAddress6, 81), 'outside fd99::1')
  },
)

t.test(
  'a published port answers over IPv6 on every node, and the task sees the client',
  async (t) => {
    const world = await anOverlayWorld(t, { hasIpv6: true })
    await world.tell(dualViews())
    const [one] = await Promise.all([web(world, 9, 1), web(world, 9, 2)])
    const client = inNs(world.client)
    const both = [`web9.1 ${clientAddress6}`, `web9.2 ${clientAddress6}`]
    for (const number of [1, 2, 3]) {
      const where = `fd99::${number}`
      t.same(await answers(client, ['tcp', where, 8080], both), both, `tcp at node ${number}`)
      t.same(await answers(client, ['udp', where, 8053], both), both, `udp at node ${number}`)
    }
    await world.tell(dualViews().map((view) => ({ ...view, tasks: [] })))
    for (const port of [8080, 8082]) {
      const answer = await ask(client, 'tcp', 'fd99::3', port)
      t.equal(answer, 'ECONNREFUSED', `${port} without a task`)
    }
    await world.tell(dualViews())
    const hidden = ['web9.1 fd7f::3', 'web9.2 fd7f::3']
    t.same(await answers(client, ['tcp', 'fd99::3', 8081], hidden), hidden, 'masqueraded')
    t.same(await answers(client, ['tcp', 'fd99::3', 8082], both), both, 'bound to this address')
    t.equal(await isSilent(client, ['tcp', 'fd99::2', 8082]), true, 'and to no other')
    t.equal(await isSilent(client, ['tcp', 'fd99::3', 8083]), true, 'for others only')
    const self = ['web9.1 fd77::1', 'web9.2 fd7f::1']
    t.same(await answers(one.process.enter, ['tcp', 'fd99::1', 8080], self), self, 'its own port')
    const own = ['web9.1 fd99::3', 'web9.2 fd99::3']
    t.same(await answers(inNs(world.node(3).host), ['tcp', 'fd99::3', 8080], own), own)
    for (const { network } of world.nodes) t.same(await network.audit(), [])
    const { host, network } = world.node(3)
    await world.bench.run(host, ['ip', 'link', 'del', 'dp0'])
    t.same((await network.mend()).left, [])
    t.match(
      await ask(client, 'tcp', 'fd99::3', 8080),
      /^web9\.\d /,
      'by a link that was made just now',
    )
    await network.purge()
    const forwarding = await world.bench.run(world.node(3).host, [
      ...['cat', '/proc/sys/net/ipv6/conf/all/forwarding'],
    ])
    t.equal(forwarding.trim(), '0', 'switched off again')
  },
)
