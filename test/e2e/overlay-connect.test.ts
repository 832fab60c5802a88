// A running container on one more network and off it again, on a real kernel over three nodes: what reaches it, its routes,
// a restart of the daemon between, and that nothing is left. The state the managers would send is made by hand.
import t from 'tap'
import type { EndpointConfig } from '../../worker/executor/network-attacher.ts'
import type { NodeNetwork } from '../../worker/network/node-network.ts'
import { aNetwork, aTaskEndpoint, aView } from '../support/overlay-builders.ts'
import {
  anOverlayWorld,
  joinNetworks,
  type OverlayContainer,
  type OverlayWorld,
  pings,
} from '../support/overlay-world.ts'
import { ask, serve } from '../support/talk.ts'

t.setTimeout(300_000)
const never = new AbortController().signal

/** Network 1 with s.1 on node 1 and s.2 on node 2; networks 2 and 3 with the guest, p.1 on node 1, and a peer on node 2. */
function viewsOf(isOn: boolean) {
  const net1 = aView(aNetwork(1), {
    tasks: [aTaskEndpoint('s.1', 1, ['10.1.0.11']), aTaskEndpoint('s.2', 2, ['10.1.0.12'])],
  })
  const further = [2, 3].map((number) => {
    const subnets = [`10.${number}.0.0/24`, `fd00:${number}::/64`]
    const peer = aTaskEndpoint(`q${number}.1`, 2, [`10.${number}.0.12`, `fd00:${number}::12`])
    const guest = (id: string, host: number) =>
      aTaskEndpoint(id, 1, [`10.${number}.0.${host}`, `fd00:${number}::${host}`])
    const guests = isOn ? [guest('s.1', 11), guest('p.1', 21)] : []
    return aView(aNetwork(number, { subnets, isInternal: number === 3 }), {
      tasks: [peer, ...guests],
    })
  })
  return [net1, ...further]
}

function endpointOn(number: number, host: number): EndpointConfig {
  const addresses = [`10.${number}.0.${host}`, `fd00:${number}::${host}`]
  return { networkId: `net${number}`, addresses, aliases: [] }
}

async function connect(
  network: NodeNetwork,
  { id, process }: OverlayContainer,
  endpoint: EndpointConfig,
) {
  const request = { containerId: id, name: id, pid: process.pid, endpoint }
  return await network.connect(request, never)
}

async function inside(
  world: OverlayWorld,
  { process }: OverlayContainer,
  ...argv: readonly string[]
): Promise<string> {
  return await world.bench.run(undefined, [...process.enter, ...argv])
}

t.test(
  'a container joins a second network while it runs, over a restart, and leaves it',
  async (t) => {
    const world = await anOverlayWorld(t, { hasIpv6: true })
    await world.tell(viewsOf(true))
    const own = await joinNetworks(world, { id: 's.1', on: 1, networks: [[1, '10.1.0.11']] })
    const other = await joinNetworks(world, { id: 's.2', on: 2, networks: [[1, '10.1.0.12']] })
    const addresses = ['10.2.0.12', 'fd00:2::12']
    const peer = await joinNetworks(world, { id: 'q2.1', on: 2, networks: [[2, ...addresses]] })
    for (const { process, id } of [own, other, peer]) await serve(process.enter, 'tcp:80', id)
    const before = await inside(world, own, 'ip', 'route')
    const { network } = world.node(1)
    t.equal(await pings(own.process.enter, '10.2.0.12'), false, 'another network')

    const attachment = await connect(network, own, endpointOn(2, 11))
    t.match(attachment, {
      endpoints: [
        { networkId: 'net1', addresses: ['10.1.0.11/24'] },
        { networkId: 'net2', addresses: ['10.2.0.11/24', 'fd00:2::11/64'] },
      ],
      nameservers: ['127.0.0.11'],
    })
    const reaches = async (): Promise<void> => {
      t.equal(await ask(own.process.enter, 'tcp', '10.2.0.12', 80), 'q2.1 10.2.0.11')
      t.equal(await ask(own.process.enter, 'tcp', 'fd00:2::12', 80), 'q2.1 fd00:2::11')
      t.equal(await ask(peer.process.enter, 'tcp', '10.2.0.11', 80), 's.1 10.2.0.12')
      t.equal(await ask(own.process.enter, 'tcp', '10.1.0.12', 80), 's.2 10.1.0.11', 'as before')
    }
    await reaches()
    t.equal(await pings(other.process.enter, '10.2.0.12'), false, 'its neighbours are not on it')
    t.match(await inside(world, own, 'ip', 'route'), /^default via \S+ dev eth0 /m, 'it stays')
    t.same(await network.audit(), [])

    // As after a crash between the kernel and the word of it: it is made anew.
    await connect(network, own, endpointOn(2, 11))
    await reaches()
    network.close()
    const restarted = world.node(1).again()
    await restarted.start()
    const request = { containerId: 's.1', name: 's.1', pid: own.process.pid, ports: [] }
    const asMade = { ...request, endpoints: [{ networkId: 'net1', addresses: [], aliases: [] }] }
    await restarted.restore([{ request: asMade, attachment }])
    t.same(await restarted.audit(), [], 'the new daemon knows the interface')
    await reaches()

    await connect(restarted, own, endpointOn(3, 11))
    t.match(await restarted.disconnect('s.1', 'net2'), {
      endpoints: [{ networkId: 'net1' }, { networkId: 'net3' }],
    })
    t.same((await restarted.disconnect('s.1', 'net3')).endpoints.length, 1)
    t.same((await restarted.disconnect('s.1', 'net3')).endpoints.length, 1, 'once more is no error')
    await world.tell(viewsOf(false), { to: [2, 3] })
    t.equal(await pings(own.process.enter, '10.2.0.12'), false)
    t.equal(await pings(peer.process.enter, '10.2.0.11'), false)
    t.equal(await inside(world, own, 'ip', 'route'), before)
    t.notMatch(await inside(world, own, 'ip', 'rule'), /lookup 10\d/)
    t.match(await restarted.audit(), [])
    await restarted.detach('s.1')
  },
)

t.test('one that was on the local network alone finds names by what it joins', async (t) => {
  const world = await anOverlayWorld(t, { hasIpv6: true })
  await world.tell(viewsOf(true))
  const { network } = world.node(1)
  const process = await world.bench.container()
  const local = [{ networkId: 'local', addresses: [], aliases: [] }]
  const request = { containerId: 'p.1', name: 'p.1', pid: process.pid, endpoints: local, ports: [] }
  const attachment = await network.attach(request, never)
  const guest: OverlayContainer = { id: 'p.1', node: world.node(1), process, attachment }
  const resolver = async (): Promise<string> =>
    await inside(world, guest, 'ip', 'route', 'show', 'table', 'local', '127.0.0.11')
  const wasResolver = await resolver()
  t.match(await connect(network, guest, endpointOn(2, 21)), { nameservers: ['127.0.0.11'] })
  t.match(await resolver(), /dev eth1 src 10\.2\.0\.21/)
  await connect(network, guest, endpointOn(3, 21))
  t.match(await resolver(), /dev eth1 /, 'the first of them has it')
  t.match(await network.disconnect('p.1', 'net2'), { nameservers: ['127.0.0.11'] })
  t.match(await resolver(), /dev eth2 src 10\.3\.0\.21/, 'and passes it on')
  t.match(await inside(world, guest, 'ip', 'route'), /^default via \S+ dev eth0 /m)
  t.match(await network.disconnect('p.1', 'net3'), { endpoints: [{ networkId: 'local' }] })
  t.equal((await resolver()).includes('dev eth2'), false, wasResolver)
  t.same(await network.audit(), [])

  await t.rejects(connect(network, { ...guest, id: 'who' }, endpointOn(2, 21)), {
    code: 'NOT_FOUND',
    message: /container who cannot be connected to a network: it has no network of its own/,
  })
  await process.kill()
  await t.rejects(connect(network, guest, endpointOn(2, 21)), { code: 'UNAVAILABLE' })
})

t.test('one without a way out gets it from the first network that has one', async (t) => {
  const world = await anOverlayWorld(t)
  await world.tell(viewsOf(true))
  const { network } = world.node(1)
  const guest = await joinNetworks(world, { id: 'p.1', on: 1, networks: [[3, '10.3.0.21']] })
  t.notMatch(await inside(world, guest, 'ip', 'route'), /^default /m)
  await connect(network, guest, { ...endpointOn(2, 21), addresses: ['10.2.0.21'] })
  t.match(await inside(world, guest, 'ip', 'route'), /^default via \S+ dev eth1 /m)
  const one = { ...endpointOn(1, 21), addresses: ['10.1.0.21'] }
  await connect(network, guest, one)
  await network.disconnect('p.1', 'net2')
  t.match(await inside(world, guest, 'ip', 'route'), /^default via \S+ dev eth2 /m, 'the next')
  await network.detach('p.1')
  t.same(await network.audit(), [])
})
