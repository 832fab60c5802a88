// Services on overlay networks over three nodes: virtual addresses and published ports on a real kernel, over both families.
import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { IngressPort, NetworkView, TaskEndpoint } from '../../proto/objects/overlay.ts'
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
  clientAddress,
  inNs,
  joinNetworks,
  type OverlayContainer,
  type OverlayWorld,
  pings,
} from '../support/overlay-world.ts'
import { answers, ask, askBriefly, isSilent, serve } from '../support/talk.ts'

t.setTimeout(300_000)

const vip = '10.1.0.2'
const addressOf = (node: number): string => `10.1.0.1${node}`

/** Network 1 with service `web`, whose tasks on these nodes serve; those on all three exist. */
function webView(...serving: readonly number[]): NetworkView {
  const tasks = [1, 2, 3].map((node) =>
    aTaskEndpoint(`web.${node}`, node, [addressOf(node)], { isServing: serving.includes(node) }),
  )
  const services = [
    aServiceEndpoint('web', { vips: [vip] }),
    aServiceEndpoint('named', { mode: 'dnsrr' }),
  ]
  return aView(aNetwork(1), { services, tasks })
}

async function web(world: OverlayWorld, node: number): Promise<OverlayContainer> {
  const container = await joinNetworks(world, {
    id: `web.${node}`,
    on: node,
    networks: [[1, `${addressOf(node)}/24`]],
  })
  await serve(container.process.enter, 'tcp:80', `web.${node}`)
  await serve(container.process.enter, 'udp:53', `web.${node}`)
  return container
}

t.test('a virtual address leads to every serving task, and to oneself', async (t) => {
  const world = await anOverlayWorld(t)
  // With an ingress network there are rules (ip rule), under which the kernel keeps local addresses apart.
  const ingress = aView(aNetwork(9, { isIngress: true }))
  await world.tell([webView(1, 2, 3), ingress])
  const [first, second] = await Promise.all([1, 2, 3].map((node) => web(world, node)))
  const enter = first?.process.enter ?? []
  const all = [`web.1 ${vip}`, 'web.2 10.1.0.11', 'web.3 10.1.0.11']
  t.same(
    await answers(enter, ['tcp', vip, 80], all),
    all,
    'tcp, and itself in the name of its service',
  )
  t.same(await answers(enter, ['udp', vip, 53], all), all, 'udp')
  t.equal(await pings(enter, vip), true, 'the address answers')

  await world.tell([webView(2), ingress])
  t.same(await answers(enter, ['tcp', vip, 80], []), ['web.2 10.1.0.11'])
  t.same(await answers(second?.process.enter ?? [], ['tcp', vip, 80], []), [`web.2 ${vip}`])

  await world.tell([webView()])
  for (const [transport, port] of [
    ['tcp', 80],
    ['udp', 53],
  ] as const) {
    const answer = await ask(enter, transport, vip, port)
    t.equal(answer, 'ECONNREFUSED', `${transport} is refused without a task`)
  }
  for (const { network } of world.nodes) t.same(await network.audit(), [])
})

t.test('a sender of UDP that never stops follows the service from task to task', async (t) => {
  const world = await anOverlayWorld(t)
  await world.tell([webView(1)])
  const [client, second, third] = await Promise.all(
    [1, 2, 3].map((on) =>
      joinNetworks(world, { id: `web.${on}`, on, networks: [[1, `${addressOf(on)}/24`]] }),
    ),
  )
  const heard = (node: number): string => join(world.bench.dir, `heard${node}`)
  for (const [node, container] of [
    [2, second],
    [3, third],
  ] as const) {
    await appendFile(heard(node), '')
    world.bench.daemon([
      ...(container?.process.enter ?? []),
      ...['socat', '-u', 'UDP4-RECV:53', `OPEN:${heard(node)},append`],
    ])
  }
  world.bench.daemon([
    ...(client?.process.enter ?? []),
    ...[process.execPath, '-e'],
    `const socket = require('node:dgram').createSocket('udp4').bind(7777)
     setInterval(() => socket.send('x', 53, '${vip}', () => {}), 50)`,
  ])
  for (const node of [2, 3, 2]) {
    await world.tell([webView(node)])
    const before = (await readFile(heard(node), 'utf8')).length
    const grows = async (): Promise<boolean> =>
      (await readFile(heard(node), 'utf8')).length > before
    await t.resolves(eventually(grows, 'it is heard'), `the task on node ${node} hears it`)
  }

  // This kernel may have no SCTP, but it follows associations.
  const { dataPlane } = world.node(1)
  await world.bench.run(dataPlane, [
    ...['conntrack', '-I', '-p', 'sctp', '--state', 'ESTABLISHED', '-t', '600'],
    ...['-s', addressOf(1), '-d', vip, '--dst-nat', addressOf(2)],
    ...['--sport', '7777', '--dport', '99', '--orig-vtag', '1', '--reply-vtag', '2'],
  ])
  const associations = (): Promise<string> =>
    world.bench.run(dataPlane, ['conntrack', '-L', '-p', 'sctp'])
  await world.tell([webView(3)])
  t.match(await associations(), /src=10\.1\.0\.12/, 'an association lives on with its task')
  const { network, services, tasks } = webView(3)
  await world.tell([{ network, services, tasks: tasks.slice(2) }])
  t.equal((await associations()).trim(), '', 'and ends with it')
})

/** The ingress network (9) with service `site` on nodes 1 and 2, and network 1 and an internal network 2 beside it. */
function siteViews(ports: readonly IngressPort[], tasks?: readonly TaskEndpoint[]): NetworkView[] {
  const on = (network: number, node: number): TaskEndpoint =>
    aTaskEndpoint(`site.${node}`, node, [`10.${network}.0.1${node}`])
  const services = [aServiceEndpoint('site', { vips: ['10.9.0.2'], ports })]
  return [
    aView(aNetwork(9, { isIngress: true }), { services, tasks: tasks ?? [on(9, 1), on(9, 2)] }),
    aView(aNetwork(1), { tasks: [on(1, 1), on(1, 2)] }),
    aView(aNetwork(2, { isInternal: true }), {
      tasks: [on(2, 1), on(2, 2), aTaskEndpoint('guest.1', 3, ['10.2.0.20'])],
    }),
  ]
}

async function site(world: OverlayWorld, node: number): Promise<OverlayContainer> {
  const container = await joinNetworks(world, {
    id: `site.${node}`,
    on: node,
    networks: [2, 9, 1].map((network) => [network, `10.${network}.0.1${node}/24`] as const),
  })
  await serve(container.process.enter, 'tcp:80', `site.${node}`)
  await serve(container.process.enter, 'udp:53', `site.${node}`)
  return container
}

const http = anIngressPort()
const dns = anIngressPort({ protocol: 'udp', targetPort: 53, publishedPort: 8053 })

t.test('a published port answers on every node, and the task sees the client', async (t) => {
  const world = await anOverlayWorld(t)
  await world.tell(siteViews([http, dns]))
  const [one] = await Promise.all([site(world, 1), site(world, 2)])
  const client = inNs(world.client)
  const both = [`site.1 ${clientAddress}`, `site.2 ${clientAddress}`]
  for (const { address, number } of world.nodes) {
    t.same(await answers(client, ['tcp', address, 8080], both), both, `tcp at node ${number}`)
    t.same(await answers(client, ['udp', address, 8053], both), both, `udp at node ${number}`)
  }
  const three = world.node(3)
  const own = inNs(three.host)
  const transit = ['site.1 100.127.0.3', 'site.2 100.127.0.3']
  const node = [`site.1 ${three.address}`, `site.2 ${three.address}`]
  t.same(await answers(own, ['tcp', '127.0.0.1', 8080], transit), transit, 'over loopback')
  t.same(await answers(own, ['tcp', three.address, 8080], node), node, 'from the host to itself')
  const self = await answers(one.process.enter, ['tcp', world.node(1).address, 8080], both)
  t.same(self, ['site.1 169.254.77.1', 'site.2 100.127.0.1'], 'a task asks its own port')

  t.equal(await isSilent(client, ['tcp', three.address, 80]), true, 'only what is published')
  await serve(client, 'tcp:81', 'outside')
  t.equal(await ask(one.process.enter, 'tcp', clientAddress, 81), 'outside 10.99.0.1')
  await world.tell(siteViews([]))
  t.equal(await isSilent(client, ['tcp', three.address, 8080]), true, 'closed')
  for (const { network } of world.nodes) t.same(await network.audit(), [])
})

t.test('in the middle of an update each task is reached at its own port', async (t) => {
  const world = await anOverlayWorld(t)
  const added = anIngressPort({ targetPort: 9000, publishedPort: 9000 })
  const at = ({ protocol, publishedPort, bindAddress }: IngressPort, targetPort: number) => ({
    ...{ protocol, publishedPort, bindAddress, targetPort },
  })
  const old = aTaskEndpoint('site.1', 1, ['10.9.0.11'], {
    targets: [at(http, 80), at(dns, 53), at(added, 0)],
  })
  const young = aTaskEndpoint('site.2', 2, ['10.9.0.12'])
  const ports = [{ ...http, targetPort: 8080 }, { ...dns, targetPort: 5353 }, added]
  await world.tell(siteViews(ports, [old, young]))
  const [, second] = await Promise.all([site(world, 1), site(world, 2)])
  const enter = second.process.enter
  await Promise.all(
    (['tcp:8080', 'udp:5353', 'tcp:9000'] as const).map((listen) => serve(enter, listen, 'young')),
  )
  const client = inNs(world.client)
  const { address, network } = world.node(3)
  const both = [`site.1 ${clientAddress}`, `young ${clientAddress}`]
  t.same(await answers(client, ['tcp', address, 8080], both), both, 'tcp')
  t.same(await answers(client, ['udp', address, 8053], both), both, 'udp')
  const one = [`young ${clientAddress}`]
  t.same(await answers(client, ['tcp', address, 9000], one), one, 'one that only the new has')
  t.same(await network.audit(), [])
})

t.test('a task on three networks is reached on each, and none leads to another', async (t) => {
  const world = await anOverlayWorld(t)
  await world.tell(siteViews([http]))
  const [one] = await Promise.all([site(world, 1), site(world, 2)])
  for (const network of [9, 1, 2]) {
    const answer = await ask(one.process.enter, 'tcp', `10.${network}.0.12`, 80)
    t.equal(answer, `site.2 10.${network}.0.11`, `network ${network}`)
  }
  const guest = await joinNetworks(world, { id: 'guest', on: 3, networks: [[2, '10.2.0.20/24']] })
  t.equal(await ask(guest.process.enter, 'tcp', '10.2.0.12', 80), 'site.2 10.2.0.20')
  t.equal(await askBriefly(guest.process.enter, 'tcp', '10.1.0.12', 80), '', 'another network')
  await serve(inNs(world.client), 'tcp:81', 'outside')
  t.equal(
    await askBriefly(guest.process.enter, 'tcp', clientAddress, 81),
    '',
    'internal leads nowhere',
  )
})

t.test('a port may prefer tasks of its node, hide the client, or be for some only', async (t) => {
  const world = await anOverlayWorld(t)
  const ports = [
    { ...http, isLocalFirst: true },
    anIngressPort({ publishedPort: 8081, isMasqueraded: true }),
    anIngressPort({ publishedPort: 8082, bindAddress: '127.0.0.1' }),
    anIngressPort({ publishedPort: 8083, sources: [`${clientAddress}/32`, '192.168.0.0/16'] }),
    anIngressPort({ publishedPort: 8084, sources: ['127.0.0.0/8'] }),
  ]
  await world.tell(siteViews(ports))
  await Promise.all([site(world, 1), site(world, 2)])
  const client = inNs(world.client)
  const [first, third] = [world.node(1), world.node(3)]
  const local = [`site.1 ${clientAddress}`]
  t.same(await answers(client, ['tcp', first.address, 8080], []), local, 'local first')
  const hidden = ['site.1 100.127.0.3', 'site.2 100.127.0.3']
  t.same(await answers(client, ['tcp', third.address, 8081], hidden), hidden, 'masqueraded')
  t.equal(await isSilent(client, ['tcp', third.address, 8082]), true, 'bound to loopback')
  t.same(await answers(inNs(third.host), ['tcp', '127.0.0.1', 8082], hidden), hidden)
  const seen = hidden.map((text) => text.replace('100.127.0.3', clientAddress))
  t.same(await answers(client, ['tcp', third.address, 8083], seen), seen, 'among the sources')
  t.equal(await isSilent(inNs(first.host), ['tcp', third.address, 8083]), true, 'not among them')
  t.equal(await isSilent(client, ['tcp', third.address, 8084]), true)
  t.same(await answers(inNs(third.host), ['tcp', '127.0.0.1', 8084], hidden), hidden)

  const [ingress, ...others] = siteViews([
    anIngressPort({ publishedPort: 8085, bindAddress: third.address }),
  ])
  const near = aServiceEndpoint('near', {
    ports: [anIngressPort({ publishedPort: 8085, bindAddress: '127.0.0.1' })],
  })
  if (ingress === undefined) throw new Error('no ingress network')
  await world.tell([
    {
      ...ingress,
      services: [...ingress.services, near],
      tasks: [...ingress.tasks, aTaskEndpoint('near.1', 2, ['10.9.0.21'])],
    },
    ...others,
  ])
  const nearby = await joinNetworks(world, {
    ...{ id: 'near.1', on: 2 },
    networks: [[9, '10.9.0.21/24']],
  })
  await serve(nearby.process.enter, 'tcp:80', 'near.1')
  t.same(await answers(client, ['tcp', third.address, 8085], seen), seen, 'one port at its address')
  const atLoopback = await answers(inNs(third.host), ['tcp', '127.0.0.1', 8085], [])
  t.same(atLoopback, ['near.1 100.127.0.3'], 'the same port of another service at another')
  await world.tell(siteViews(ports))
  await t.rejects(
    joinNetworks(world, {
      id: 'late',
      on: 3,
      networks: [[1, '10.1.0.30/24']],
      ports: [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }],
    }),
    { code: 'ADDRESS_IN_USE' },
  )
})

t.test(
  'a port goes from the hosts of tasks to the mesh and back, and is never closed',
  async (t) => {
    const world = await anOverlayWorld(t)
    const { address, network } = world.node(1)
    const client = inNs(world.client)
    const bound = anIngressPort({ publishedPort: 8085, bindAddress: address })
    const own = [
      { protocol: 'tcp' as const, targetPort: 80, publishedPort: 8080 },
      { protocol: 'tcp' as const, targetPort: 80, publishedPort: 8085, bindAddress: address },
    ]
    const views = (ports: readonly IngressPort[]): NetworkView[] =>
      siteViews(ports, [aTaskEndpoint('site.2', 2, ['10.9.0.12'])])
    await world.tell(views([]))
    await site(world, 2)
    const old = await joinNetworks(world, {
      ...{ id: 'old', on: 1, ports: own },
      networks: [[1, '10.1.0.30/24']],
    })
    await serve(old.process.enter, 'tcp:80', 'old')
    const answered = async (by: string): Promise<void> => {
      for (const port of [8080, 8085]) {
        t.equal(await ask(client, 'tcp', address, port), `${by} ${clientAddress}`, `port ${port}`)
      }
      t.same(await network.audit(), [])
    }
    await answered('old')
    await world.tell(views([http, bound]))
    await answered('old')
    await world.tell(views([]))
    await answered('old')
    await world.tell(views([http, bound]))
    await network.detach('old')
    await answered('site.2')
  },
)

t.test('a port without a serving task is refused at once, whatever it is bound to', async (t) => {
  const world = await anOverlayWorld(t)
  const { address, host } = world.node(1)
  const tcp = [
    http,
    anIngressPort({ publishedPort: 8081, bindAddress: address }),
    anIngressPort({ publishedPort: 8082, isFirewallFirst: true }),
    anIngressPort({ publishedPort: 8083, sources: ['10.99.0.0/24'] }),
  ]
  const udp = tcp.map((port) => ({ ...port, protocol: 'udp' as const, targetPort: 53 }))
  const loopback = anIngressPort({ publishedPort: 8084, bindAddress: '127.0.0.1' })
  await world.tell(siteViews([...tcp, ...udp, loopback], []))
  for (const { protocol, publishedPort } of [...tcp, ...udp]) {
    const transport = protocol === 'udp' ? 'udp' : 'tcp'
    const answer = await ask(inNs(world.client), transport, address, publishedPort)
    t.equal(answer, 'ECONNREFUSED', `${protocol} ${publishedPort}`)
  }
  t.equal(await ask(inNs(host), 'tcp', '127.0.0.1', 8084), 'ECONNREFUSED')
  for (const { network } of world.nodes) t.same(await network.audit(), [])
})

t.test('a client whose address an overlay has too is not taken for the host', async (t) => {
  const world = await anOverlayWorld(t)
  const { host, address } = world.node(1)
  const ports = [anIngressPort({ sources: ['127.0.0.1'] }), anIngressPort({ publishedPort: 8081 })]
  const lan = aView(aNetwork(99), { tasks: [aTaskEndpoint('lan.1', 1, ['10.99.0.200'])] })
  await world.tell([...siteViews(ports, [aTaskEndpoint('site.1', 1, ['10.9.0.11'])]), lan])
  await joinNetworks(world, { id: 'lan.1', on: 1, networks: [[99, '10.99.0.200/24']] })
  await site(world, 1)
  t.equal(await ask(inNs(host), 'tcp', '127.0.0.1', 8080), 'site.1 169.254.77.1')
  const client = inNs(world.client)
  t.equal(await isSilent(client, ['tcp', address, 8080]), true)
  t.equal(await ask(client, 'tcp', address, 8081), 'site.1 169.254.77.255', 'it is another one')
})

t.test('a port goes from the mesh to a task whose node hears of it late', async (t) => {
  const world = await anOverlayWorld(t)
  const { address, network } = world.node(1)
  await world.tell(siteViews([http], [aTaskEndpoint('site.2', 2, ['10.9.0.12'])]))
  const old = await site(world, 2)
  const { pid, enter } = await world.bench.container()
  const ports = [{ protocol: 'tcp' as const, targetPort: 80, publishedPort: 8080 }]
  const request = { ...{ containerId: 'new', name: 'new', pid }, endpoints: [], ports }
  const attached = network.attach(request, new AbortController().signal)
  const taken = t.resolveMatch(attached, { ports })
  // Who compares waits for containers that are just being attached.
  await network.audit()
  await world.tell(siteViews([]))
  await taken
  await serve(enter, 'tcp:80', 'new')
  t.equal(await ask(inNs(world.client), 'tcp', address, 8080), `new ${clientAddress}`)
  t.same(await network.audit(), [])
  await old.process.kill()
})

t.test('a port that a program of a node had first is left to it, until it ends', async (t) => {
  const world = await anOverlayWorld(t)
  const { host, address, network, conditions, again } = world.node(3)
  const client = inNs(world.client)
  const stop = new AbortController()
  const first = await serve(inNs(host), 'tcp:8080', 'mine')
  const udp = await serve(inNs(host), 'udp:8053', 'mine')
  await world.tell(siteViews([http, dns], [aTaskEndpoint('site.1', 1, ['10.9.0.11'])]))
  const running = network.run(stop.signal)
  await site(world, 1)
  const mine = `mine ${clientAddress}`
  const ours = `site.1 ${clientAddress}`
  t.equal(await ask(client, 'tcp', address, 8080), mine)
  t.equal(await ask(client, 'udp', address, 8053), mine)
  t.equal(await ask(client, 'tcp', world.node(2).address, 8080), ours, 'the others serve')
  t.match(conditions.list(), [
    {
      code: 'PORT_TAKEN',
      message: /8080\/tcp of service "site" is held by node \(process \d+\)/,
    },
    { code: 'PORT_TAKEN', message: /8053\/udp/, serviceId: 'site' },
  ])
  t.same(world.node(2).conditions.list(), [])
  t.same(await network.audit(), [], 'a port that is left to another is no difference')
  await Promise.all([first.stop(), udp.stop()])
  const serves = async (): Promise<boolean> =>
    (await askBriefly(client, 'tcp', address, 8080)) === ours
  await eventually(serves, 'the port is taken by itself')
  t.equal(await ask(client, 'udp', address, 8053), ours)
  t.same(conditions.list(), [])

  await serve(inNs(host), 'tcp:8080', 'late')
  const isTold = async (): Promise<boolean> =>
    conditions.list().some(({ code, message }) => code === 'PORT_SHADOWED' && /node/.test(message))
  await eventually(isTold, 'a program that came later is told of')
  t.equal(await ask(client, 'tcp', address, 8080), ours)
  stop.abort()
  await running
  network.close()
  const restarted = again()
  await restarted.start()
  t.equal(await ask(client, 'tcp', address, 8080), ours, 'also for a later daemon')
  t.same(await restarted.audit(), [])
})
