// What three nodes on a real kernel answer when they are asked about their network: differences with what they are of, and
// the way of a packet from a container to its backends. The state the managers would send is made by hand.
import t from 'tap'
import { TraceEnd, type TraceLegRequest } from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import { aNetwork, aServiceEndpoint, aTaskEndpoint, aView } from '../support/overlay-builders.ts'
import { anOverlayWorld, joinNetworks } from '../support/overlay-world.ts'
import { serve } from '../support/talk.ts'

t.setTimeout(120_000)

const views = [
  aView(aNetwork(1), {
    services: [
      aServiceEndpoint('web', { vips: ['10.1.0.2'] }),
      aServiceEndpoint('idle', { vips: ['10.1.0.3'] }),
    ],
    tasks: [
      aTaskEndpoint('probe.1', 1, ['10.1.0.11']),
      aTaskEndpoint('web.1', 1, ['10.1.0.12']),
      aTaskEndpoint('web.2', 2, ['10.1.0.13'], { slot: 2 }),
    ],
  }),
  aView(aNetwork(2), { tasks: [aTaskEndpoint('other.1', 1, ['10.2.0.11'])] }),
]

t.test('nodes name what differs, and follow a packet through their kernels', async (t) => {
  const world = await anOverlayWorld(t)
  await world.tell(views)
  const join = (id: string, on: number, network: number, address: string) =>
    joinNetworks(world, { id, on, networks: [[network, `${address}/24`]] })
  await join('probe.1', 1, 1, '10.1.0.11')
  const here = await join('web.1', 1, 1, '10.1.0.12')
  const there = await join('web.2', 2, 1, '10.1.0.13')
  await join('other.1', 1, 2, '10.2.0.11')
  for (const { id, process } of [here, there]) await serve(process.enter, 'tcp:80', id)
  const { dataPlane, network } = world.node(1)
  const probe = { $case: 'taskId', value: 'probe.1' } as const
  const leg = async (destination: string, port = 80, from: TraceLegRequest['from'] = probe) => {
    const request = { from, source: '', destination, protocol: 'tcp', port }
    return await network.diagnosis.leg(request)
  }
  const end = async (destination: string, port = 80) => {
    const [path] = (await leg(destination, port)).paths
    return [path?.end, path?.reason]
  }

  const { paths, balancedBy } = await leg('10.1.0.2')
  t.equal(balancedBy, '10.1.0.2')
  const local = paths.find(({ destination }) => destination === '10.1.0.12')
  t.match(local, { end: TraceEnd.DELIVERED, taskId: 'web.1', device: 'eth0', mtu: 1450 })
  const over = paths.find(({ destination }) => destination === '10.1.0.13')
  t.match(over, { end: TraceEnd.VXLAN, nodeId: 'n2', vni: 1_048_577, source: '10.1.0.11' })
  const arrival = { vni: 1_048_577, outerSource: '10.99.0.1' }
  const onward = { source: '10.1.0.11', destination: '10.1.0.13', protocol: 'tcp', port: 80 }
  const second = world.node(2).network.diagnosis
  const arrived = await second.leg({ from: { $case: 'arrival', value: arrival }, ...onward })
  t.match(arrived.paths, [{ end: TraceEnd.DELIVERED, taskId: 'web.2' }])

  t.same(await end('10.1.0.3'), [TraceEnd.REFUSED, 'no serving task'])
  t.match(await end('10.1.0.12', 81), [TraceEnd.REFUSED, /waits on tcp port 81/])
  t.match(await end('10.1.0.99'), [TraceEnd.UNREACHABLE, 'no task has 10.1.0.99 on network net1'])
  t.match(await end('10.2.0.11'), [TraceEnd.REFUSED, 'net1 and net2 are different networks'])

  t.same((await network.diagnosis.report('')).differences, [])
  const damage = ['ip', 'route', 'replace', 'unreachable', '10.1.0.13']
  await world.bench.run(dataPlane, damage)
  await world.bench.run(dataPlane, ['nft', 'flush', 'map', 'inet', 'tsswarm', 'vips'])
  t.match(await end('10.1.0.13'), [TraceEnd.UNREACHABLE, /no task has 10\.1\.0\.13/])
  const { differences } = await network.diagnosis.report('net1')
  const about = { networkId: 'net1', taskId: 'web.2', nodeId: 'n2' }
  t.match(
    differences.find(({ subject }) => subject === 'route to 10.1.0.13'),
    about,
  )
  const vip = differences.find(({ subject }) => subject.startsWith('entry "10.1.0.2 : '))
  t.match(vip, { problem: 'is missing', serviceId: 'web' })
  t.match(await end('10.1.0.13'), [TraceEnd.UNREACHABLE], 'asking mended nothing')

  await network.diagnosis.heal()
  t.equal((await end('10.1.0.13'))[0], TraceEnd.VXLAN)
  const { healing } = await network.diagnosis.report('')
  t.ok(healing.last.some(({ text }) => text.includes('route 10.1.0.13')))
})
