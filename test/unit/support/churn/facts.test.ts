import t from 'tap'
import { differences, picturesOf } from '../../../support/churn/compare.ts'
import { desiredFacts } from '../../../support/churn/desired-facts.ts'
import { kernelFacts } from '../../../support/churn/kernel-facts.ts'
import type { Picture, PictureTask } from '../../../support/churn/picture.ts'

const ground = {
  nodes: [1, 2, 3].map((number) => ({
    id: `node${number}`,
    host: `w${number}`,
    vtep: `10.99.0.${number}`,
    transit: `100.127.0.${number}`,
    mac: `02:00:00:00:00:0${number}`,
  })),
  networks: [
    { id: 'net', vni: 1_048_577, device: 'vx100001', subnet: '10.1.0.0/28', isIngress: false },
  ],
}

function aTask(number: number, on: number, task: Partial<PictureTask> = {}): PictureTask {
  return {
    id: `task${number}`,
    serviceId: 'web',
    serviceName: 'web',
    nodeId: `node${on}`,
    state: 512,
    desiredState: 512,
    pid: 1,
    err: '',
    addresses: new Map([['net', `10.1.0.${number}`]]),
    ...task,
  }
}

function aPicture(tasks: readonly PictureTask[], atMs = 0): Picture {
  const services = [{ id: 'web', name: 'web', vips: new Map([['net', '10.1.0.2']]) }]
  return { fromMs: atMs, toMs: atMs + 10, ground, services, tasks }
}

function pairOf(addr: string, len: number): unknown {
  const prefix = { prefix: { addr, len } }
  return { concat: [prefix, prefix] }
}

/** The kernel of node 1 with task 5 on it and task 6 on node 2, as the programs print it. */
const kernel = {
  links: '[{"ifname":"vx100001"},{"ifname":"vxffffff"}]',
  routes: JSON.stringify([
    { dst: 'default', gateway: '169.254.77.1', dev: 'up0' },
    { type: 'unreachable', dst: '10.1.0.0/28' },
    { dst: '10.1.0.5', dev: 'v3b368bb28945' },
    { dst: '10.1.0.6', gateway: '100.127.0.2', dev: 'vx100001', flags: ['onlink'] },
    { dst: '169.254.77.0/30', dev: 'up0' },
    { type: 'unreachable', dst: '172.30.0.0/16' },
  ]),
  own: JSON.stringify([
    { type: 'local', dst: '10.1.0.2', dev: 'lo' },
    { type: 'local', dst: '100.127.0.1', dev: 'lo' },
    { type: 'broadcast', dst: '169.254.77.3', dev: 'up0' },
  ]),
  neighbours: JSON.stringify([
    { dst: '10.1.0.5', dev: 'v3b368bb28945', lladdr: '02:00:00:00:05:05' },
    { dst: '100.127.0.2', dev: 'vxffffff', lladdr: '02:00:00:00:00:02' },
    { dst: '172.30.0.1', dev: 'v3b368bb28946', lladdr: '02:00:00:00:05:06' },
    { dst: '100.127.0.2', dev: 'vx100001', lladdr: '02:00:00:00:00:02' },
    { dst: '169.254.77.1', dev: 'up0', lladdr: '02:00:00:00:00:77' },
  ]),
  fdb: JSON.stringify([
    { mac: '33:33:00:00:00:01', ifname: 'up0' },
    { mac: '02:00:00:00:00:02', ifname: 'vx100001', dst: '10.99.0.2' },
  ]),
  nft: JSON.stringify({
    nftables: [
      { metainfo: {} },
      { set: { name: 'same_network', elem: [pairOf('172.30.0.0', 16), pairOf('10.1.0.0', 28)] } },
      { set: { name: 'hairpin', elem: [{ concat: ['10.1.0.5', '10.1.0.5'] }] } },
      { map: { name: 'vips', elem: [['10.1.0.2', { jump: { target: 'svc4_1048577_web' } }]] } },
      {
        rule: {
          chain: 'svc4_1048577_web',
          expr: [{ match: {} }, { dnat: { addr: { map: { data: ['10.1.0.5', '10.1.0.6'] } } } }],
        },
      },
      { rule: { chain: 'input', expr: [{ dnat: { addr: '10.1.0.9' } }] } },
    ],
  }),
}

const both = [aTask(5, 1), aTask(6, 2)]

t.test('what the kernel holds and what the store says are the same words', (t) => {
  const { must, may } = desiredFacts(aPicture(both), 'node1')
  t.same([...kernelFacts(kernel)].sort(), [...must.keys()].sort())
  t.same([...may].sort(), [...must.keys()].sort())
  t.equal(desiredFacts(aPicture(both), 'node3').may.size, 0, 'node 3 has no task on the network')
  t.same(differences(kernelFacts(kernel), [aPicture(both)], 'node1'), [])
  t.end()
})

t.test('the ingress network is held by every node, and leads to all', (t) => {
  const networks = ground.networks.map((network) => ({ ...network, isIngress: true }))
  const picture = { ...aPicture(both), ground: { ...ground, networks } }
  const { must } = desiredFacts(picture, 'node3')
  t.ok(must.has('fdb vx100001 02:00:00:00:00:01 to 10.99.0.1'))
  t.ok(must.has('route 10.1.0.6 via 100.127.0.2 on vx100001'))
  t.end()
})

t.test('an empty kernel lacks all, one with too much has too much', (t) => {
  const empty = { links: '', routes: '', own: '', neighbours: '', fdb: '', nft: '' }
  const lacking = differences(kernelFacts(empty), [aPicture(both)], 'node1')
  t.equal(lacking.length, desiredFacts(aPicture(both), 'node1').must.size)
  t.same(differences(kernelFacts(kernel), [aPicture([aTask(5, 1)])], 'node1'), [
    'has route 10.1.0.6 via 100.127.0.2 on vx100001',
    'has neighbour vx100001 100.127.0.2 at 02:00:00:00:00:02',
    'has fdb vx100001 02:00:00:00:00:02 to 10.99.0.2',
    'has backend svc4_1048577_web 10.1.0.6',
  ])
  t.end()
})

t.test('a route to the wrong node, and a network that is let into another, are told', (t) => {
  const other = [pairOf('10.1.0.0', 28)].map((pair) => JSON.stringify(pair))
  const nft = kernel.nft.replace(
    other[0] ?? '',
    '{"concat":[{"prefix":{"addr":"10.2.0.0","len":28}},"10.1.0.9"]}',
  )
  const wrong = { ...kernel, nft, routes: kernel.routes.replace('100.127.0.2', '100.127.0.3') }
  t.same(differences(kernelFacts(wrong), [aPicture(both)], 'node1').toSorted(), [
    'has route 10.1.0.6 via 100.127.0.3 on vx100001',
    'has same_network 10.2.0.0/28 and 10.1.0.9/32',
    'lacks route 10.1.0.6 via 100.127.0.2 on vx100001',
    'lacks same_network 10.1.0.0/28',
  ])
  t.end()
})

t.test('what is new or going may be there or not', (t) => {
  const moments = [aPicture([aTask(5, 1)]), aPicture(both)]
  t.same(differences(kernelFacts(kernel), moments, 'node1'), [])
  t.same(differences(kernelFacts(kernel), moments.toReversed(), 'node1'), [])
  const changing = [aPicture([aTask(5, 1), aTask(7, 2)]), aPicture(both)]
  t.same(
    differences(kernelFacts({ ...kernel, fdb: '' }), changing, 'node1'),
    [],
    'a peer with one task and then another may have had none between',
  )
  const starting = aPicture([aTask(5, 1, { state: 448 }), aTask(6, 2)])
  const bare = kernelFacts({ links: '', routes: '', own: '', neighbours: '', fdb: '', nft: '' })
  t.same(differences(bare, [starting], 'node1'), [], 'its container may not be there yet')
  t.end()
})

t.test('a task that ended has nothing; one that shall end serves no more', (t) => {
  const gone = [aTask(5, 1), aTask(6, 2, { state: 640, desiredState: 640 })]
  t.equal(differences(kernelFacts(kernel), [aPicture(gone)], 'node1').length, 4)
  const going = [aTask(5, 1), aTask(6, 2, { desiredState: 640 })]
  t.same(differences(kernelFacts(kernel), [aPicture(going)], 'node1'), [
    'has backend svc4_1048577_web 10.1.0.6',
  ])
  t.end()
})

t.test('a link that the kernel takes away with its container is nobody’s fault', (t) => {
  const neighbours = kernel.neighbours.replace(
    '[',
    '[{"dst":"10.1.0.9","dev":"v3b368bb28947","lladdr":"02:00:00:00:05:09"},',
  )
  t.same(differences(kernelFacts({ ...kernel, neighbours }), [aPicture(both)], 'node1'), [])
  t.end()
})

t.test('pictures count from before the time to settle until after the reading', (t) => {
  const pictures = [0, 1_000, 2_000, 3_000].map((atMs) => aPicture(both, atMs))
  const of = (fromMs: number, toMs: number): readonly number[] | undefined =>
    picturesOf({ fromMs, toMs }, 500, pictures)?.map(({ fromMs: atMs }) => atMs)
  t.same(of(1_600, 1_700), [1_000, 2_000])
  t.same(of(1_500, 2_500), [0, 1_000, 2_000, 3_000])
  t.equal(of(2_900, 3_100), undefined, 'none was made after it')
  t.equal(of(400, 500), undefined, 'none is from so long before')
  t.throws(() => differences(new Set(), [], 'node1'), /nothing to compare with/)
  t.end()
})
