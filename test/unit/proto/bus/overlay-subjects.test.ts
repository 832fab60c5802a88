// States and changes of overlay networks: through bytes and back, and from one state to the next.
import fc from 'fast-check'
import t from 'tap'
import { decodeBusMessage, encodeBusMessage } from '../../../../proto/bus/bus-message.ts'
import { joinAddress, splitAddress } from '../../../../proto/bus/host-port.ts'
import {
  encodeOverlayChange,
  encodeOverlayWhole,
  type OverlayChange,
  overlayCodec,
} from '../../../../proto/bus/overlay-subjects.ts'
import { busPorts } from '../../../../proto/bus/ports.ts'
import { networkIdOf, networkSubject, pathsSubject } from '../../../../proto/bus/subjects.ts'
import {
  changedNetworkView,
  changedNodePaths,
  mergedNetworkViewChange,
  mergedNodePathsChange,
  type NetworkView,
  networkId,
  nodeId,
  type ServiceId,
  serviceId,
  type TaskId,
  taskId,
} from '../../../../proto/objects/index.ts'

const plain = { noNullPrototype: true }
const word = fc.string({ maxLength: 4 })
const words = fc.array(word, { maxLength: 2 })
const id = fc.constantFrom('a', 'b', 'c', 'd', 'e')

const port = fc.record(
  {
    protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
    targetPort: fc.nat({ max: 65_535 }),
    publishedPort: fc.nat({ max: 65_535 }),
    bindAddress: word,
    sources: words,
    isMasqueraded: fc.boolean(),
    isLocalFirst: fc.boolean(),
    isFirewallFirst: fc.boolean(),
  },
  plain,
)

const service = fc.record(
  {
    serviceId: id.map(serviceId),
    name: word,
    aliases: words,
    mode: fc.constantFrom('vip' as const, 'dnsrr' as const),
    vips: words,
    ports: fc.array(port, { maxLength: 2 }),
  },
  plain,
)

const target = fc.record(
  {
    protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
    targetPort: fc.nat({ max: 65_535 }),
    publishedPort: fc.nat({ max: 65_535 }),
    bindAddress: word,
  },
  plain,
)

const task = fc.record(
  {
    taskId: id.map(taskId),
    serviceId: id.map(serviceId),
    nodeId: id.map(nodeId),
    slot: fc.nat(),
    addresses: words,
    aliases: words,
    isServing: fc.boolean(),
    targets: fc.array(target, { minLength: 1, maxLength: 2 }),
  },
  {
    ...plain,
    requiredKeys: [
      ...(['taskId', 'serviceId', 'nodeId', 'slot', 'addresses', 'aliases', 'isServing'] as const),
    ],
  },
)

const serviceKey = (one: { readonly serviceId: ServiceId }): ServiceId => one.serviceId
const taskKey = (one: { readonly taskId: TaskId }): TaskId => one.taskId

const view: fc.Arbitrary<NetworkView> = fc.record(
  {
    network: fc.record(
      {
        id: fc.constant(networkId('net')),
        name: word,
        vni: fc.nat(),
        subnets: words,
        mtu: fc.nat(),
        isInternal: fc.boolean(),
        isIngress: fc.boolean(),
        isLocal: fc.constant(true),
      },
      {
        ...plain,
        requiredKeys: [
          ...(['id', 'name', 'vni', 'subnets', 'mtu', 'isInternal', 'isIngress'] as const),
        ],
      },
    ),
    services: fc.uniqueArray(service, { selector: (one) => one.serviceId }),
    tasks: fc.uniqueArray(task, { selector: (one) => one.taskId }),
  },
  plain,
)

const paths = fc.uniqueArray(
  fc.record(
    {
      nodeId: id.map(nodeId),
      dataPathAddress: word,
      dataPathPort: fc.integer({ min: 1024, max: 49_151 }),
      transit: words,
      mac: word,
      mark: fc.nat({ max: 65_535 }),
    },
    plain,
  ),
  { selector: (one) => one.nodeId },
)

/** Of some keys; those of `others` are removed. */
function put<T, K>(of: fc.Arbitrary<T[]>, keyOf: (item: T) => K, others: fc.Arbitrary<K>) {
  return fc.tuple(of, fc.uniqueArray(others, { maxLength: 3 })).map(([items, removed]) => {
    const named = new Set(items.map(keyOf))
    return { items, removed: removed.filter((key) => !named.has(key)) }
  })
}

const viewChange = fc
  .tuple(
    fc.option(view, { nil: undefined }),
    put(fc.uniqueArray(service, { selector: serviceKey }), serviceKey, id.map(serviceId)),
    put(fc.uniqueArray(task, { selector: taskKey }), taskKey, id.map(taskId)),
  )
  .map(([of, services, tasks]) => ({
    network: of?.network,
    services: services.items,
    removedServices: services.removed,
    tasks: tasks.items,
    removedTasks: tasks.removed,
  }))

const pathsChange = put(paths, (path) => path.nodeId, id.map(nodeId)).map(({ items, removed }) => ({
  paths: items,
  removedNodes: removed,
}))

const subject = networkSubject(networkId('net'))
const [stamp, asOf] = [
  { epoch: 2, index: 9 },
  { epoch: 2, index: 12 },
]

/** Rows are a set: what is new comes last. */
function sorted(of: NetworkView): NetworkView {
  const services = [...of.services].sort((a, b) => (a.serviceId < b.serviceId ? -1 : 1))
  const tasks = [...of.tasks].sort((a, b) => (a.taskId < b.taskId ? -1 : 1))
  return { ...of, services, tasks }
}

t.test('whole states and ends pass through bytes', async (t) => {
  fc.assert(
    fc.property(view, (of) => {
      const whole = encodeOverlayWhole({ kind: 'network', view: of })
      const bytes = encodeBusMessage({ kind: 'whole', stamp, asOf, whole })
      const heard = decodeBusMessage(bytes, overlayCodec(subject))
      t.same(heard, { kind: 'whole', stamp, asOf, whole: { kind: 'network', view: of } })
    }),
    { numRuns: 30 },
  )
  fc.assert(
    fc.property(paths, (of) => {
      const whole = encodeOverlayWhole({ kind: 'paths', paths: of })
      const bytes = encodeBusMessage({ kind: 'whole', stamp, asOf, whole })
      const heard = decodeBusMessage(bytes, overlayCodec(pathsSubject))
      t.same(heard, { kind: 'whole', stamp, asOf, whole: { kind: 'paths', paths: of } })
    }),
    { numRuns: 30 },
  )
  for (const which of [subject, pathsSubject]) {
    const ended = encodeBusMessage({
      kind: 'whole',
      stamp,
      asOf,
      whole: encodeOverlayWhole({ kind: 'none' }),
    })
    t.match(decodeBusMessage(ended, overlayCodec(which)), { whole: { kind: 'none' } })
  }
  const tip = encodeBusMessage({ kind: 'tip', stamp, asOf })
  t.same(decodeBusMessage(tip, overlayCodec(subject)), { kind: 'tip', stamp, asOf })
})

t.test('a change passes through bytes', async (t) => {
  const [previous, first] = [
    { epoch: 2, index: 3 },
    { epoch: 2, index: 8 },
  ]
  const pass = (change: OverlayChange, of: string): void => {
    const data = encodeOverlayChange(change)
    const bytes = encodeBusMessage({ kind: 'change', previous, first, stamp, asOf, change: data })
    const heard = decodeBusMessage(bytes, overlayCodec(of))
    t.same(heard, { kind: 'change', previous, first, stamp, asOf, change })
  }
  fc.assert(
    fc.property(viewChange, (change) => pass({ kind: 'network', change }, subject)),
    { numRuns: 30 },
  )
  fc.assert(
    fc.property(pathsChange, (change) => pass({ kind: 'paths', change }, pathsSubject)),
    { numRuns: 30 },
  )
})

t.test('two changes as one do what both do, also on top of the first', async (t) => {
  fc.assert(
    fc.property(view, viewChange, viewChange, (of, one, two) => {
      const after = changedNetworkView(of, one)
      const both = mergedNetworkViewChange(one, two)
      const expected = sorted(changedNetworkView(after, two))
      t.same(sorted(changedNetworkView(of, both)), expected)
      t.same(sorted(changedNetworkView(after, both)), expected)
    }),
    { numRuns: 100 },
  )
  fc.assert(
    fc.property(paths, pathsChange, pathsChange, (of, one, two) => {
      const byId = (a: { nodeId: string }, b: { nodeId: string }) => (a.nodeId < b.nodeId ? -1 : 1)
      const after = changedNodePaths(of, one)
      const both = mergedNodePathsChange(one, two)
      const expected = [...changedNodePaths(after, two)].sort(byId)
      t.same([...changedNodePaths(of, both)].sort(byId), expected)
      t.same([...changedNodePaths(after, both)].sort(byId), expected)
    }),
    { numRuns: 100 },
  )
})

t.test('what lacks a field is refused by name', async (t) => {
  t.throws(() => decodeBusMessage(new Uint8Array(), overlayCodec(subject)), {
    code: 'INVALID_ARGUMENT',
    message: /BusMessage: field stamp is missing/,
  })
})

t.test('subjects, ports and addresses', async (t) => {
  t.equal(networkIdOf(networkSubject(networkId('x'))), 'x')
  t.same(busPorts(2377), { client: 4222, route: 6222 })
  t.equal(busPorts(62_000), undefined)
  t.same(splitAddress('10.0.0.1:2377'), { host: '10.0.0.1', port: 2377 })
  t.same(splitAddress('[fd00::1]:2377'), { host: 'fd00::1', port: 2377 })
  t.equal(splitAddress(':2377'), undefined)
  t.equal(joinAddress('fd00::1', 1), '[fd00::1]:1')
  t.equal(joinAddress('10.0.0.1', 1), '10.0.0.1:1')
})
