// What a node knows of the overlay networks: the networks, who is on them, and through which nodes. Made by the managers from the
// store, carried to the nodes, and turned into kernel state and names there. Addresses are text without prefix length.
import type { NetworkId, NodeId, ServiceId, TaskId } from './ids.ts'

export type EndpointMode = 'vip' | 'dnsrr'
export type EndpointProtocol = 'tcp' | 'udp' | 'sctp'

/**
 * For how long a name may be remembered that was looked up. A container keeps connecting to a task of a dnsrr service for
 * so long after its name is gone; a service with a virtual address does not depend on it.
 */
export const dnsTtlSeconds = 2

/** One network as of one stamp, whole. */
export interface NetworkView {
  readonly network: OverlayNetwork
  readonly services: readonly ServiceEndpoint[]
  readonly tasks: readonly TaskEndpoint[]
}

export interface OverlayNetwork {
  readonly id: NetworkId
  readonly name: string
  /** VXLAN network identifier, 1,048,576 or more; 0 of one that is local. */
  readonly vni: number
  /** With prefix length; one of IPv4 and at most one of IPv6. */
  readonly subnets: readonly string[]
  /** The most; a path may carry less. */
  readonly mtu: number
  /** Nothing leaves it but to its own members. */
  readonly isInternal: boolean
  /** Carries published ports. */
  readonly isIngress: boolean
  /** Each node has it for itself: nothing of it goes from node to node. Absent: it is over all nodes. */
  readonly isLocal?: boolean
}

/**
 * The network as that node has it: of one that is local only its own tasks, and services with one of them. Other views are
 * the same object.
 */
export function viewAt(view: NetworkView, node: NodeId): NetworkView {
  if (view.network.isLocal !== true) return view
  const tasks = view.tasks.filter(({ nodeId }) => nodeId === node)
  const own = new Set(tasks.map(({ serviceId }) => serviceId))
  return { ...view, tasks, services: view.services.filter(({ serviceId }) => own.has(serviceId)) }
}

/** A service on one network. */
export interface ServiceEndpoint {
  readonly serviceId: ServiceId
  /** Also a name in the DNS of the network. */
  readonly name: string
  readonly aliases: readonly string[]
  readonly mode: EndpointMode
  /** One of each family of the network with mode vip, none with dnsrr. */
  readonly vips: readonly string[]
  /** On the ingress network only. */
  readonly ports: readonly IngressPort[]
}

/** Open on every node, and led to a task of the service. */
export interface IngressPort {
  readonly protocol: EndpointProtocol
  readonly targetPort: number
  readonly publishedPort: number
  /** As its spec names it, for SRV records; absent or empty: it has none. */
  readonly name?: string
  /** Only on this address of each node; empty: on all. */
  readonly bindAddress: string
  /** Only clients of these subnets; empty: all. */
  readonly sources: readonly string[]
  /** The task sees the entering node instead of the client. */
  readonly isMasqueraded: boolean
  /** A task of the entering node before all others. */
  readonly isLocalFirst: boolean
  /** Left to the host's firewall, which is not opened for it. */
  readonly isFirewallFirst: boolean
}

/** A task on one network. Known from its assignment to a node until it is gone from there. */
export interface TaskEndpoint {
  readonly taskId: TaskId
  readonly serviceId: ServiceId
  readonly nodeId: NodeId
  /** 0 for a task of a global service. */
  readonly slot: number
  /** One of each family of the network. */
  readonly addresses: readonly string[]
  readonly aliases: readonly string[]
  /** Gets new connections and has a name: running, healthy, and not about to be stopped. */
  readonly isServing: boolean
  /** Of its service's ports those that its own spec leads elsewhere: it is of an earlier spec, or of a later one. Absent: none. */
  readonly targets?: readonly TaskTarget[]
}

/** Where a task takes a published port. */
export interface TaskTarget
  extends Pick<IngressPort, 'protocol' | 'publishedPort' | 'bindAddress'> {
  /** 0: not at all. */
  readonly targetPort: number
}

/** The port of the task that a published port leads to; undefined: it does not take it. */
export function targetPortAt({ targets }: TaskEndpoint, port: IngressPort): number | undefined {
  const own = targets?.find(
    ({ protocol, publishedPort, bindAddress }) =>
      protocol === port.protocol &&
      publishedPort === port.publishedPort &&
      bindAddress === port.bindAddress,
  )
  if (own === undefined) return port.targetPort
  return own.targetPort === 0 ? undefined : own.targetPort
}

/** How packets for tasks of a node reach it. */
export interface NodePath {
  readonly nodeId: NodeId
  /** Outer address of its VXLAN packets. */
  readonly dataPathAddress: string
  /** UDP port of VXLAN, the same on all nodes. */
  readonly dataPathPort: number
  /** Its transit addresses: gateway of its containers and next hop towards them. */
  readonly transit: readonly string[]
  /** Of its VXLAN devices and of its end of each container's link. */
  readonly mac: string
  /** Marks connections that entered the cluster through it, 1 to 65,535; not reused soon. */
  readonly mark: number
  /** The cluster has lost it: nothing is to be expected of it. Absent: it is up, as far as is known. */
  readonly isDown?: boolean
}
