// Which port of the host a container's host-mode port becomes, and whether it is free. Pure.
import { SwarmError } from '../../proto/errors.ts'
import { type Random, randomInt } from '../../proto/lib/random.ts'
import type { HostPort } from '../executor/network-attacher.ts'
import { commonDoor, freeDoor, isFirewallDoor } from './doors.ts'
import { parseIpv4 } from './ipv4.ts'
import type { ListeningSocket } from './listening-sockets.ts'
import type { PortProtocol, PublishedPort } from './network-state.ts'

/** A port as held by somebody: a container or a socket. */
interface Holder extends Omit<ListeningSocket, 'process'> {
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
    const isFirewallFirst = port.isFirewallFirst ?? false
    const door = doorOf(bindAddress, isFirewallFirst, [...view.published, ...planned])
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
  const sockets = view.listening
    .filter(({ address }) => !(address?.includes(':') ?? false))
    .map(({ protocol: of, port, address, process }) => ({
      ...{ protocol: of, port },
      address: address === '0.0.0.0' ? undefined : address,
      who: process === undefined ? 'a process of this host' : `${process.name} (${process.pid})`,
    }))
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
function doorOf(
  bindAddress: string | undefined,
  isFirewallFirst: boolean,
  ports: readonly PublishedPort[],
): string {
  if (bindAddress === undefined) return commonDoor(4, isFirewallFirst)
  const same = ports.find(
    (port) => port.bindAddress === bindAddress && isFirewallDoor(port.door) === isFirewallFirst,
  )
  if (same !== undefined) return same.door
  const use = { bindAddress, isFirewallFirst }
  const door = freeDoor(use, (one) => ports.some((port) => port.door === one))
  if (door !== undefined) return door
  const message = 'ports of this node are bound to too many different addresses already'
  throw new SwarmError('RESOURCE_EXHAUSTED', message)
}
