// What a node needs of the kernel once it is part of the overlay, whatever networks it holds: its transit addresses, the
// list of those who may send VXLAN, and the ways back to the nodes through which connections from outside came in. Pure.
import type { NodePath, OverlayNetwork } from '../../proto/objects/overlay.ts'
import { ipv6Piece } from './ipv6-link.ts'
import {
  type AddressFamily,
  addressItem,
  fdbItem,
  neighbourItem,
  routeItem,
  ruleItem,
  vxlanItem,
} from './items.ts'
import type { DesiredItem } from './kernel-state.ts'
import { probeLink, probeMtu, probeVni } from './network-state.ts'
import { familyOf, ofFamily, vxlanName } from './overlay-state.ts'
import { noPiece, type Piece, type Pieces, type TableElement } from './pieces.ts'
import { type PathMtus, routeMtu } from './probed-peers.ts'

export interface NodeContext {
  readonly own: NodePath
  readonly paths: readonly NodePath[]
  readonly ingress: OverlayNetwork | undefined
  /** Some network that this node holds has IPv6, or a container of it is reached over IPv6 on this node alone. */
  readonly hasIpv6: boolean
  readonly mtus: PathMtus
  readonly probes: ProbeDevice
}

export interface ProbeDevice {
  readonly vxlanPort: number
  readonly dataPlaneFile: string
}

export function compileNode(context: NodeContext): Pieces {
  const { own, paths, ingress, hasIpv6, probes } = context
  const others = paths.filter((path) => path !== own)
  return [
    ['transit', { items: own.transit.map((address) => addressItem('lo', wholePrefix(address))) }],
    ...paths.map((path) => [`vtep ${path.nodeId}`, vtepPiece(path)] as const),
    ...(hasIpv6 ? [['ipv6', ipv6Piece()] as const] : []),
    ...probePieces(own, others, probes),
    ...(ingress === undefined ? [] : returnPieces(context, others, ingress)),
  ]
}

/**
 * Probes go to the transit address of a node through a device of their own: their outer packets stay whole, so that one
 * that is too large does not get through, while those of containers may be taken apart until that is known.
 */
function probePieces(own: NodePath, others: readonly NodePath[], device: ProbeDevice): Pieces {
  const { vxlanPort: port, dataPlaneFile: netns } = device
  const { mac, dataPathAddress: local } = own
  const [src] = ofFamily(own.transit, 4)
  if (src === undefined) return []
  const link = vxlanItem(probeLink, {
    ...{ vni: probeVni, mac, mtu: probeMtu, local, port, netns },
    isWhole: true,
  })
  const conf = `net/ipv4/conf/${probeLink}`
  // Answers have this node's own address as their source before they are sent back (nft-tables.ts).
  const sysctls = [
    [`${conf}/rp_filter`, '0'],
    [`${conf}/accept_local`, '1'],
  ] as const
  return [
    ['probes', { items: [link], sysctls }],
    ...others.map((path) => [`probe ${path.nodeId}`, probePiece(path, src)] as const),
  ]
}

function probePiece({ transit, mac, dataPathAddress }: NodePath, src: string): Piece {
  const via = ofFamily(transit, 4)[0]
  if (via === undefined) return noPiece
  return {
    items: [
      fdbItem(probeLink, mac, dataPathAddress),
      neighbourItem(probeLink, via, mac),
      // Fixed: else the kernel would send a probe that is too large in parts once it has heard so.
      routeItem(
        via,
        { via, dev: probeLink, src, mtu: `${probeMtu}` },
        { isOnlink: true, isMtuFixed: true },
      ),
    ],
  }
}

function wholePrefix(address: string): string {
  return `${address}/${familyOf(address) === 4 ? 32 : 128}`
}

function vtepPiece({ dataPathAddress }: NodePath): Piece {
  const set = familyOf(dataPathAddress) === 4 ? 'vteps' : 'vteps6'
  return { elements: [{ namespace: 'host', set, element: dataPathAddress }] }
}

/** Route tables of nodes have their mark added to this. */
const tableBase = 100_000

/** The first rule of all: unmarked packets, nearly all, meet no other (each rule costs every packet a step). */
const unmarkedPref = 10
/** Rules are a list: 32 of them lead by the lowest bits of the mark to lists of a 32nd of the nodes each. */
const bucketCount = 32
const bucketPref = 100
const bucketSize = 4_096
const bucketBase = 4_096

/**
 * Answers to a connection from outside leave by the node it came in through: connections bear that node's mark
 * (nft-tables.ts), and each mark has a route table.
 */
function returnPieces(
  { own, mtus }: NodeContext,
  others: readonly NodePath[],
  ingress: OverlayNetwork,
): Pieces {
  const families = ([4, 6] as const).filter((family) => ofFamily(own.transit, family).length > 0)
  const link = vxlanName(ingress)
  const buckets = [...new Set(others.map(({ mark }) => mark % bucketCount))]
  const ingressLink: TableElement = {
    namespace: 'dataPlane',
    set: 'ingress_links',
    element: link,
  }
  return [
    [
      'unmarked',
      {
        items: families.map((family) =>
          ruleItem(family, unmarkedPref, { mark: 0, action: { kind: 'lookup', table: 'main' } }),
        ),
        elements: [ingressLink],
      },
    ],
    ...buckets.map((bucket) => [`bucket ${bucket}`, bucketPiece(bucket, families)] as const),
    ...others.map((path) => {
      const mtu = (family: AddressFamily): string | undefined =>
        routeMtu(ingress, path, family, mtus)
      return [`return ${path.nodeId}`, returnPiece(path, families, { link, mtu })] as const
    }),
  ]
}

function bucketPiece(bucket: number, families: readonly AddressFamily[]): Piece {
  const pref = bucketBase + bucket * bucketSize
  return {
    items: families.flatMap((family) => [
      ruleItem(family, bucketPref + bucket, {
        mark: bucket,
        mask: bucketCount - 1,
        action: { kind: 'goto', pref },
      }),
      ruleItem(family, pref, { action: { kind: 'nop' } }),
    ]),
  }
}

interface WayBack {
  readonly link: string
  readonly mtu: (family: AddressFamily) => string | undefined
}

function returnPiece(
  path: NodePath,
  families: readonly AddressFamily[],
  { link, mtu: mtuOf }: WayBack,
): Piece {
  const { mark, transit, mac } = path
  const table = tableBase + mark
  const pref = bucketBase + (mark % bucketCount) * bucketSize + 1 + Math.floor(mark / bucketCount)
  return {
    items: families.flatMap((family): DesiredItem[] => {
      const via = ofFamily(transit, family)[0]
      if (via === undefined) return []
      const mtu = mtuOf(family)
      const how = { via, dev: link, ...(mtu === undefined ? {} : { mtu }) }
      return [
        routeItem(family === 4 ? 'default' : '::/0', how, { table, isOnlink: true }),
        ruleItem(family, pref, { mark, action: { kind: 'lookup', table: `${table}` } }),
      ]
    }),
    elements: [{ namespace: 'dataPlane', set: 'entry_nodes', element: `${mac} : ${mark}` }],
  }
}
