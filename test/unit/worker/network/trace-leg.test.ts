import { statSync } from 'node:fs'
import t from 'tap'
import {
  TraceEnd,
  type TraceLegRequest,
  type TracePath,
} from '../../../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { CommandResult } from '../../../../proto/lib/command.ts'
import { knowsSctp } from '../../../../worker/listening-ports.ts'
import { compileOverlay } from '../../../../worker/network/compile-overlay.ts'
import { desiredKernel } from '../../../../worker/network/desired-kernel.ts'
import type { ObservedKernel, ObservedNamespace } from '../../../../worker/network/kernel-state.ts'
import type { Endpoint } from '../../../../worker/network/network-state.ts'
import { readChain } from '../../../../worker/network/nft-lookup.ts'
import { parseRouteGet, routeGet } from '../../../../worker/network/route-lookup.ts'
import type { TraceContext } from '../../../../worker/network/trace-context.ts'
import { walk } from '../../../../worker/network/trace-leg.ts'
import { aNetworkState, anEndpoint, aPort } from '../../../support/network-builders.ts'
import {
  aNetwork,
  anIngressPort,
  anOverlay,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../../../support/overlay-builders.ts'
import type { SimulatedKernel } from '../../../support/simulated-kernel.ts'

const netnsFile = `/proc/${process.pid}/ns/net`
const living = { path: netnsFile, inode: statSync(netnsFile).ino }

/** An interface of web.2, on this node. */
function aWeb2(endpoint: Partial<Endpoint> = {}): Endpoint {
  return anEndpoint({
    containerId: 'web.2',
    networkId: 'net1',
    address: '10.1.0.11',
    prefix: 24,
    netns: living,
    overlay: {
      mtu: 1450,
      gateways: ['100.127.0.1'],
      gatewayMac: '02:00:00:00:01:01',
      subnets: ['10.1.0.0/24'],
      isInternal: false,
    },
    ...endpoint,
  })
}

/** Node 1: web.2 here and web.1 on node 2 behind 10.1.0.2 and port 8080; db has no task, front is another network. */
const views = [
  aView(aNetwork(1), {
    services: [
      aServiceEndpoint('web', { vips: ['10.1.0.2'] }),
      aServiceEndpoint('db', { vips: ['10.1.0.3'] }),
    ],
    tasks: [
      aTaskEndpoint('web.1', 2, ['10.1.0.12']),
      aTaskEndpoint('web.2', 1, ['10.1.0.11'], { slot: 2 }),
    ],
  }),
  aView(aNetwork(2), { tasks: [aTaskEndpoint('front.1', 1, ['10.2.0.11'])] }),
  aView(aNetwork(9, { isIngress: true }), {
    services: [
      aServiceEndpoint('web', {
        vips: ['10.9.0.2'],
        ports: [
          anIngressPort(),
          anIngressPort({ publishedPort: 8081, sources: ['192.0.2.0/24'] }),
          anIngressPort({ publishedPort: 8082, isMasqueraded: true }),
        ],
      }),
      aServiceEndpoint('db', {
        ports: [
          anIngressPort({ publishedPort: 5432 }),
          anIngressPort({ publishedPort: 5433, isFirewallFirst: true }),
        ],
      }),
    ],
    tasks: [aTaskEndpoint('web.1', 2, ['10.9.0.12']), aTaskEndpoint('web.2', 1, ['10.9.0.11'])],
  }),
]

interface World {
  readonly context: TraceContext
  /** Answers by what the command contains, first match. */
  readonly answers: Map<string, string | CommandResult>
  change(
    change: (observed: { -readonly [K in keyof ObservedKernel]: ObservedNamespace }) => void,
  ): void
}

const ok = (routes: object): string => JSON.stringify([routes])
const none: CommandResult = { code: 2, stdout: '', stderr: 'RTNETLINK answers: No route to host\n' }
const forged: CommandResult = {
  code: 2,
  stdout: '',
  stderr: 'RTNETLINK answers: Invalid cross-device link\n',
}

/** A kernel that holds what it should; routes are answered by the test. */
async function aWorld(
  given: readonly Endpoint[] = [],
  protocol: TraceContext['protocol'] = 'tcp',
): Promise<World> {
  const own = [
    aWeb2(),
    anEndpoint({
      containerId: 'front.1',
      networkId: 'net2',
      address: '10.2.0.11',
      link: 'v2',
      netns: living,
    }),
    anEndpoint({
      containerId: 'local1',
      link: 'v3',
      netns: living,
      ports: [
        aPort({ publishedPort: 90 }),
        aPort({ publishedPort: 91, sources: ['192.0.2.0/24'] }),
        aPort({ publishedPort: 92, door: '169.254.77.128' }),
        aPort({ publishedPort: 93 }),
      ],
    }),
    ...given,
  ]
  const overlay = compileOverlay({
    overlay: anOverlay(views),
    endpoints: own,
    wanted: new Set(),
    vxlanPort: 4789,
    dataPlaneFile: '/run/d.netns',
    doors: new Map(),
    blocked: new Set(),
    mtus: new Map(),
  })
  const desired = desiredKernel(aNetworkState({ endpoints: own, overlay }), '/run/d.netns')
  const namespace = (one: typeof desired.host): ObservedNamespace => ({
    items: one.items,
    sysctls: one.sysctls,
    table: {
      shape: '',
      elements: new Map(one.table.sets.map(({ name, elements }) => [name, elements])),
      serviceChains: one.table.serviceChains,
    },
  })
  const observed = { host: namespace(desired.host), dataPlane: namespace(desired.dataPlane) }
  const answers = new Map<string, string | CommandResult>()
  const run: SimulatedKernel['run'] = async (where, argv) => {
    const line = `${where}: ${argv.join(' ')}`
    for (const [part, answer] of answers) {
      if (!line.includes(part)) continue
      return typeof answer === 'string' ? { code: 0, stdout: answer, stderr: '' } : answer
    }
    return { code: 1, stdout: '', stderr: `nobody answers ${line}` }
  }
  const { paths } = anOverlay(views)
  const transit = overlay?.transit ?? []
  const loopback = [
    { protocol: 'tcp' as const, port: 8080, to: '127.0.0.1' },
    { protocol: 'tcp' as const, port: 93, to: '169.254.77.2' },
    { protocol: 'tcp' as const, port: 94, to: 'fd77::2' },
  ]
  const context: TraceContext = {
    ...{ kernel: { run }, observed, endpoints: own, views, paths, transit, protocol },
    loopback,
  }
  return { context, answers, change: (change) => change(observed) }
}

function aRequest(
  from: TraceLegRequest['from'],
  destination: string,
  more: Partial<TraceLegRequest> = {},
): TraceLegRequest {
  return { from, source: '', destination, protocol: 'tcp', port: 0, ...more }
}

const web2 = { $case: 'taskId', value: 'web.2' } as const
const host = { $case: 'host', value: true } as const
const outside = { $case: 'outside', value: true } as const

/** Routes of the container web.2 and to both tasks. */
function routes({ answers }: World): void {
  const inside = `--net=${netnsFile} -- ip`
  const addresses = (address: string, mac: string) =>
    ok({ address: mac, addr_info: [{ local: address }] })
  answers.set(`${inside} -j addr show`, addresses('10.1.0.11', '02:00:00:00:00:01'))
  answers.set(
    `${inside} -4 -j route get`,
    ok({ dev: 'eth0', gateway: '100.127.0.1', prefsrc: '10.1.0.11' }),
  )
  answers.set(
    'dataPlane: ip -4 -j route get 10.1.0.12',
    ok({ dev: 'vx100001', gateway: '100.127.0.2', metrics: [{ mtu: 1400 }] }),
  )
  answers.set('dataPlane: ip -4 -j route get 10.1.0.11', ok({ dev: 'v000000000001' }))
  answers.set('host: ip -4 -j route get 10.99.0.2', ok({ dev: 'eth0', prefsrc: '10.99.0.1' }))
}

const only = ({ paths }: { readonly paths: readonly TracePath[] }): TracePath => {
  const [path] = paths
  if (path === undefined || paths.length > 1) throw new Error(`${paths.length} paths`)
  return path
}

t.test('a virtual address leads to each backend, here and over VXLAN', async (t) => {
  const world = await aWorld()
  routes(world)
  const leg = await walk(world.context, aRequest(web2, '10.1.0.2'))
  t.equal(leg.balancedBy, '10.1.0.2')
  t.same(leg.hops, [
    { place: 'container', text: 'leaves by eth0 from 10.1.0.11, MTU 1450' },
    {
      place: 'data plane',
      text: 'nft map vips: 10.1.0.2 (virtual address of service web) leads to 10.1.0.12 (web.1), 10.1.0.11 (web.2)',
    },
  ])
  const [over, here] = leg.paths
  t.match(over, {
    end: TraceEnd.VXLAN,
    nodeId: 'n2',
    vni: 1_048_577,
    source: '10.1.0.11',
    destination: '10.1.0.12',
    mtu: 1400,
  })
  t.same(
    over?.hops.map(({ text }) => text),
    [
      'route to 10.1.0.12 (web.1): vx100001 via 100.127.0.2 (MTU 1400)',
      'policy: both are on network net1',
      'vxlan 1048577 from 10.99.0.1 on port 4789 to 10.99.0.2, by eth0 of the host',
    ],
  )
  t.match(here, { end: TraceEnd.DELIVERED, taskId: 'web.2', device: 'eth0' })
})

t.test('the ends of a way that does not lead there', async (t) => {
  const world = await aWorld()
  const { answers, context, change } = world
  routes(world)
  const ends = async (destination: string, answer: string | CommandResult) => {
    answers.set(`dataPlane: ip -4 -j route get ${destination} `, answer)
    const { end, reason } = only(await walk(context, aRequest(web2, destination)))
    return [end, reason]
  }
  t.same(await ends('10.1.0.77', none), [
    TraceEnd.UNREACHABLE,
    'no task has 10.1.0.77 on network net1',
  ])
  t.match(await ends('10.1.0.78', forged), [TraceEnd.DROPPED, /may not come by v000000000001/])
  t.match(
    await ends('10.1.0.79', {
      code: 2,
      stdout: '',
      stderr: 'RTNETLINK answers: Network is unreachable',
    }),
    [TraceEnd.UNREACHABLE, /Network is unreachable/],
  )
  t.same(await ends('10.1.0.3', ok({ type: 'local', dev: 'lo' })), [
    TraceEnd.REFUSED,
    'no serving task',
  ])
  t.match(await ends('100.127.0.1', ok({ type: 'local', dev: 'lo' })), [
    TraceEnd.REFUSED,
    /echo requests only/,
  ])
  t.same(await ends('10.2.0.11', ok({ dev: 'v2' })), [
    TraceEnd.REFUSED,
    'net1 and net2 are different networks',
  ])
  t.match(await ends('172.30.0.1', ok({ dev: 'v3' })), [
    TraceEnd.REFUSED,
    /nothing but its own network/,
  ])
  t.match(await ends('10.1.0.80', ok({ dev: 'v9' })), [TraceEnd.DROPPED, /no container's/])
  answers.set('host: ip -4 -j route get 8.8.8.8', ok({ dev: 'eth0', gateway: '10.99.0.254' }))
  t.same(await ends('8.8.8.8', ok({ dev: 'up0', gateway: '169.254.77.1' })), [TraceEnd.OUTSIDE, ''])
  answers.set('host: ip -4 -j route get 169.254.77.4', ok({ dev: 'dp0', gateway: '169.254.77.2' }))
  t.match(await ends('169.254.77.4', ok({ dev: 'up0', gateway: '169.254.77.1' })), [
    TraceEnd.DROPPED,
    /lets nothing back into the data plane but what a published port leads there/,
  ])

  change(
    ({ dataPlane }) =>
      dataPlane.table?.elements instanceof Map && dataPlane.table.elements.set('egress', []),
  )
  t.match(await ends('8.8.8.8', ok({ dev: 'up0' })), [
    TraceEnd.REFUSED,
    /egress of this node has no entry/,
  ])
})

t.test('what is missing on the way over is named', async (t) => {
  const lose = async (key: string) => {
    const world = await aWorld()
    routes(world)
    world.change((observed) => {
      const { dataPlane } = observed
      const items = dataPlane.items.filter((item) => `${item.kind} ${item.key}` !== key)
      observed.dataPlane = { ...dataPlane, items }
    })
    const { end, reason } = only(await walk({ ...world.context }, aRequest(web2, '10.1.0.12')))
    return [end, reason]
  }
  t.same(await lose('neighbour vx100001 100.127.0.2'), [
    TraceEnd.DROPPED,
    'neighbour 100.127.0.2 on vx100001 is missing',
  ])
  t.same(await lose('fdb vx100001 02:00:00:00:01:02'), [
    TraceEnd.DROPPED,
    'forwarding entry for 02:00:00:00:01:02 on vx100001 is missing',
  ])
  const world = await aWorld()
  routes(world)
  world.answers.set('host: ip -4 -j route get 10.99.0.2', none)
  t.match(only(await walk(world.context, aRequest(web2, '10.1.0.12'))), {
    end: TraceEnd.UNREACHABLE,
    reason: /no route to 10\.99\.0\.2/,
  })
  const strange = { ...world.context, paths: [] }
  t.match(only(await walk(strange, aRequest(web2, '10.1.0.12'))), {
    end: TraceEnd.DROPPED,
    reason: /which is no node/,
  })
})

t.test(
  'a port of SCTP that nobody can wait on is told from one that nobody waits on',
  async (t) => {
    const world = await aWorld([], 'sctp')
    routes(world)
    const arrival = {
      $case: 'arrival',
      value: { vni: 1_048_577, outerSource: '10.99.0.2' },
    } as const
    const request = aRequest(arrival, '10.1.0.11', { source: '10.1.0.12', port: 9 })
    const reason = (await knowsSctp(process.pid))
      ? 'no process of the container waits on sctp port 9'
      : /nobody can wait on a port of SCTP there: the kernel of this node has none/
    t.match(only(await walk(world.context, request)), { end: TraceEnd.REFUSED, reason })
  },
)

t.test('what is wrong at the container is named', async (t) => {
  const world = await aWorld()
  routes(world)
  const arrival = { $case: 'arrival', value: { vni: 1_048_577, outerSource: '10.99.0.2' } } as const
  const ask = async (context = world.context, port = 0) => {
    const request = aRequest(arrival, '10.1.0.11', { source: '10.1.0.12', port })
    const { end, reason } = only(await walk(context, request))
    return [end, reason]
  }
  t.same(await ask(), [TraceEnd.DELIVERED, ''])
  t.match(await ask(world.context, 1), [
    TraceEnd.REFUSED,
    'no process of the container waits on tcp port 1',
  ])
  const inside = `--net=${netnsFile} -- ip -j addr show`
  world.answers.set(
    inside,
    ok({ address: '02:00:00:00:00:99', addr_info: [{ local: '10.1.0.11' }] }),
  )
  t.match(await ask(), [
    TraceEnd.DROPPED,
    /sends to 02:00:00:00:00:01, but the container is 02:00:00:00:00:99/,
  ])
  world.answers.set(inside, ok({ address: '02:00:00:00:00:01', addr_info: [] }))
  t.same(await ask(), [TraceEnd.DROPPED, 'the container has lost its address 10.1.0.11'])
  world.answers.set(inside, none)
  t.match(await ask(), [TraceEnd.DROPPED, /cannot be looked into/])
  const gone = aWeb2({ netns: { path: netnsFile, inode: 1 } })
  t.same(await ask({ ...world.context, endpoints: [gone] }), [
    TraceEnd.DROPPED,
    'its container has ended',
  ])
  const other = aWeb2({ address: '10.1.0.99' })
  t.match(await ask({ ...world.context, endpoints: [other] }), [
    TraceEnd.DROPPED,
    /has another address/,
  ])
})

t.test('VXLAN arrives from nodes only, and on networks that are held', async (t) => {
  const { context } = await aWorld()
  const from = (vni: number, outerSource: string) =>
    ({ $case: 'arrival', value: { vni, outerSource } }) as const
  const stranger = only(await walk(context, aRequest(from(1_048_577, '10.99.0.100'), '10.1.0.11')))
  t.match(stranger, { end: TraceEnd.DROPPED, reason: /vteps does not know it as a node/ })
  const unheld = only(await walk(context, aRequest(from(1_048_580, '10.99.0.2'), '10.4.0.11')))
  t.match(unheld, { end: TraceEnd.DROPPED, reason: 'device vx100004 is missing there' })
})

t.test('published ports lead on, by their sources, masqueraded or not', async (t) => {
  const world = await aWorld()
  const { answers, context } = world
  routes(world)
  answers.set(
    'host: ip -4 -j route get 10.99.0.1',
    ok({ type: 'local', dev: 'lo', prefsrc: '10.99.0.1' }),
  )
  answers.set(
    'host: ip -4 -j route get 127.0.0.1',
    ok({ type: 'local', dev: 'lo', prefsrc: '127.0.0.1' }),
  )
  answers.set(
    'dataPlane: ip -4 -j route get 10.9.0.12',
    ok({ dev: 'vx100009', gateway: '100.127.0.2' }),
  )
  answers.set('dataPlane: ip -4 -j route get 10.9.0.11', ok({ dev: 'v8' }))
  answers.set('dataPlane: ip -4 -j route get 169.254.77.2', ok({ type: 'local', dev: 'lo' }))
  answers.set('dataPlane: ip -4 -j route get 172.30.0.1', ok({ dev: 'v3' }))
  const waiting = ['0.0.0.0:22', '[::1]:24', '10.99.0.1:25', '*:26', '127.0.0.1:27']
  answers.set('host: ss ', waiting.map((at) => `tcp LISTEN 0 128 ${at} 0.0.0.0:*\n`).join(''))
  const ask = (port: number, more: Partial<TraceLegRequest> = {}) =>
    walk(context, aRequest(outside, '10.99.0.1', { source: '203.0.113.7', port, ...more }))
  const open = await ask(8080)
  t.equal(open.balancedBy, 'tcp/8080')
  t.same(
    open.hops.map(({ text }) => text),
    [
      'port 8080/tcp is published (nft set published): on by dp0',
      'nft map ingress_ports: port 8080/tcp leads to 10.9.0.12 (web.1) port 80, 10.9.0.11 (web.1) port 80',
    ],
  )
  t.match(open.paths[0], {
    end: TraceEnd.VXLAN,
    source: '203.0.113.7',
    destination: '10.9.0.12',
    port: 80,
  })
  t.match((await ask(8082)).paths[0], { source: '100.127.0.1' }, 'masqueraded')
  const loopback = await walk(context, aRequest(host, '127.0.0.1', { port: 8080 }))
  t.match(loopback.paths[0], { source: '100.127.0.1' }, 'loopback goes as the node')
  t.match(only(await ask(8081)), {
    end: TraceEnd.DROPPED,
    reason: /open to 192\.0\.2\.0\/24 only, and the client is 203/,
  })
  t.match((await ask(8081, { source: '192.0.2.9' })).paths[0], { end: TraceEnd.VXLAN })
  t.match(only(await ask(8081, { source: '10.1.0.99' })), {
    reason: /the client is 169\.254\.77\.255/,
  })
  t.match(only(await ask(5432)), { end: TraceEnd.REFUSED, reason: 'no serving task' })
  answers.set('dataPlane: ip -4 -j route get 169.254.77.128', ok({ dev: 'up0', gateway: 'x' }))
  t.match(only(await ask(5433)), { end: TraceEnd.REFUSED, reason: 'no serving task' })
  t.match(only(await ask(22)), {
    end: TraceEnd.HOST,
    reason: /a program of the host waits on tcp port 22/,
  })
  t.match(only(await ask(23)), { end: TraceEnd.REFUSED, reason: /not published at 10\.99\.0\.1/ })
  for (const port of [25, 26]) t.match(only(await ask(port)), { end: TraceEnd.HOST }, `${port}`)
  for (const port of [24, 27]) {
    t.match(
      only(await ask(port)),
      { end: TraceEnd.REFUSED },
      `who waits on ${port} waits elsewhere`,
    )
  }
  t.match(only(await ask(0)), { end: TraceEnd.HOST })
  const hostMode = only(await ask(90))
  t.ok(
    hostMode.hops.some(({ text }) =>
      text.includes('host_ports: leads to 172.30.0.1 (container local1) port 80'),
    ),
  )
  t.match(only(await ask(91)), {
    end: TraceEnd.DROPPED,
    reason: /open to 192\.0\.2\.0\/24 only, and the client is 203/,
  })
  const guarded = only(await ask(91, { source: '192.0.2.9' }))
  t.equal(guarded.destination, '172.30.0.1')
  const [first] = only(await ask(92)).hops
  t.match(first?.text, /port 92\/tcp is published \(nft set firewalled\)/)
})

t.test('what comes to ::1 is handed on by the daemon', async (t) => {
  const world = await aWorld()
  const { answers, context } = world
  routes(world)
  answers.set('route get ::1', ok({ type: 'local', dev: 'lo', prefsrc: '::1' }))
  answers.set('ip -4 -j route get 127.0.0.1', ok({ type: 'local', dev: 'lo' }))
  answers.set('dataPlane: ip -4 -j route get 10.9.0.12', ok({ dev: 'vx100009', gateway: 'x' }))
  answers.set('dataPlane: ip -4 -j route get 10.9.0.11', ok({ dev: 'v8' }))
  answers.set('dataPlane: ip -4 -j route get 172.30.0.1', ok({ dev: 'v3' }))
  answers.set('host: ss ', 'tcp LISTEN 0 128 [::1]:95 [::]:*\n')
  const ask = (port: number) => walk(context, aRequest(host, '::1', { port }))
  const meshed = await ask(8080)
  t.match(
    meshed.hops.map(({ text }) => text),
    [
      'the daemon waits on ::1 and hands on to 127.0.0.1',
      /port 8080\/tcp is published/,
      /ingress_ports/,
    ],
  )
  t.match(only(await ask(93)), {
    source: '169.254.77.1',
    destination: '172.30.0.1',
    hops: [
      { text: 'the daemon waits on ::1 and hands on to 169.254.77.2' },
      { text: /host_ports/ },
    ],
  })
  t.match(only(await ask(94)), {
    source: 'fd77::1',
    end: TraceEnd.REFUSED,
    reason: /ingress_ports6 of the data plane has no entry/,
  })
  t.match(only(await ask(95)), { end: TraceEnd.HOST, reason: /a program of the host/ })
})

t.test('the host itself reaches others by its own routes', async (t) => {
  const { answers, context } = await aWorld()
  answers.set('route get 10.99.0.2', ok({ dev: 'eth0', prefsrc: '10.99.0.1' }))
  answers.set('route get 10.99.0.9', none)
  t.match(only(await walk(context, aRequest(host, '10.99.0.2'))), {
    end: TraceEnd.OUTSIDE,
    source: '10.99.0.1',
    hops: [{ place: 'host', text: 'route to 10.99.0.2: eth0' }],
  })
  t.match(only(await walk(context, aRequest(host, '10.99.0.9'))), { end: TraceEnd.UNREACHABLE })
})

t.test('the container decides first', async (t) => {
  const { answers, context } = await aWorld()
  const inside = `--net=${netnsFile} -- ip -4 -j route get`
  answers.set(inside, none)
  t.match(only(await walk(context, aRequest(web2, '9.9.9.9'))), {
    end: TraceEnd.UNREACHABLE,
    reason: /container has no route/,
  })
  answers.set(inside, ok({ type: 'local', dev: 'lo', prefsrc: '10.1.0.11' }))
  t.match(only(await walk(context, aRequest(web2, '10.1.0.11'))), {
    end: TraceEnd.DELIVERED,
    reason: /its own address/,
  })
  t.match(only(await walk(context, aRequest(web2, '10.1.0.11', { port: 1 }))), {
    end: TraceEnd.REFUSED,
    reason: /no process of the container waits on tcp port 1/,
  })
  answers.set(inside, ok({ dev: 'eth7' }))
  t.match(only(await walk(context, aRequest(web2, '10.1.0.12'))), {
    end: TraceEnd.DROPPED,
    reason: /none of ours/,
  })
  const nobody = { $case: 'taskId', value: 'nobody' } as const
  await t.rejects(walk(context, aRequest(nobody, '10.1.0.12')), { code: 'NOT_FOUND' })
  await t.rejects(walk(context, aRequest(undefined, '10.1.0.12')), { code: 'INVALID_ARGUMENT' })
})

t.test('chains are read as they were written', (t) => {
  const read = (...rules: string[]) => readChain(rules)
  const v6 = read('meta l4proto tcp dnat ip6 to [fd00::5]:80')
  t.match(v6, {
    targets: [{ address: 'fd00::5', port: 80 }],
    sources: undefined,
    isMasqueraded: false,
  })
  t.match(read('meta l4proto tcp dnat ip to 10.1.0.5:80').targets, [
    { address: '10.1.0.5', port: 80 },
  ])
  t.match(read('meta l4proto { tcp, udp } dnat ip6 to fd00::5').targets, [
    { address: 'fd00::5', port: undefined },
  ])
  const limited = read(
    'ct mark set ct mark or 0x10000',
    'ip saddr 192.0.2.0/24 meta l4proto tcp dnat ip to 10.1.0.5:80',
    'drop',
  )
  t.match(limited, { sources: ['192.0.2.0/24'], isMasqueraded: true, foreign: undefined })
  t.equal(read('{"accept":null}').foreign, '{"accept":null}')
  t.same(read().targets, [])
  t.end()
})

t.test('answers of ip are read', async (t) => {
  t.match(parseRouteGet(ok({ dev: 'eth0', metrics: [{ mtu: 1400 }] })), {
    kind: 'route',
    dev: 'eth0',
    mtu: 1400,
    isLocal: false,
  })
  t.match(parseRouteGet(ok({ type: 'unreachable', dev: 'lo' })), {
    kind: 'none',
    why: 'No route to host',
  })
  t.match(parseRouteGet(''), { kind: 'none' })
  const failing = { run: async () => ({ code: 127, stdout: '', stderr: '' }) }
  t.match(await routeGet(failing, { namespace: 'host', destination: '10.0.0.1' }), {
    kind: 'none',
    why: 'ip ended with 127',
  })
})

t.test('an address of a local network that no task of this node has', async (t) => {
  const world = await aWorld()
  routes(world)
  world.answers.set('dataPlane: ip -4 -j route get 10.1.0.77 ', none)
  const local = views.map((view) => ({ ...view, network: { ...view.network, isLocal: true } }))
  const path = only(await walk({ ...world.context, views: local }, aRequest(web2, '10.1.0.77')))
  t.match(path, {
    end: TraceEnd.UNREACHABLE,
    reason: 'network net1 is local to each node, and no task of this one has 10.1.0.77',
  })
})
