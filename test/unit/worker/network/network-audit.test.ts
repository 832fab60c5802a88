import { statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { pathsDigest, viewDigest } from '../../../../proto/codec/overlay-digest.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { SharedLock } from '../../../../proto/lib/shared-lock.ts'
import { differenceText, subjectOf, type Thing } from '../../../../worker/network/difference.ts'
import { HealingRecord } from '../../../../worker/network/healing-record.ts'
import { openJournal } from '../../../../worker/network/journal.ts'
import type { MendDeps } from '../../../../worker/network/mend.ts'
import { NetworkDiagnosis } from '../../../../worker/network/network-diagnosis.ts'
import type { Endpoint } from '../../../../worker/network/network-state.ts'
import { anEndpoint } from '../../../support/network-builders.ts'
import {
  aKeeper,
  aNetwork,
  anIngressPort,
  anOverlay,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../../../support/overlay-builders.ts'
import { SimulatedKernel } from '../../../support/simulated-kernel.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const living = { path: '/proc/self/ns/net', inode: statSync('/proc/self/ns/net').ino }

/** web.2 of network net1, on this node. */
const own: Endpoint = anEndpoint({
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
})

const views = [
  aView(aNetwork(1), {
    services: [aServiceEndpoint('web', { vips: ['10.1.0.2'] })],
    tasks: [aTaskEndpoint('web.1', 2, ['10.1.0.12']), aTaskEndpoint('web.2', 1, ['10.1.0.11'])],
  }),
  aView(aNetwork(9, { isIngress: true }), {
    services: [aServiceEndpoint('web', { ports: [anIngressPort()] })],
  }),
]

interface World {
  readonly kernel: SimulatedKernel
  readonly clock: VirtualClock
  readonly deps: MendDeps
  readonly diagnosis: NetworkDiagnosis
}

/** Node 1 of three, its kernel as it should be. */
async function aNode(t: Test): Promise<World> {
  const journal = openJournal(join(t.testdir(), 'journal.jsonl'))
  const transit = '100.127.0.1'
  journal.append({
    kind: 'opened',
    bootId: 'b',
    subnet: '172.30.0.0/16',
    transit,
    mac: '02:00:00:00:00:ff',
  })
  journal.append({ kind: 'attached', endpoint: own })
  const kernel = new SimulatedKernel()
  const overlay = aKeeper(t, kernel)
  const deps = {
    kernel,
    journal,
    dataPlaneFile: '/run/d.netns',
    log: silentLogger,
    overlay,
    vxlanPort: 4789,
  }
  const clock = new VirtualClock()
  const healing = new HealingRecord(clock)
  const diagnosis = new NetworkDiagnosis({ lock: new SharedLock(), healing, mend: () => deps })
  overlay.set(anOverlay(views), { epoch: 1, index: 1 })
  t.same((await diagnosis.heal()).left, [])
  return { kernel, clock, deps, diagnosis }
}

t.test('what differs is told with what it is of, and changes nothing', async (t) => {
  const { kernel, diagnosis } = await aNode(t)
  t.match(await diagnosis.report(''), { differences: [], leftOut: 0, host: [] })
  await kernel.ip('dataPlane', ['route del 10.1.0.12'])
  await kernel.ip('dataPlane', ['route del 10.1.0.11'])
  await kernel.ip('dataPlane', ['route replace 10.1.0.77 via 100.127.0.3 dev vx100001 onlink'])
  kernel.state.dataPlane.table?.elements.set('vips', [])
  kernel.state.host.table?.elements.set('vteps', ['10.99.0.1', '10.99.0.2'])
  kernel.state.dataPlane.table?.serviceChains.delete('pub4_tcp_8080_169_254_77_2')
  kernel.state.host.sysctls.set('net/ipv4/conf/dp0/route_localnet', '0')
  const written = kernel.written.length
  const { differences } = await diagnosis.report('')
  const found = new Map(differences.map((one) => [`${one.subject} ${one.problem}`, one]))
  t.match(found.get('route to 10.1.0.12 is missing'), {
    networkId: 'net1',
    taskId: 'web.1',
    nodeId: 'n2',
    inHost: false,
  })
  t.match(found.get('route to 10.1.0.11 is missing'), { networkId: 'net1', taskId: 'web.2' })
  t.match(found.get('route to 10.1.0.77 is not ours or no longer needed'), {
    networkId: 'net1',
    taskId: '',
  })
  t.match(found.get('entry "10.1.0.2 : jump svc4_1048577_web" of nft set vips is missing'), {
    networkId: 'net1',
    serviceId: 'web',
  })
  t.match(found.get('entry "10.99.0.3" of nft set vteps is missing'), {
    nodeId: 'n3',
    inHost: true,
  })
  t.match(found.get('nft chain pub4_tcp_8080_169_254_77_2 is missing'), {
    networkId: 'net9',
    serviceId: 'web',
  })
  t.match(found.get('setting net.ipv4.conf.dp0.route_localnet is 0 instead of 1'), {
    inHost: true,
    networkId: '',
  })
  t.equal(found.size, 7)
  const since = kernel.written.slice(written)
  t.same(
    since.filter((line) => !/: run (nft -j list|grep) /.test(line)),
    [],
    'it only looked',
  )
  const ofOne = (await diagnosis.report('net9')).differences.map(({ networkId }) => networkId)
  t.same([...new Set(ofOne)].sort(), ['', 'net9'], 'of the network, and of the node as such')
})

t.test('what a node was told is compared by a digest, whatever the order', async (t) => {
  const { diagnosis, deps } = await aNode(t)
  const { told } = await diagnosis.report('')
  const state = anOverlay(views)
  t.same(told, [
    ...views.map((view) => ({ id: view.network.id, digest: viewDigest(view) })),
    { id: '', digest: pathsDigest(state.paths) },
  ])
  const [view] = views
  if (view === undefined) return
  t.equal(viewDigest({ ...view, tasks: [...view.tasks].reverse() }), viewDigest(view))
  t.not(viewDigest({ ...view, tasks: view.tasks.slice(1) }), viewDigest(view))
  t.equal(pathsDigest([...state.paths].reverse()), pathsDigest(state.paths))
  deps.overlay.set(anOverlay([view]), { epoch: 1, index: 2 })
  const { differences } = await diagnosis.report('')
  t.same(differences, [], 'news are written first, and are no difference')
})

t.test('what heals is counted, news are not', async (t) => {
  const { kernel, clock, diagnosis, deps } = await aNode(t)
  const [view] = views
  if (view !== undefined) deps.overlay.set(anOverlay([view]), { epoch: 1, index: 2 })
  t.equal((await diagnosis.heal()).left.length, 0)
  t.match((await diagnosis.report('')).healing, { mended: 0, comparisons: 1 })
  await clock.advance(1_000)
  await kernel.ip('dataPlane', ['route del 10.1.0.12'])
  await diagnosis.heal()
  await clock.advance(2_000)
  const { healing } = await diagnosis.report('')
  t.match(healing, { mended: 1, comparisons: 2, forMs: 3_000 })
  t.match(healing.last, [
    {
      agoMs: 2_000,
      text: 'data plane: route 10.1.0.12 is missing',
      difference: { taskId: 'web.1', networkId: 'net1' },
    },
  ])
})

t.test('a healing record keeps the newest twenty', (t) => {
  const record = new HealingRecord(new VirtualClock())
  const one = (key: string) => ({
    difference: {
      namespace: 'host',
      thing: { kind: 'item', item: 'route', key },
      problem: 'is missing',
    } as const,
    about: {},
  })
  record.note(Array.from({ length: 30 }, (_, i) => one(`a${i}`)))
  record.note([one('b')])
  t.equal(record.mended, 31)
  t.equal(record.last().length, 20)
  t.match(record.last()[0], { difference: { thing: { key: 'b' } } })
  t.end()
})

t.test('a foreign chain that drops is told with what becomes of it', async (t) => {
  const { kernel, diagnosis } = await aNode(t)
  const chain = {
    family: 'inet',
    table: 'foreign',
    name: 'forward',
    type: 'filter',
    hook: 'forward',
    prio: 0,
    policy: 'drop',
  }
  const stdout = JSON.stringify({ nftables: [{ chain }] })
  kernel.answers.set('nft -j list chains', { code: 0, stdout, stderr: '' })
  t.match((await diagnosis.report('')).host, [
    { text: /inet foreign forward drops forwarded packets/ },
  ])
})

t.test('names are asked in the namespace of the container', async (t) => {
  const { kernel, diagnosis } = await aNode(t)
  const argv = 'nsenter --net=/proc/self/ns/net --'
  kernel.answers.set(argv, { code: 0, stdout: '10.1.0.2\n', stderr: '' })
  t.same(await diagnosis.lookup({ taskId: 'web.2', name: 'web' }), {
    addresses: ['10.1.0.2'],
    failure: '',
  })
  kernel.answers.set(argv, { code: 1, stdout: '', stderr: 'ENOTFOUND\n' })
  t.same(await diagnosis.lookup({ taskId: 'web.2', name: 'x' }), {
    addresses: [],
    failure: 'ENOTFOUND',
  })
  await t.rejects(diagnosis.lookup({ taskId: 'nobody', name: 'x' }), { code: 'NOT_FOUND' })
  t.equal(diagnosis.vxlanPort(), 4789)
})

t.test('each kind of thing has a name', (t) => {
  const item = (
    kind: 'link' | 'address' | 'fdb' | 'route' | 'neighbour' | 'rule',
    key: string,
  ): Thing => ({
    kind: 'item',
    item: kind,
    key,
  })
  t.equal(subjectOf(item('link', 'vx1')), 'device vx1')
  t.equal(subjectOf(item('address', 'lo 10.0.0.1/32')), 'address 10.0.0.1/32 of device lo')
  t.equal(subjectOf(item('fdb', 'vx1 02:00')), 'forwarding entry for 02:00 on vx1')
  t.equal(subjectOf(item('route', 'default table 100002')), 'default route (table 100002)')
  t.equal(subjectOf(item('route', '::/0')), 'default route of IPv6')
  t.equal(subjectOf(item('neighbour', 'vx1 10.0.0.1')), 'neighbour 10.0.0.1 on vx1')
  t.equal(subjectOf(item('rule', '4 pref 10')), 'routing rule pref 10 of IPv4')
  t.equal(subjectOf({ kind: 'table' }), 'nft table inet tsswarm')
  const chain = {
    namespace: 'dataPlane',
    thing: { kind: 'chain', name: 'svc' },
    problem: 'is missing',
  } as const
  t.equal(differenceText(chain), 'data plane: nft table inet tsswarm: chain svc is missing')
  const element = { kind: 'element', set: 'vips', element: 'a' } as const
  const problem = 'is missing'
  t.match(
    differenceText({ namespace: 'host', thing: element, problem }),
    /host: .*element \{ a \} of vips is missing/,
  )
  t.end()
})
