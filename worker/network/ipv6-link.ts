// The way of IPv6 between the host and the data plane: there while something on this node needs it. Pure.
import { addressItem, neighbourItem, routeItem } from './items.ts'
import {
  dataPlaneAddress6,
  dataPlaneLink,
  dataPlaneMac,
  doorSubnet6,
  hostAddress6,
  hostLink,
  hostMac,
  linkPrefix6,
  nodeSubnet6,
} from './network-state.ts'
import type { Piece } from './pieces.ts'

/**
 * IPv6 between host and data plane, and forwarding of it in both. Who is on the other end is told, as a new device could not
 * ask for it in its first two seconds: it makes sure of its own link-local address then.
 */
export function ipv6Piece(): Piece {
  return {
    hostItems: [
      addressItem(hostLink, `${hostAddress6}/${linkPrefix6}`),
      neighbourItem(hostLink, dataPlaneAddress6, dataPlaneMac),
      routeItem(doorSubnet6, { via: dataPlaneAddress6, dev: hostLink }),
    ],
    items: [
      addressItem(dataPlaneLink, `${dataPlaneAddress6}/${linkPrefix6}`),
      neighbourItem(dataPlaneLink, hostAddress6, hostMac),
      routeItem('::/0', { via: hostAddress6, dev: dataPlaneLink }),
      // What is left of a container that is gone must not leave by up0.
      routeItem(nodeSubnet6, { type: 'unreachable' }),
    ],
    sysctls: [
      ['net/ipv6/conf/all/forwarding', '1'],
      ['net/ipv6/conf/all/accept_redirects', '0'],
    ],
    hostSysctls: [['net/ipv6/conf/all/forwarding', '1']],
  }
}
