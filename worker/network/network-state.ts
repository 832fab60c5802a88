// What this node's network should be, as one value. Not how the kernel says it (desired-kernel.ts), and not what a user
// writes (proto/spec).
import type { InterfaceSysctl } from '../../proto/spec/endpoint-options.ts'
import type { CompiledOverlay } from './pieces.ts'

/** The network every container without another one is on. Lives on its node only. */
export const localNetworkId = 'local'

/** The only way between the host and the data plane: a veth pair with these ends. */
export const hostLink = 'dp0'
export const dataPlaneLink = 'up0'
export const hostAddress = '169.254.77.1'
export const dataPlaneAddress = '169.254.77.2'
export const linkPrefix = 30
/** Doors are addresses of it that the host routes to the data plane (see PublishedPort.door). */
export const doorSubnet = '169.254.77.0/24'
/**
 * What the data plane sees of a client outside whose own address is a task's here: of the same subnet, so that nobody outside may
 * bear it, and no door, nor on the link, so that answers go to the host.
 */
export const strangerAddress = '169.254.77.255'
/** Its half for which the host's firewall is opened; the doors of the other half are left to it. */
export const openDoorSubnet = '169.254.77.0/25'
/** The door of ports on every address that are left to the host's firewall. */
export const firewallDoor = '169.254.77.128'
export const linkMtu = 1500
/** Of the two ends, which nobody else ever sees: so each is the other's neighbour without asking. */
export const hostMac = '02:77:00:00:00:01'
export const dataPlaneMac = '02:77:00:00:00:02'

/** Where containers find the node's resolver, as under Docker: an address of loopback, in the data plane. */
export const resolverAddress = '127.0.0.11'

/** The same over IPv6, used only where a network has it. */
export const hostAddress6 = 'fd77::1'
export const dataPlaneAddress6 = 'fd77::2'
export const linkPrefix6 = 126
export const doorSubnet6 = 'fd77::/64'
export const strangerAddress6 = 'fd77::ff'
export const openDoorSubnet6 = 'fd77::/111'
export const firewallDoor6 = 'fd77::2:128'
/** IPv6 addresses of containers that have none on their networks, for ports published on IPv6: known on this node alone. */
export const nodeSubnet6 = 'fd77:2::/96'

/**
 * The network that no container is on: probes of the way to other nodes go through it (peer-prober.ts), in packets that
 * nobody on the way may take apart. The last of all identifiers, which the allocator gives to no network.
 */
export const probeVni = 0xffffff
export const probeLink = 'vxffffff'
/** As much as any network may have: what gets through is what is to be found out. */
export const probeMtu = 65_000
/** Probes come from this port, within the data plane. */
export const probePort = 4787
/** And go to this one, where the kernel of the other node answers. */
export const probeAnswerPort = 4788

/** Registered for VXLAN (RFC 7348). */
export const defaultVxlanPort = 4789

export interface NetworkState {
  /** Transit address: the containers' gateway, on the data plane's loopback. */
  readonly transit: string
  /** This node's MAC address towards containers and other nodes. */
  readonly mac: string
  readonly networks: readonly LocalNetwork[]
  readonly endpoints: readonly Endpoint[]
  /** Whether it was us who switched IPv4 forwarding on; then only our own traffic may be forwarded. */
  readonly forwardingIsOurs: boolean
  /** The same of IPv6. */
  readonly forwarding6IsOurs: boolean
  /** Which UDP port carries VXLAN. */
  readonly vxlanPort: number
  /** What the cluster's networks ask of the kernel; undefined: this node is in none. */
  readonly overlay: CompiledOverlay | undefined
}

export interface LocalNetwork {
  readonly kind: 'local'
  readonly id: string
  readonly subnet: string
  readonly mtu: number
}

/** One interface of one container. */
export interface Endpoint {
  readonly containerId: string
  readonly networkId: string
  readonly address: string
  readonly prefix: number
  /** MAC address inside the container. */
  readonly mac: string
  /** Name of the veth's end in the data plane. */
  readonly link: string
  readonly netns: NetnsRef
  readonly ports: readonly PublishedPort[]
  /** Of an interface of an overlay network; undefined: one of the local network. */
  readonly overlay?: OverlayInterface
  /** Name inside the container; undefined: eth0. */
  readonly device?: string
  /** Of several interfaces of one container: whether another holds its default route. Undefined: it is the only one. */
  readonly isSecondary?: boolean
  /** Whether it leads to the node's resolver; undefined: if it is not secondary. */
  readonly resolvesNames?: boolean
  /** Kernel settings of the interface inside the container. */
  readonly sysctls?: readonly InterfaceSysctl[]
  /** Of nodeSubnet6, for ports that are published on IPv6 where its network has none: it answers, and begins nothing. */
  readonly nodeAddress6?: string
}

/** All that is needed to make the interface again without knowing the network. */
export interface OverlayInterface {
  readonly mtu: number
  /** One of each family: transit addresses of this node. */
  readonly gateways: readonly string[]
  readonly gatewayMac: string
  /** With prefix length. */
  readonly subnets: readonly string[]
  readonly isInternal: boolean
  /** The IPv6 address, with prefix length. */
  readonly address6?: string
}

/** A container's network namespace; the inode tells it from a later one under the same path. */
export interface NetnsRef {
  readonly path: string
  readonly inode: number
}

export type PortProtocol = 'tcp' | 'udp' | 'sctp'

/** A host-mode port: opened on this node, for one container. */
export interface PublishedPort {
  readonly protocol: PortProtocol
  readonly targetPort: number
  readonly publishedPort: number
  /** An address of the host in canonical form; 0.0.0.0 and :: are all of one family, undefined all of both. */
  readonly bindAddress: string | undefined
  /**
   * The address under which the data plane sees the connection: dataPlaneAddress for ports on every address, one of
   * doorSubnet (doorSubnet6) for each bind address, so that one port number may lead to different containers. Those left
   * to the host's firewall have others, so that it can tell them. Its family is the port's; for ::1 it is IPv4, as the daemon
   * hands over what comes there.
   */
  readonly door: string
  /** The same over IPv6 of a port on every address of both families; undefined: it is open over IPv4 only. */
  readonly door6?: string
  /** Only clients of these subnets or addresses; undefined: all. */
  readonly sources?: readonly string[]
}

/** Addresses of the interface with their prefix lengths. */
export function addressesOf(
  endpoint: Endpoint,
): readonly (readonly [address: string, prefix: string])[] {
  const { address, prefix, nodeAddress6 } = endpoint
  const [address6 = '', prefix6 = ''] = (endpoint.overlay?.address6 ?? '').split('/')
  return [
    [address, `${prefix}`],
    ...(address6 === '' ? [] : [[address6, prefix6] as const]),
    ...(nodeAddress6 === undefined ? [] : [[nodeAddress6, '128'] as const]),
  ]
}
