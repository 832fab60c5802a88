// What the trace of one packet through this node knows, and how it words it. Pure but for the kernel it carries.

import type { TraceEnd, TraceHop, TracePath } from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { NetworkView, NodePath, OverlayNetwork } from '../../proto/objects/overlay.ts'
import type { Kernel } from './kernel.ts'
import type { ObservedItem, ObservedKernel } from './kernel-state.ts'
import type { LoopbackPort } from './loopback-listener.ts'
import { addressesOf, type Endpoint, type PortProtocol } from './network-state.ts'
import { holds } from './nft-lookup.ts'

export interface TraceContext {
  readonly kernel: Pick<Kernel, 'run'>
  readonly observed: ObservedKernel
  readonly endpoints: readonly Endpoint[]
  readonly views: readonly NetworkView[]
  readonly paths: readonly NodePath[]
  /** Transit addresses of this node. */
  readonly transit: readonly string[]
  readonly protocol: PortProtocol
  /** What the daemon hands on from ::1. */
  readonly loopback: readonly LoopbackPort[]
}

/** A packet in the data plane of this node. */
export interface Packet {
  readonly source: string
  readonly destination: string
  /** 0: none in particular. */
  readonly port: number
  /** The device it came in by. */
  readonly link: string
  /** A published port led it here. */
  readonly isPublished: boolean
  /** The backend shall see this node instead of the client. */
  readonly isMasqueraded: boolean
  readonly hops: readonly TraceHop[]
  /** The most bytes so far; 0: not known. */
  readonly mtu: number
}

export function hop(place: 'container' | 'data plane' | 'host', text: string): TraceHop {
  return { place, text }
}

/** The way ends, and why. */
export function ended(packet: Packet, end: TraceEnd, reason: string): TracePath {
  const { source, destination, port, hops, mtu } = packet
  const rest = { taskId: '', device: '', nodeId: '', vni: 0 }
  return { ...rest, hops: [...hops], end, reason, source, destination, port, mtu }
}

/** An address with what it is of: "10.1.0.5 (web.2)". */
export function named(context: TraceContext, address: string): string {
  const name = nameOf(context, address)
  return name === undefined ? address : `${address} (${name})`
}

function nameOf({ views, endpoints }: TraceContext, address: string): string | undefined {
  for (const { services, tasks } of views) {
    const task = tasks.find(({ addresses }) => addresses.includes(address))
    if (task !== undefined) {
      const service = services.find(({ serviceId }) => serviceId === task.serviceId)
      if (service !== undefined) return `${service.name}.${task.slot || task.nodeId}`
    }
    const service = services.find(({ vips }) => vips.includes(address))
    if (service !== undefined) return `virtual address of service ${service.name}`
  }
  const own = endpoints.find((one) => addressesOf(one).some(([known]) => known === address))
  return own === undefined ? undefined : `container ${own.containerId.slice(0, 12)}`
}

export function networkAt({ views }: TraceContext, address: string): OverlayNetwork | undefined {
  return views.find(({ network }) => network.subnets.some((subnet) => holds(subnet, address)))
    ?.network
}

/** An item of the data plane. */
export function itemOf(
  { observed }: TraceContext,
  kind: ObservedItem['kind'],
  key: string,
): ObservedItem | undefined {
  return observed.dataPlane.items.find((item) => item.kind === kind && item.key === key)
}

export function mtuOfLink(context: TraceContext, link: string): number {
  return Number(itemOf(context, 'link', link)?.fields.mtu ?? 0)
}

/** The smaller one; 0 is not known. */
export function smallest(...values: readonly number[]): number {
  const known = values.filter((value) => value > 0)
  return known.length === 0 ? 0 : Math.min(...known)
}
