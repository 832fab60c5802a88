// Addresses as users write them, and the choice of one to advertise.
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { SwarmError } from '../../proto/errors.ts'

export const controlPort = 2377
/** The Raft transport listens one port above the control API. */
export const raftPortOffset = 1

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Interface name -> its addresses, loopback and link-local ones left out. */
export type HostAddresses = ReadonlyMap<string, readonly string[]>

export interface InterfaceAddress {
  readonly interface: string
  readonly address: string
  /** address/bits */
  readonly cidr: string
}

/** The addresses of this host, in its present network namespace. */
export function hostAddresses(): HostAddresses {
  const result = new Map<string, readonly string[]>()
  for (const { interface: name, address } of interfaceAddresses()) {
    result.set(name, [...(result.get(name) ?? []), address])
  }
  return result
}

/** The same one by one, in the kernel's order, which has the primary address of an interface first. */
export function interfaceAddresses(): readonly InterfaceAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, entries = []]) =>
    entries
      .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address))
      .map(({ address, cidr }) => ({ interface: name, address, cidr: cidr ?? `${address}/32` })),
  )
}

/** Splits host[:port], [v6]:port or v6. Errors: INVALID_ARGUMENT naming the flag. */
export function parseHostPort(text: string, defaultPort: number, flag: string): HostPort {
  if (isIP(text) === 6) return { host: text, port: defaultPort }
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]\s]*))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = match?.[3] === undefined ? defaultPort : Number(match[3])
  if (host === undefined || port < 1 || port > 65_535) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `${flag} ${JSON.stringify(text)} is not an address: write HOST, HOST:PORT or [IPV6]:PORT`,
    )
  }
  return { host, port }
}

/** host:port, with brackets around IPv6. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Where a process of this host reaches what listens at `listenAddress`. */
export function localAddress(listenAddress: string): string {
  const { host, port } = parseHostPort(listenAddress, controlPort, 'listen address')
  const loopback = host === '::' ? '::1' : '127.0.0.1'
  return formatHostPort({ host: isWildcard(host) ? loopback : host, port })
}

function isWildcard(host: string): boolean {
  return ['', '0.0.0.0', '::'].includes(host)
}

/** Errors: INVALID_ARGUMENT when nobody would listen where the others are sent. */
export function checkAdvertised(advertised: HostPort, listen: HostPort): void {
  if (advertised.port !== listen.port) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `--advertise-addr names port ${advertised.port}, but the node listens on ${listen.port}: ` +
        'advertise an address only, and choose the port with --listen-addr',
    )
  }
  if (isWildcard(listen.host) || advertised.host === listen.host) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `the node would listen on ${formatHostPort(listen)} only, where nobody reaches the advertised ` +
      `${advertised.host}: give both flags the same address, or --listen-addr 0.0.0.0:${listen.port}`,
  )
}

/** The outer address of VXLAN packets; empty: the advertised one. Errors: INVALID_ARGUMENT when it is not this host's. */
export function chooseDataPathAddress(wish: string, addresses: HostAddresses): string {
  if (wish === '') return ''
  const byInterface = addresses.get(wish)?.[0]
  if (byInterface !== undefined) return byInterface
  if ([...addresses.values()].flat().includes(wish)) return wish
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `--data-path-addr ${JSON.stringify(wish)} is neither an IP address nor an interface of this host ` +
      `(${[...addresses].map(([name, ips]) => `${name}: ${ips.join(', ')}`).join('; ') || 'it has none'})`,
  )
}

/**
 * The address to advertise: the wish (an address, maybe one that is translated to this host, or an interface name), else
 * the only one there is. Errors: INVALID_ARGUMENT when the wish is neither or, without one, there are several or none.
 */
export function chooseAdvertiseHost(wish: string, addresses: HostAddresses): string {
  const all = [...addresses.values()].flat()
  if (wish !== '') {
    const byInterface = addresses.get(wish)?.[0]
    if (byInterface !== undefined) return byInterface
    if (isIP(wish) !== 0) return wish
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `--advertise-addr ${JSON.stringify(wish)} is neither an IP address nor an interface of this host ` +
        `(${[...addresses.keys()].join(', ') || 'it has none'})`,
    )
  }
  const candidates = all.filter((address) => isIP(address) === 4)
  const [only, ...more] = candidates.length > 0 ? candidates : all
  if (only === undefined) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      'could not choose an IP address to advertise since this system has none: specify one with --advertise-addr',
    )
  }
  if (more.length === 0) return only
  const list = [...addresses].map(([name, ips]) => `${ips.join(', ')} on ${name}`).join('; ')
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `could not choose an IP address to advertise since this system has multiple addresses (${list}): specify one with --advertise-addr`,
  )
}
