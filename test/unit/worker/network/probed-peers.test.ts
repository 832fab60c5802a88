import t from 'tap'
import { nodeId } from '../../../../proto/objects/ids.ts'
import type { PeerReport } from '../../../../worker/network/peer-table.ts'
import {
  isSameMtus,
  largestMtu,
  mtusOf,
  peerConditions,
  peersOf,
  probedPaths,
  routeMtu,
} from '../../../../worker/network/probed-peers.ts'
import {
  aNetwork,
  anOverlay,
  aPath,
  aTaskEndpoint,
  aView,
} from '../../../support/overlay-builders.ts'

const nodesOf = (paths: readonly { readonly nodeId: string }[]): readonly string[] =>
  paths.map(({ nodeId: id }) => id)

t.test('probed are nodes with a task on a network of this one, with ingress all', async (t) => {
  const plain = aView(aNetwork(1), { tasks: [aTaskEndpoint('a.1', 2, ['10.1.0.2'])] })
  const ingress = aView(aNetwork(9, { isIngress: true }))
  const overlay = anOverlay([plain, ingress])
  t.same(nodesOf(probedPaths(overlay, [])), [])
  t.same(nodesOf(probedPaths(overlay, [plain])), ['n2'])
  t.same(nodesOf(probedPaths(overlay, [plain, ingress])), ['n2', 'n3'])
  t.same(probedPaths({ ...overlay, nodeId: nodeId('n7') }, [ingress]), [], 'no part of it')
  const paths = [aPath(1), aPath(2, { transit: ['fd7f::2'] })]
  t.same(probedPaths({ ...overlay, paths }, [ingress]), [], 'without an address to ask')
})

t.test('a peer is asked at its transit address, for as much as any network sends', async (t) => {
  t.equal(largestMtu([aNetwork(1), aNetwork(2, { mtu: 8_950 })]), 8_950)
  t.equal(largestMtu([]), 0)
  const paths = [aPath(2, { isDown: true }), aPath(3, { transit: ['fd7f::3'] })]
  t.same(peersOf(paths, 1450), [
    { nodeId: 'n2', vtep: '10.99.0.2', address: '100.127.0.2', mtuMax: 1450, isDown: true },
  ])
})

t.test('routes say what a path carries where that is less than the network', async (t) => {
  const mtu = (
    measured: number | undefined,
    network = 1450,
    vtep = '10.99.0.2',
    family: 4 | 6 = 4,
  ) =>
    routeMtu(
      aNetwork(1, { mtu: network }),
      aPath(2, { dataPathAddress: vtep }),
      family,
      new Map(measured === undefined ? [] : [['n2', measured]]),
    )
  t.equal(mtu(undefined), undefined)
  t.equal(mtu(1450), undefined)
  t.equal(mtu(1449), '1449')
  t.equal(mtu(1350), '1350')
  t.equal(mtu(1350, 1300), undefined, 'a network with a smaller one')
  t.equal(mtu(100), '576', 'no less than all hosts take')
  t.equal(mtu(1_000, 1450, '10.99.0.2', 6), '1280')
  t.equal(mtu(undefined, 1450, 'fd99::2'), '1430', 'over IPv6 before it is measured')
  t.equal(mtu(1450, 1450, 'fd99::2'), undefined, 'and an underlay with more')
  t.equal(mtu(undefined, 8_950, 'fd99::2'), '1430')
})

const aReport = (number: number, report: Partial<PeerReport> = {}): PeerReport => ({
  nodeId: nodeId(`n${number}`),
  vtep: `10.99.0.${number}`,
  state: 'silent',
  mtu: undefined,
  sinceMs: 10_000,
  isDown: false,
  ...report,
})

t.test('what was measured is compared by node', async (t) => {
  const mtus = mtusOf([aReport(2, { mtu: 1350 }), aReport(3)])
  t.same([...mtus], [['n2', 1350]])
  t.equal(isSameMtus(mtus, new Map([['n2', 1350]])), true)
  t.equal(isSameMtus(mtus, new Map([['n2', 1351]])), false)
  t.equal(isSameMtus(mtus, new Map()), false)
})

t.test('a node that is up and silent for ten seconds is told of', async (t) => {
  t.same(peerConditions([aReport(2, { sinceMs: 9_999 })], 4789), [])
  t.same(peerConditions([aReport(2, { isDown: true })], 4789), [])
  t.same(peerConditions([aReport(2, { state: 'unknown' })], 4789), [])
  t.same(peerConditions([aReport(2), aReport(3, { state: 'reachable' })], 4789), [
    {
      code: 'PEER_UNREACHABLE',
      message:
        'node n2 (10.99.0.2) does not answer to VXLAN packets of this one; let UDP 4789 pass between the hosts, both ways',
    },
  ])
})

t.test('many silent nodes are one condition', async (t) => {
  const [condition, ...more] = peerConditions(
    [2, 3, 4, 5, 6, 7].map((n) => aReport(n)),
    5789,
  )
  t.same(more, [])
  t.equal(
    condition?.message,
    '6 nodes do not answer to VXLAN packets of this one: n2 (10.99.0.2), n3 (10.99.0.3), n4 (10.99.0.4), n5 (10.99.0.5) and 2 more; let UDP 5789 pass between the hosts, both ways',
  )
})

t.test('a local network asks nobody, and its packets go to no other node', async (t) => {
  const near = aNetwork(3, { isLocal: true, vni: 0, mtu: 9_000 })
  t.equal(largestMtu([near, aNetwork(1)]), 1450)
  const view = aView(near, { tasks: [aTaskEndpoint('a.1', 1, ['10.3.0.2'])] })
  t.same(nodesOf(probedPaths(anOverlay([view]), [view])), [])
})
