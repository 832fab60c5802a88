import t from 'tap'
import type { AskNode } from '../../../../manager/diagnosis/node-asker.ts'
import { parseDestination } from '../../../../manager/diagnosis/trace-ends.ts'
import { traceNetwork } from '../../../../manager/diagnosis/trace-network.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { Store } from '../../../../manager/store/store.ts'
import {
  type TraceNetworkResponse,
  TraceVerdict,
} from '../../../../proto/gen/tsswarm/v1/control.ts'
import {
  TraceEnd,
  type TraceLeg,
  type TraceLegRequest,
} from '../../../../proto/gen/tsswarm/v1/diagnosis.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { networkId, nodeId, TaskState } from '../../../../proto/objects/index.ts'
import { aLeg, aPathEnd } from '../../../support/diagnosis.ts'
import {
  aCluster,
  aNetwork,
  aNode,
  aService,
  aSpecRecord,
  aTask,
} from '../../../support/objects.ts'

const caller = { kind: 'local-admin', nodeId: nodeId('m1') } as const
const never = new AbortController().signal

/** web.1 on w1 and web.2 on w2 in network back (VIP 10.0.1.2, port 8080), db.1 on w1 in back, lone.1 on w2 in front. */
async function aStore(): Promise<Store> {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  await store.update((tx) => {
    tx.create('cluster', aCluster({}))
    for (const [at, id] of ['m1', 'w1', 'w2'].entries()) {
      tx.create(
        'nodes',
        aNode({ id: `id-${id}`, hostname: id, address: `10.9.0.${at}`, mark: at + 1 }),
      )
    }
    tx.create(
      'networks',
      aNetwork({ id: 'ing', name: 'ingress', isIngress: true, vni: 9, subnets: ['10.0.0.0/24'] }),
    )
    tx.create('networks', aNetwork({ id: 'back', name: 'back', vni: 1 }))
    tx.create(
      'networks',
      aNetwork({ id: 'front', name: 'front', vni: 2, subnets: ['10.0.2.0/24'] }),
    )
    const onBack = { networks: [{ target: 'back' }] }
    const onFront = { networks: [{ target: 'front' }] }
    tx.create('taskSpecs', aSpecRecord('back-spec', onBack))
    tx.create('taskSpecs', aSpecRecord('front-spec', onFront))
    const vips = [{ networkId: networkId('back'), addresses: ['10.0.1.2'] }]
    const ports = [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 } as const]
    tx.create('services', aService({ id: 'web', task: onBack, endpoint: { vips, ports } }))
    tx.create('services', aService({ id: 'db', task: onBack }))
    tx.create('services', aService({ id: 'lone', task: onFront }))
    const attachments = (network: string, address: string) => ({
      attachments: { [network]: [address] },
    })
    tx.create(
      'tasks',
      aTask({ id: 'web1', service: 'web', node: 'id-w1', ...attachments('back', '10.0.1.5') }),
    )
    tx.create(
      'tasks',
      aTask({
        id: 'web2',
        service: 'web',
        slot: 2,
        node: 'id-w2',
        ...attachments('back', '10.0.1.6'),
      }),
    )
    tx.create(
      'tasks',
      aTask({ id: 'db1', service: 'db', node: 'id-w1', ...attachments('back', '10.0.1.7') }),
    )
    tx.create(
      'tasks',
      aTask({ id: 'lone1', service: 'lone', node: 'id-w2', ...attachments('front', '10.0.2.5') }),
    )
  })
  return store
}

interface Nodes {
  /** What the resolver says; absent: it does not know the name. */
  readonly names?: Readonly<Record<string, readonly string[]>>
  readonly leg?: (host: string, request: TraceLegRequest) => TraceLeg
}

interface Traced extends TraceNetworkResponse {
  readonly legs: readonly (readonly [string, TraceLegRequest])[]
}

async function trace(
  store: Store,
  route: readonly [string, string],
  nodes: Nodes = {},
  protocol = '',
): Promise<Traced> {
  const legs: (readonly [string, TraceLegRequest])[] = []
  const ask: AskNode = async (node, question) => {
    const host = node.description?.hostname ?? ''
    if (question.$case === 'name') {
      const addresses = nodes.names?.[question.value.name] ?? []
      return {
        $case: 'name',
        value: { addresses, failure: addresses.length > 0 ? '' : 'ENOTFOUND' },
      }
    }
    if (question.$case !== 'leg') throw new Error('not asked')
    legs.push([host, question.value])
    if (nodes.leg === undefined) throw new Error('it is down')
    return { $case: 'leg', value: nodes.leg(host, question.value) }
  }
  const cluster = { selfNodeId: () => nodeId('id-m1'), readBarrier: async () => {} }
  const [source, destination] = route
  const answer = await traceNetwork({ store, cluster, ask })(
    caller,
    { source, destination, protocol },
    never,
  )
  return { ...answer, legs }
}

const texts = ({
  steps,
}: {
  readonly steps: readonly { readonly place: string; readonly text: string }[]
}) => steps.map(({ place, text }) => `${place}: ${text}`)

t.test(
  'a name leads to the tasks behind its virtual address, each followed to its node',
  async (t) => {
    const store = await aStore()
    const hops = [{ place: 'data plane', text: 'vips' }]
    const leg: Nodes['leg'] = (host, { from }) => {
      if (from?.$case === 'taskId') {
        const own = aPathEnd({ destination: '10.0.1.5', taskId: 'web1' })
        const over = aPathEnd({ end: TraceEnd.VXLAN, nodeId: 'id-w2', vni: 1, hops })
        return aLeg([own, over], { balancedBy: '10.0.1.2', hops })
      }
      return aLeg([
        aPathEnd({ taskId: 'web2', mtu: 1400, hops: [{ place: 'container', text: host }] }),
      ])
    }
    const found = await trace(store, ['db.1', 'web:80'], { names: { web: ['10.0.1.2'] }, leg })
    t.equal(found.verdict, TraceVerdict.DELIVERED)
    t.equal(found.text, 'delivered to web.1 on w1 (eth0); delivered to web.2 on w2 (eth0)')
    t.same(texts(found), [
      'w1, resolver: db.1 asks for "web": 10.0.1.2 (virtual address of web)',
      'w1, data plane: vips',
      'store: service web: 2 of 2 tasks serve: web.1 on w1, web.2 on w2',
    ])
    t.match(found.branches, [
      { target: 'web.1 on w1 (10.0.1.5)', steps: [], mtu: 1450 },
      { target: 'web.2 on w2 (10.0.1.6)', mtu: 1400 },
    ])
    t.same(texts(found.branches[1] ?? { steps: [] }), ['w1, data plane: vips', 'w2, container: w2'])
    const arrival = { $case: 'arrival', value: { vni: 1, outerSource: '10.9.0.1' } }
    t.match(found.legs, [
      [
        'w1',
        {
          from: { $case: 'taskId', value: 'db1' },
          destination: '10.0.1.2',
          port: 80,
          protocol: 'tcp',
        },
      ],
      ['w2', { from: arrival, source: '10.0.1.5', destination: '10.0.1.6' }],
    ])
  },
)

t.test('one way that fails makes the verdict, and says so', async (t) => {
  const store = await aStore()
  const leg = () =>
    aLeg([
      aPathEnd({ taskId: 'web2' }),
      aPathEnd({ end: TraceEnd.DROPPED, reason: 'neighbour is missing', destination: '10.0.1.5' }),
    ])
  const found = await trace(store, ['db.1', '10.0.1.2'], { leg })
  t.equal(found.verdict, TraceVerdict.DROPPED)
  t.equal(found.text, '1 of 2 ways fail: dropped: neighbour is missing')
  t.same(texts(found), ['store: 10.0.1.2 is the virtual address of service web'])
})

t.test('each end has its verdict', async (t) => {
  const store = await aStore()
  const end = async (path: Parameters<typeof aPathEnd>[0], to = '10.0.1.6') => {
    const { verdict, text } = await trace(store, ['db.1', to], {
      leg: () => aLeg([aPathEnd(path)]),
    })
    return [verdict, text]
  }
  const { REFUSED, UNREACHABLE, DELIVERED, DROPPED, UNKNOWN } = TraceVerdict
  t.same(await end({ end: TraceEnd.REFUSED, reason: 'no serving task' }), [
    REFUSED,
    'refused: no serving task',
  ])
  t.same(await end({ end: TraceEnd.UNREACHABLE, reason: 'no task has 10.0.1.77' }), [
    UNREACHABLE,
    'unreachable: no task has 10.0.1.77',
  ])
  t.same(await end({ end: TraceEnd.HOST, reason: 'a program' }), [
    DELIVERED,
    'delivered to w1: a program',
  ])
  t.same(await end({ end: TraceEnd.UNKNOWN, reason: 'x' }), [UNKNOWN, 'unknown: x'])
  t.match(await end({ end: TraceEnd.OUTSIDE, destination: '8.8.8.8' }), [
    DELIVERED,
    /out of the cluster by w1/,
  ])
  t.same(await end({ end: TraceEnd.OUTSIDE, destination: '10.0.2.5' }), [
    DROPPED,
    'dropped: back and front are different networks',
  ])
  t.match(await end({ end: TraceEnd.VXLAN, nodeId: 'gone' }), [
    UNKNOWN,
    /not in the cluster any more/,
  ])
  t.same(await end({ taskId: 'web1' }), [
    DROPPED,
    "dropped: w1 leads 10.0.1.6 to web.1, but it is web.2's",
  ])
  t.same(await end({ taskId: 'web2', reason: 'it is its own address' }), [
    DELIVERED,
    'delivered to web.2 on w1 (eth0): it is its own address',
  ])
  t.same(await end({ end: TraceEnd.VXLAN, nodeId: 'id-w2' }), [
    UNKNOWN,
    'unknown: it goes in circles',
  ])
})

t.test('a node that does not answer leaves the end unknown', async (t) => {
  const store = await aStore()
  const first = await trace(store, ['db.1', '10.0.1.6'])
  t.match(first, { verdict: TraceVerdict.UNKNOWN, text: 'w1 does not answer: it is down' })
  const second = await trace(store, ['db.1', '10.0.1.6'], {
    leg: (host) => {
      if (host === 'w2') throw new Error('it is down')
      return aLeg([aPathEnd({ end: TraceEnd.VXLAN, nodeId: 'id-w2' })])
    },
  })
  t.match(second, {
    verdict: TraceVerdict.UNKNOWN,
    text: 'unknown: w2 does not answer: it is down',
  })
})

t.test('published ports: of a node, of the own one, from outside', async (t) => {
  const store = await aStore()
  const served = aLeg([aPathEnd({ taskId: 'web2', port: 80 })], { balancedBy: 'tcp/8080' })
  const over = aLeg([
    aPathEnd({
      end: TraceEnd.OUTSIDE,
      source: '169.254.77.2',
      destination: '10.9.0.2',
      port: 8080,
    }),
  ])
  const leg: Nodes['leg'] = (host, { from }) =>
    host === 'w2' || from?.$case === 'outside' ? served : over
  const between = await trace(store, ['w1', 'w2:8080'], { leg })
  t.equal(between.verdict, TraceVerdict.DELIVERED)
  t.match(between.legs, [
    ['w1', { from: { $case: 'host' }, destination: '10.9.0.2', port: 8080 }],
    ['w2', { from: { $case: 'outside' }, source: '10.9.0.1', destination: '10.9.0.2', port: 8080 }],
  ])
  t.match(texts(between.branches[0] ?? { steps: [] }), [
    'store: service web: 2 of 2 tasks serve: web.1 on w1, web.2 on w2',
  ])
  const own = await trace(store, ['w2', ':8080'], { leg })
  t.match(own.legs, [['w2', { from: { $case: 'host' }, destination: '10.9.0.2' }]])
  const client = await trace(store, ['203.0.113.7', 'w2:8080'], { leg })
  t.match(client.legs, [['w2', { from: { $case: 'outside' }, source: '203.0.113.7' }]])
  const byAddress = await trace(store, ['203.0.113.7', '10.9.0.2:8080'], { leg }, 'udp')
  t.match(byAddress.legs, [['w2', { protocol: 'udp' }]])
  for (const protocol of ['', 'sctp']) {
    const sctp = await trace(store, ['203.0.113.7', 'w2:8080/sctp'], { leg }, protocol)
    t.match(sctp.legs, [['w2', { protocol: 'sctp', port: 8080 }]])
  }
  const looped = await trace(store, ['db.1', 'w1:8080'], {
    leg: (_, { from }) =>
      from?.$case === 'taskId'
        ? aLeg([
            aPathEnd({ end: TraceEnd.OUTSIDE, source: '169.254.77.2', destination: '10.9.0.1' }),
          ])
        : served,
  })
  t.match(looped.legs[1], ['w1', { source: '169.254.77.2' }], 'through its own host')
})

t.test('names that the source cannot know are explained by what the cluster knows', async (t) => {
  const store = await aStore()
  const apart = await trace(store, ['db.1', 'lone:80'])
  t.match(apart, {
    verdict: TraceVerdict.DROPPED,
    text: 'dropped: back and front are different networks, and "lone" is no name on back',
    legs: [],
  })
  const leg = () => aLeg([aPathEnd({ end: TraceEnd.OUTSIDE, destination: '10.0.1.2' })])
  const fromHost = await trace(store, ['w1', 'web'], { leg })
  t.match(fromHost, {
    verdict: TraceVerdict.DROPPED,
    text: /hosts do not reach addresses of network back/,
  })
  const unserved = await trace(store, ['web.1', 'db'], { leg })
  t.match(unserved.text, /refused: no serving task: the resolver of w1 gives web\.1 no address/)
  const vip = await trace(store, ['db.1', 'web'], {
    leg: () => aLeg([aPathEnd({ taskId: 'web2' })]),
  })
  t.match(vip.legs, [['w1', { destination: '10.0.1.2' }]])
  const task = await trace(store, ['db.1', 'web.2'], {
    leg: () => aLeg([aPathEnd({ taskId: 'web2' })]),
  })
  t.match(task.legs, [['w1', { destination: '10.0.1.6' }]])
})

t.test('who is meant: errors name what to do', async (t) => {
  const store = await aStore()
  await store.update((tx) => {
    tx.create('tasks', aTask({ id: 'new', service: 'db', slot: 2 }))
    tx.create(
      'tasks',
      aTask({ id: 'ended', service: 'lone', slot: 2, node: 'id-w2', state: TaskState.FAILED }),
    )
  })
  const fails = (
    route: readonly [string, string],
    wanted: { readonly code: string; readonly message?: RegExp },
    protocol = '',
  ) => t.rejects(trace(store, route, {}, protocol), wanted, route.join(' '))
  await fails(['nobody', 'web'], { code: 'NOT_FOUND', message: /no such task, service or node/ })
  await fails(['db.2', 'web'], { code: 'FAILED_PRECONDITION', message: /does not run \(pending\)/ })
  await fails(['lone.2', 'web'], { code: 'FAILED_PRECONDITION', message: /failed/ })
  await fails(['db.1', 'nobody'], { code: 'NOT_FOUND' })
  await fails(['203.0.113.7', ':8080'], { code: 'INVALID_ARGUMENT', message: /NODE:8080/ })
  await fails(['203.0.113.7', '10.0.1.2:80'], {
    code: 'INVALID_ARGUMENT',
    message: /published ports only/,
  })
  await fails(['db.1', 'web:99999'], { code: 'INVALID_ARGUMENT' })
  await fails(['db.1', 'web'], { code: 'INVALID_ARGUMENT', message: /tcp, udp or sctp/ }, 'icmp')
  await fails(['db.1', 'web:8/udp'], { code: 'INVALID_ARGUMENT', message: /is of udp/ }, 'tcp')
  const leg = () => aLeg([aPathEnd({ taskId: 'web2' })])
  for (const source of ['10.0.1.7', 'db', 'db1']) {
    const { legs } = await trace(store, [source, '10.0.1.6'], { leg })
    t.match(legs, [['w1', { from: { $case: 'taskId', value: 'db1' } }]], source)
  }
  for (const source of ['10.9.0.1', 'id-w1']) {
    t.match((await trace(store, [source, '10.0.1.6'], { leg })).legs, [
      ['w1', { from: { $case: 'host' } }],
    ])
  }
})

t.test('destinations are read with and without a port', async (t) => {
  const read = (text: string) => {
    const { host, port } = parseDestination(text)
    return [host, port]
  }
  t.same(read('web'), ['web', 0])
  t.same(read('web:80'), ['web', 80])
  t.same(read(':8080'), ['', 8080])
  t.same(read('10.0.1.2:80'), ['10.0.1.2', 80])
  t.same(read('fd00::2'), ['fd00::2', 0])
  t.same(read('[fd00::2]:80'), ['fd00::2', 80])
  t.match(parseDestination('web:53/udp'), { host: 'web', port: 53, protocol: 'udp' })
  t.match(parseDestination('[fd00::2]:9/sctp'), { host: 'fd00::2', port: 9, protocol: 'sctp' })
  t.match(parseDestination(':9/tcp'), { host: '', port: 9, protocol: 'tcp' })
  for (const bad of [
    ...['', ':', 'web:', 'web:0', 'web:65536', '[web]:80', 'a:b:80'],
    ...['web:80/icmp', 'web:80/'],
  ]) {
    t.throws(() => parseDestination(bad), { code: 'INVALID_ARGUMENT' }, bad)
  }
})

/** Services near (VIP 10.0.3.2) and rr (none) on bridge network br: near.1 on w1, near.2 and rr.1 on w2, idle.1 on w1. */
async function aLocalStore(): Promise<Store> {
  const store = await aStore()
  await store.update((tx) => {
    tx.create('networks', aNetwork({ id: 'br', driver: 'bridge', subnets: ['10.0.3.0/24'] }))
    const onBr = { networks: [{ target: 'br' }] }
    tx.create('taskSpecs', aSpecRecord('br-spec', onBr))
    const vips = [{ networkId: networkId('br'), addresses: ['10.0.3.2'] }]
    tx.create('services', aService({ id: 'near', task: onBr, endpoint: { vips, ports: [] } }))
    for (const id of ['rr', 'idle']) tx.create('services', aService({ id, task: onBr }))
    const on = (service: string, slot: number, node: string, address: string): void => {
      const facts = { id: `${service}${slot}`, service, slot, node, specHash: 'br-spec' }
      tx.create('tasks', aTask({ ...facts, attachments: { br: [address] } }))
    }
    on('near', 1, 'id-w1', '10.0.3.5')
    on('near', 2, 'id-w2', '10.0.3.6')
    on('rr', 1, 'id-w2', '10.0.3.7')
    on('idle', 1, 'id-w1', '10.0.3.8')
  })
  return store
}

t.test('on a bridge network only tasks of the same node are reached, and it says so', async (t) => {
  const store = await aLocalStore()
  const unreachable = (destination: string) =>
    aLeg([aPathEnd({ end: TraceEnd.UNREACHABLE, reason: 'no task of this one', destination })])
  const ends = async (to: string) => {
    const leg: Nodes['leg'] = (_, { destination }) => unreachable(destination)
    const { verdict, text } = await trace(store, ['idle.1', to], { leg })
    return [verdict, text]
  }
  const local = 'unreachable: network br is local to each node'
  const apart = (task: string) => [
    TraceVerdict.UNREACHABLE,
    `${local}: ${task} is on w2, and the packet ends on w1`,
  ]
  t.same(await ends('10.0.3.6'), apart('near.2'), 'by address')
  t.same(await ends('near.2'), apart('near.2'), 'by name')
  t.same(await ends('rr:80'), [
    TraceVerdict.UNREACHABLE,
    `${local}, and w1 has no task of service rr`,
  ])
  t.same(await ends('10.0.3.99'), [TraceVerdict.UNREACHABLE, 'unreachable: no task of this one'])
  await store.update((tx) => tx.remove('tasks', 'near1'))
  const none = [TraceVerdict.UNREACHABLE, `${local}, and w1 has no task of service near`]
  t.same(await ends('near'), none, 'by a name without an address')
  t.same(await ends('10.0.3.2'), none, 'by virtual address')
})

t.test('of a virtual address on a bridge network the tasks of the node count', async (t) => {
  const store = await aLocalStore()
  const leg = () => aLeg([aPathEnd({ taskId: 'near1' })], { balancedBy: '10.0.3.2' })
  const found = await trace(store, ['idle.1', '10.0.3.2:80'], { leg })
  t.equal(
    texts(found).at(-1),
    'store: service near on w1, as network br is local to each node: 1 of 1 tasks serve: near.1 on w1',
  )
})
