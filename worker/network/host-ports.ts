// Which port of the host a container's host-mode port becomes, and whether it is free. Pure.
import { SwarmError } from '../../proto/errors.ts'
import { type Random, randomInt } from '../../proto/lib/random.ts'
import type { HostPort } from '../executor/network-attacher.ts'
import { formatIpv4, parseIpv4, requireSubnet } from './ipv4.ts'
import {
  dataPlaneAddress,
  doorSubnet,
  type PortProtocol,
  type PublishedPort,
} from './network-state.ts'

/** A socket of the host itself that waits on a port. */
export interface ListeningSocket {
  readonly protocol: PortProtocol
  readonly port: number
  /** An IPv4 address; undefined: all of them. */
  readonly address: string | undefined
}

/** A port as held by somebody: a container or a socket. */
interface Holder extends ListeningSocket {
  readonly who: string
}

export interface HostView {
  /** Ports of the containers of this node. */
  readonly published: readonly PublishedPort[]
  readonly listening: readonly ListeningSocket[]
  /** IPv4 addresses of the host. */
  readonly addresses: readonly string[]
}

/** Ports given to those who ask for any (RFC 6335, dynamic ports). */
const dynamicFirst = 49_152
const dynamicLast = 65_535

/**
 * The ports as they will be opened, in the order asked for.
 * Errors: ADDRESS_IN_USE, INVALID_ARGUMENT (bind address), UNSUPPORTED (IPv6), RESOURCE_EXHAUSTED.
 */
export function planHostPorts(
  asked: readonly HostPort[],
  view: HostView,
  random: Random,
): readonly PublishedPort[] {
  const planned: PublishedPort[] = []
  for (const port of asked) {
    const bindAddress = bindAddressOf(port, view.addresses)
    const holders = holdersOf(port.protocol, view, planned)
    const publishedPort =
      port.publishedPort === 0
        ? freePort(bindAddress, holders, random)
        : requireFree(port, bindAddress, holders)
    const { protocol, targetPort } = port
    const door = doorOf(bindAddress, [...view.published, ...planned])
    planned.push({ protocol, targetPort, publishedPort, bindAddress, door })
  }
  return planned
}

function bindAddressOf(port: HostPort, addresses: readonly string[]): string | undefined {
  const text = port.bindAddress ?? ''
  if (text === '' || text === '0.0.0.0') return undefined
  if (text.includes(':')) {
    throw new SwarmError(
      'UNSUPPORTED',
      `port ${port.publishedPort}/${port.protocol} cannot be bound to ${text}: published ports are IPv4 only in this version`,
    )
  }
  if (parseIpv4(text) !== undefined && (text.startsWith('127.') || addresses.includes(text))) {
    return text
  }
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `port ${port.publishedPort}/${port.protocol} cannot be bound to "${text}": it is no address of this host ` +
      `(there are ${addresses.join(', ') || 'none'})`,
  )
}

function holdersOf(
  protocol: PortProtocol,
  view: HostView,
  planned: readonly PublishedPort[],
): readonly Holder[] {
  const containers = [...view.published, ...planned].map(({ publishedPort, ...port }) => ({
    protocol: port.protocol,
    port: publishedPort,
    address: port.bindAddress,
    who: 'another container of this node',
  }))
  const sockets = view.listening.map((socket) => ({ ...socket, who: 'a process of this host' }))
  return [...containers, ...sockets].filter((holder) => holder.protocol === protocol)
}

/** Whether both would get packets sent to the same address. */
function meets(holder: Holder, address: string | undefined): boolean {
  return address === undefined || holder.address === undefined || holder.address === address
}

function requireFree(
  port: HostPort,
  address: string | undefined,
  holders: readonly Holder[],
): number {
  const holder = holders.find((other) => other.port === port.publishedPort && meets(other, address))
  if (holder === undefined) return port.publishedPort
  throw new SwarmError(
    'ADDRESS_IN_USE',
    `port ${port.publishedPort}/${port.protocol} is in use by ${holder.who} on ${holder.address ?? 'all addresses'}: ` +
      'publish another port, or stop whatever holds it',
    { details: { port: port.publishedPort, protocol: port.protocol } },
  )
}

function freePort(address: string | undefined, holders: readonly Holder[], random: Random): number {
  const taken = new Set(holders.filter((holder) => meets(holder, address)).map(({ port }) => port))
  const size = dynamicLast - dynamicFirst + 1
  const start = randomInt(random, size)
  for (let step = 0; step < size; step++) {
    const port = dynamicFirst + ((start + step) % size)
    if (!taken.has(port)) return port
  }
  const range = `${dynamicFirst}-${dynamicLast}`
  throw new SwarmError('RESOURCE_EXHAUSTED', `no free port is left in ${range} on this node`)
}

/** One door for each bind address, so that D can tell which address a connection was made to. */
function doorOf(bindAddress: string | undefined, ports: readonly PublishedPort[]): string {
  if (bindAddress === undefined) return dataPlaneAddress
  const same = ports.find((port) => port.bindAddress === bindAddress)
  if (same !== undefined) return same.door
  const { base } = requireSubnet(doorSubnet, 'doors')
  for (let offset = 4; offset < 255; offset++) {
    const door = formatIpv4(base + offset)
    if (!ports.some((port) => port.door === door)) return door
  }
  const message = 'ports of this node are bound to 251 different addresses already'
  throw new SwarmError('RESOURCE_EXHAUSTED', message)
}

/** The waiting sockets in /proc/net/{tcp,tcp6,udp,udp6}; those on a single IPv6 address concern nobody here. */
export function parseListening(protocol: PortProtocol, text: string): readonly ListeningSocket[] {
  const waiting = protocol === 'tcp' ? '0A' : '07'
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/)
    const [address = '', port = ''] = local.split(':')
    if (state !== waiting || !/^[0-9A-F]{4}$/.test(port)) return []
    const parsed = parseProcAddress(address)
    if (parsed.kind === 'ipv6') return []
    return [{ protocol, port: Number.parseInt(port, 16), address: parsed.address }]
  })
}

/** The kernel prints addresses as 32-bit words in the byte order of the machine, which is little-endian wherever we run. */
function parseProcAddress(
  hex: string,
): { readonly kind: 'ipv4'; readonly address: string | undefined } | { readonly kind: 'ipv6' } {
  if (/^0+$/.test(hex)) return { kind: 'ipv4', address: undefined }
  const isMapped = hex.length === 32 && hex.startsWith('0000000000000000FFFF0000')
  if (hex.length !== 8 && !isMapped) return { kind: 'ipv6' }
  const word = hex.slice(-8)
  if (/^0+$/.test(word)) return { kind: 'ipv4', address: undefined }
  const octets = [6, 4, 2, 0].map((at) => Number.parseInt(word.slice(at, at + 2), 16))
  return { kind: 'ipv4', address: octets.join('.') }
}
