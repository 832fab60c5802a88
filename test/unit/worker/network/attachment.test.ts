import { join } from 'node:path'
import t, { type Test } from 'tap'
import { seededRandom } from '../../../../proto/lib/random.ts'
import type { AttachRequest } from '../../../../worker/executor/network-attacher.ts'
import {
  type AttachmentDeps,
  attachContainer,
  detachContainer,
  readmit,
  requireRecord,
} from '../../../../worker/network/attachment.ts'
import { openJournal } from '../../../../worker/network/journal.ts'
import { anEndpoint } from '../../../support/network-builders.ts'
import { aKeeper } from '../../../support/overlay-builders.ts'
import { SimulatedKernel } from '../../../support/simulated-kernel.ts'

const never = new AbortController().signal

interface Deps extends AttachmentDeps {
  readonly kernel: SimulatedKernel
}

async function aNode(t: Test, subnet = '172.30.0.0/29'): Promise<Deps> {
  const journal = openJournal(join(t.testdir(), 'journal.jsonl'))
  const transit = '100.127.255.254'
  journal.append({ kind: 'opened', bootId: 'b', subnet, transit, mac: '02:00:00:00:00:ff' })
  const kernel = new SimulatedKernel()
  const sets = (
    ...names: readonly string[]
  ): { shape: string; serviceChains: Map<string, string[]>; elements: Map<string, string[]> } => ({
    shape: 's',
    serviceChains: new Map(),
    elements: new Map(names.map((name) => [name, []])),
  })
  kernel.state.host.table = sets('published', 'published_at')
  kernel.state.dataPlane.table = sets('host_ports')
  return { kernel, journal, random: seededRandom(3), overlay: aKeeper(t, kernel) }
}

const aRequest = (request: Partial<AttachRequest> = {}): AttachRequest => ({
  containerId: 'c1',
  name: 'web.1',
  pid: process.pid,
  endpoints: [],
  ports: [],
  ...request,
})

const webPort = { protocol: 'tcp' as const, targetPort: 80, publishedPort: 8080 }

t.test('a container gets an address, a route, a neighbour entry and its inside', async (t) => {
  const deps = await aNode(t)
  const attachment = await attachContainer(deps, aRequest(), never)
  t.match(attachment, {
    endpoints: [{ networkId: 'local', addresses: ['172.30.0.1/29'] }],
    ports: [],
    hosts: [],
  })
  const kinds = deps.kernel.state.dataPlane.items.map(({ kind, key }) => `${kind} ${key}`)
  const [endpoint] = requireRecord(deps.journal).endpoints
  t.ok(kinds.includes(`link ${endpoint?.link}`))
  t.ok(kinds.includes('route 172.30.0.1'))
  t.ok(kinds.includes(`neighbour ${endpoint?.link} 172.30.0.1`))
  t.same(
    deps.kernel.written.filter((line) => line.startsWith('/proc/')),
    [
      'link set lo up',
      'link set eth0 up',
      'addr replace 172.30.0.1/29 dev eth0 noprefixroute',
      'neigh replace 100.127.255.254 lladdr 02:00:00:00:00:ff dev eth0 nud permanent',
      'route replace default via 100.127.255.254 dev eth0 onlink src 172.30.0.1',
      'route replace 127.0.0.11 via 100.127.255.254 dev eth0 onlink src 172.30.0.1 table local',
    ].map((line) => `/proc/${process.pid}/ns/net: ip ${line}`),
  )
})

t.test('the way in is opened last and closed first', async (t) => {
  const deps = await aNode(t)
  const bound = { ...webPort, publishedPort: 81, bindAddress: '127.0.0.1' }
  const attachment = await attachContainer(deps, aRequest({ ports: [webPort, bound] }), never)
  t.same(attachment.ports, [webPort, bound])
  const nft = (): readonly string[] => deps.kernel.written.filter((line) => line.includes(': nft '))
  t.same(nft(), [
    'dataPlane: nft add element inet tsswarm host_ports { 169.254.77.2 . tcp . 8080 : 172.30.0.1 . 80, 169.254.77.4 . tcp . 81 : 172.30.0.1 . 80 }',
    'host: nft add element inet tsswarm published { tcp . 8080 }',
    'host: nft add element inet tsswarm published_at { 127.0.0.1 . tcp . 81 : 169.254.77.4 }',
  ])
  deps.kernel.written.length = 0
  await detachContainer(deps, 'c1')
  t.match(nft()[0], /^host: nft delete/)
  t.ok(deps.kernel.written.includes('dataPlane: run conntrack -D -f ipv4 --reply-src 172.30.0.1'))
  t.same(deps.kernel.state.host.table?.elements.get('published'), [])
  t.same(deps.kernel.state.dataPlane.table?.elements.get('host_ports'), [])
  t.same(requireRecord(deps.journal).endpoints, [])
})

t.test('detaching an unknown container does nothing', async (t) => {
  const deps = await aNode(t)
  await detachContainer(deps, 'nobody')
  t.same(deps.kernel.written, [])
})

t.test('the device of a container that has ended is left to the kernel', async (t) => {
  const deps = await aNode(t)
  const netns = { path: '/proc/0/ns/net', inode: 1 }
  deps.journal.append({ kind: 'attached', endpoint: anEndpoint({ netns }) })
  await detachContainer(deps, 'c1')
  t.same(deps.kernel.written, [
    'device leaves: v000000000001',
    'dataPlane: ip route del 172.30.0.1 dev v000000000001',
  ])
})

t.test('attaching again replaces the old endpoint', async (t) => {
  const deps = await aNode(t)
  await attachContainer(deps, aRequest(), never)
  const second = await attachContainer(deps, aRequest(), never)
  t.same(second.endpoints[0]?.addresses, ['172.30.0.2/29'])
  t.equal(requireRecord(deps.journal).endpoints.length, 1)
})

t.test(
  'the local network is asked for by name or by none, once, and others do not exist',
  async (t) => {
    const deps = await aNode(t)
    const on = (...ids: readonly string[]): AttachRequest =>
      aRequest({ endpoints: ids.map((networkId) => ({ networkId, addresses: [], aliases: [] })) })
    await attachContainer(deps, on('local'), never)
    await t.rejects(attachContainer(deps, on('other'), never), {
      code: 'NOT_FOUND',
      message: /container web\.1 asks for network "other"/,
    })
    await t.rejects(attachContainer(deps, on('local', 'local'), never), {
      code: 'INVALID_ARGUMENT',
    })
  },
)

t.test('a failure on the way leaves nothing behind', async (t) => {
  for (const failing of ['link add', 'neigh', 'inside', 'add element inet tsswarm published']) {
    const deps = await aNode(t)
    deps.kernel.failing.push(failing)
    await t.rejects(attachContainer(deps, aRequest({ ports: [webPort] }), never), {
      code: 'UNAVAILABLE',
      message: /cannot attach container c1 to the local network/,
    })
    t.same(requireRecord(deps.journal).endpoints, [], failing)
    t.same(
      deps.kernel.state.dataPlane.items.map(({ key }) => key),
      ['lo'],
      failing,
    )
    t.same(deps.kernel.state.dataPlane.table?.elements.get('host_ports'), [], failing)
  }
})

t.test('a cancelled attachment is taken back', async (t) => {
  const deps = await aNode(t)
  await t.rejects(attachContainer(deps, aRequest(), AbortSignal.abort()), { code: 'CANCELLED' })
  t.same(requireRecord(deps.journal).endpoints, [])
})

t.test('a process that has ended cannot be attached', async (t) => {
  const deps = await aNode(t)
  await t.rejects(attachContainer(deps, aRequest({ pid: 2 ** 22 + 1 }), never), {
    code: 'UNAVAILABLE',
    message: /its process \d+ has ended/,
  })
})

t.test('when the subnet is full the error names it', async (t) => {
  const deps = await aNode(t, '172.30.0.0/30')
  await attachContainer(deps, aRequest({ containerId: 'c1' }), never)
  await attachContainer(deps, aRequest({ containerId: 'c2' }), never)
  await t.rejects(attachContainer(deps, aRequest({ containerId: 'c3' }), never), {
    code: 'RESOURCE_EXHAUSTED',
    message: /172\.30\.0\.0\/30/,
  })
  await detachContainer(deps, 'c1')
  const third = await attachContainer(deps, aRequest({ containerId: 'c3' }), never)
  t.same(third.endpoints[0]?.addresses, ['172.30.0.1/30'])
})

t.test('a container the record lost comes back under its address and ports', async (t) => {
  const deps = await aNode(t)
  const attachment = {
    endpoints: [{ networkId: 'local', addresses: ['172.30.0.3/29'] }],
    ports: [webPort],
    nameservers: [],
    search: [],
    hosts: [],
  }
  await readmit(deps, { request: aRequest(), attachment })
  t.match(requireRecord(deps.journal).endpoints, [
    { containerId: 'c1', address: '172.30.0.3', ports: [{ publishedPort: 8080 }] },
  ])
  await readmit(deps, { request: aRequest({ containerId: 'c2', pid: 2 ** 22 + 1 }), attachment })
  t.equal(requireRecord(deps.journal).endpoints.length, 1, 'not one whose process has ended')
})

t.test(
  'kernel settings of an interface are written for its name, and again when it is made anew',
  async (t) => {
    const deps = await aNode(t)
    const sysctls = [['net/ipv4/conf/IFNAME/log_martians', '1']] as const
    const endpoints = [{ networkId: 'local', addresses: [], aliases: [], sysctls }]
    const request = aRequest({ endpoints })
    const attachment = await attachContainer(deps, request, never)
    const written = deps.kernel.written.filter((line) => line.includes('sysctl net'))
    t.match(written, [/: sysctl net\/ipv4\/conf\/eth0\/log_martians=1$/])
    t.match(requireRecord(deps.journal).endpoints, [{ sysctls }])

    const later = await aNode(t)
    await readmit(later, { request, attachment })
    t.match(requireRecord(later.journal).endpoints, [{ sysctls }], 'known from the container')

    const refused = await aNode(t)
    refused.kernel.failing.push('sysctl')
    await t.rejects(attachContainer(refused, request, never), { message: /sysctl failed/ })
    t.same(requireRecord(refused.journal).endpoints, [])
  },
)

t.test('a port on IPv6 gives a container an address that nobody else is told of', async (t) => {
  const deps = await aNode(t)
  const host = [{ ifname: 'eth0', addr_info: [{ local: 'fd99::5', scope: 'global' }] }]
  deps.kernel.answers.set('ip -j addr show', {
    ...{ code: 0, stderr: '' },
    stdout: JSON.stringify(host),
  })
  deps.kernel.state.dataPlane.table?.elements.set('host_ports6', [])
  deps.kernel.state.host.table?.elements.set('published6', [])
  const port = { ...webPort, bindAddress: '::', sources: ['fd98::/64'] }
  for (const name of ['guarded6', 'host_sources6'])
    deps.kernel.state.dataPlane.table?.elements.set(name, [])
  const attachment = await attachContainer(deps, aRequest({ ports: [port] }), never)
  t.same(attachment.ports, [port])
  t.same(attachment.endpoints[0]?.addresses, ['172.30.0.1/29'])
  const nft = (): readonly string[] => deps.kernel.written.filter((line) => line.includes(': nft '))
  t.same(nft(), [
    'dataPlane: nft add element inet tsswarm guarded6 { fd77::2 . tcp . 8080 }',
    'dataPlane: nft add element inet tsswarm host_sources6 { fd77::2 . tcp . 8080 . fd98::/64 }',
    'dataPlane: nft add element inet tsswarm host_ports6 { fd77::2 . tcp . 8080 : fd77:2::ac1e:1 . 80 }',
    'host: nft add element inet tsswarm published6 { tcp . 8080 }',
  ])
  t.match(
    deps.kernel.written.filter((line) => line.includes('ip route replace ::/0')),
    [/via fd77::2 dev eth0 onlink src fd77:2::ac1e:1$/],
  )
  deps.kernel.written.length = 0
  await detachContainer(deps, 'c1')
  t.same(
    nft().map((line) => line.replace(/ \{.*/, '')),
    [
      'host: nft delete element inet tsswarm published6',
      'dataPlane: nft delete element inet tsswarm host_ports6',
      'dataPlane: nft delete element inet tsswarm host_sources6',
      'dataPlane: nft delete element inet tsswarm guarded6',
    ],
  )
  await readmit(deps, { request: aRequest({ ports: [port] }), attachment })
  t.match(requireRecord(deps.journal).endpoints, [
    { address: '172.30.0.1', nodeAddress6: 'fd77:2::ac1e:1', ports: [port] },
  ])
})
