// The ports of a host that other nodes must reach.

export interface ClusterPort {
  readonly port: number
  readonly protocol: 'tcp' | 'udp'
}

/** A daemon that is a manager listens here; `--listen-addr` moves them all. Control, Raft, bus, bus between managers. */
export const managerPorts: readonly ClusterPort[] = managerPortsAt(2377)

/** Those of a manager that listens at this control port. */
export function managerPortsAt(control: number): readonly ClusterPort[] {
  return [0, 1, 1845, 3845].map((above) => ({ port: control + above, protocol: 'tcp' }))
}

/** VXLAN: the kernel's, between the overlay networks of nodes. */
export const overlayPort: ClusterPort = { port: 4789, protocol: 'udp' }

/** `2377/tcp`. */
export function portText({ port, protocol }: ClusterPort): string {
  return `${port}/${protocol}`
}
