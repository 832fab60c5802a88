// States and changes of overlay networks: through bytes and back, and from one state to the next.
import fc from 'fast-check'
import t from 'tap'
import { decodeBusMessage, encodeBusMessage } from '../../../../proto/bus/bus-message.ts'
import { joinAddress, splitAddress } from '../../../../proto/bus/host-port.ts'
import {
  encodeOverlayChange,
  encodeOverlayWhole,
  overlayCodec,
} from '../../../../proto/bus/overlay-subjects.ts'
import { busPorts } from '../../../../proto/bus/ports.ts'
import { networkIdOf, networkSubject, pathsSubject } from '../../../../proto/bus/subjects.ts'
import {
  changedNetworkView,
  changedNodePaths,
  type NetworkView,
  networkId,
  networkViewChange,
  nodeId,
  nodePathsChange,
  serviceId,
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

const task = fc.record(
  {
    taskId: id.map(taskId),
    serviceId: id.map(serviceId),
    nodeId: id.map(nodeId),
    slot: fc.nat(),
    addresses: words,
    aliases: words,
    isServing: fc.boolean(),
  },
  plain,
)

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
      },
      plain,
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
      transit: words,
      mac: word,
      mark: fc.nat({ max: 65_535 }),
    },
    plain,
  ),
  { selector: (one) => one.nodeId },
)

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

t.test('a change, through bytes, leads from one state to the other', async (t) => {
  const [previous, first] = [
    { epoch: 2, index: 3 },
    { epoch: 2, index: 8 },
  ]
  fc.assert(
    fc.property(view, view, (from, to) => {
      const data = encodeOverlayChange({ kind: 'network', change: networkViewChange(from, to) })
      const bytes = encodeBusMessage({ kind: 'change', previous, first, stamp, asOf, change: data })
      const heard = decodeBusMessage(bytes, overlayCodec(subject))
      if (heard.kind !== 'change' || heard.change.kind !== 'network') throw new Error(heard.kind)
      t.same(heard.first, first)
      t.same(sorted(changedNetworkView(from, heard.change.change)), sorted(to))
    }),
    { numRuns: 60 },
  )
  fc.assert(
    fc.property(paths, paths, (from, to) => {
      const data = encodeOverlayChange({ kind: 'paths', change: nodePathsChange(from, to) })
      const bytes = encodeBusMessage({ kind: 'change', previous, first, stamp, asOf, change: data })
      const heard = decodeBusMessage(bytes, overlayCodec(pathsSubject))
      if (heard.kind !== 'change' || heard.change.kind !== 'paths') throw new Error(heard.kind)
      const byId = (a: { nodeId: string }, b: { nodeId: string }) => (a.nodeId < b.nodeId ? -1 : 1)
      const result = changedNodePaths(from, heard.change.change)
      t.same([...result].sort(byId), [...to].sort(byId))
    }),
    { numRuns: 60 },
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
