// How the executor gets a container onto its networks. worker/network implements it; not for how
// networks are built.
import { SwarmError } from '../../proto/errors.ts'
import type { InterfaceSysctl } from '../../proto/spec/endpoint-options.ts'

/**
 * `none`: loopback only. `host`: the host's own stack. `attached`: interfaces made by a
 * NetworkAttacher.
 */
export type ContainerNetwork =
  | { readonly kind: 'none' }
  | { readonly kind: 'host' }
  | {
      readonly kind: 'attached'
      readonly endpoints: readonly EndpointConfig[]
      readonly ports: readonly HostPort[]
    }

export interface EndpointConfig {
  readonly networkId: string
  /** Given by the cluster's allocator as `address/prefix`; empty: the network picks one. */
  readonly addresses: readonly string[]
  readonly aliases: readonly string[]
  /** Kernel settings of its interface; absent: as the kernel has them. */
  readonly sysctls?: readonly InterfaceSysctl[]
}

/** A port in host mode: opened on the container's own node only. */
export interface HostPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly targetPort: number
  /** 0: any free one. */
  readonly publishedPort: number
  /** An address of the host; absent or empty: every one. 0.0.0.0 and :: are every one of their family. */
  readonly bindAddress?: string
  /** Only clients of these subnets or addresses; absent or empty: all. */
  readonly sources?: readonly string[]
  /** Left to the host's firewall, which is not opened for it. Absent: it is opened. */
  readonly isFirewallFirst?: boolean
}

export interface AttachRequest {
  readonly containerId: string
  readonly name: string
  /** First process of the container; its network namespace is /proc/<pid>/ns/net. */
  readonly pid: number
  readonly endpoints: readonly EndpointConfig[]
  readonly ports: readonly HostPort[]
  /** Asked for it instead of the host's; absent or empty: the host's. */
  readonly nameservers?: readonly string[]
}

/** One more network for a container that runs. */
export interface ConnectRequest extends Pick<AttachRequest, 'containerId' | 'name' | 'pid'> {
  readonly endpoint: EndpointConfig
}

export interface NetworkAttachment {
  readonly endpoints: readonly {
    readonly networkId: string
    readonly addresses: readonly string[]
  }[]
  /** The ports asked for, with real numbers. */
  readonly ports: readonly HostPort[]
  /** Name servers of /etc/resolv.conf (the executor adds the container's own DNS options). */
  readonly nameservers: readonly string[]
  /** They are the node's resolver, which asks the container's own servers. Absent: they are not. */
  readonly isNodeResolved?: boolean
  readonly search: readonly string[]
  /**
   * Lines for /etc/hosts beside localhost: `address name [alias…]`; the executor adds hostname
   * lines itself.
   */
  readonly hosts: readonly string[]
}

export interface NetworkAttacher {
  /**
   * Called between create and start of a container, once. A failure leaves nothing behind.
   * Errors: NOT_FOUND (network), ADDRESS_IN_USE (port), RESOURCE_EXHAUSTED (addresses),
   * UNAVAILABLE.
   */
  attach(request: AttachRequest, signal: AbortSignal): Promise<NetworkAttachment>

  /**
   * Takes everything of the container back; its process may be gone already. A no-op on an unknown
   * one.
   */
  detach(containerId: string): Promise<void>

  /**
   * Gives an attached container an interface on one more network; answers with all it has now. One that it has already,
   * with other addresses or half made, is made anew. A failure leaves nothing behind.
   * Errors: NOT_FOUND (network, container), INVALID_ARGUMENT (addresses), UNAVAILABLE.
   */
  connect(request: ConnectRequest, signal: AbortSignal): Promise<NetworkAttachment>

  /** Takes the interface away; answers with all that is left. One that is not there is no error. */
  disconnect(containerId: string, networkId: string): Promise<NetworkAttachment>

  /**
   * Called once after a restart of the daemon with all containers that live on, with what attach
   * answered for each.
   */
  restore(live: readonly RestoredAttachment[]): Promise<void>
}

export interface RestoredAttachment {
  readonly request: AttachRequest
  readonly attachment: NetworkAttachment
}

/** Loopback only, and refuses whatever needs more. For tests and for hosts without a data plane. */
export const noNetworkAttacher: NetworkAttacher = {
  attach: async ({ name, endpoints, ports }) => {
    if (endpoints.length + ports.length > 0) {
      throw new SwarmError(
        'UNSUPPORTED',
        `container ${name} asks for networks or ports, but this host has no data plane: use network "none"`,
      )
    }
    return { endpoints: [], ports: [], nameservers: [], search: [], hosts: [] }
  },
  detach: () => Promise.resolve(),
  connect: async ({ name }) => {
    const message = `container ${name} is to be connected to a network, but this host has no data plane`
    throw new SwarmError('UNSUPPORTED', message)
  },
  disconnect: async () => ({ endpoints: [], ports: [], nameservers: [], search: [], hosts: [] }),
  restore: () => Promise.resolve(),
}
