// Which port of the host a container's host-mode port becomes, and whether it is free. Pure.
import { SwarmError } from '../../proto/errors.ts'
import { type Random, randomInt } from '../../proto/lib/random.ts'
import { bindsMeet, canonicalBind, isWildcardBind } from '../../proto/objects/bind-address.ts'
import { parseIp } from '../../proto/spec/ip.ts'
import type { HostPort } from '../executor/network-attacher.ts'
import { commonDoor, doorFamily, freeDoor, isFirewallDoor, loopback6 } from './doors.ts'
import type { ListeningSocket } from './listening-sockets.ts'
import type { PublishedPort } from './network-state.ts'
import { familyOf } from './overlay-state.ts'

/** A port as held by somebody: a container or a socket. */
interface Holder extends Omit<ListeningSocket, 'process'> {
  readonly who: string
  readonly isSocket?: boolean
}

export interface HostView {
  /** Ports of the containers of this node. */
  readonly published: readonly PublishedPort[]
  /** Those of the routing mesh. */
  readonly meshed: readonly PublishedPort[]
  readonly listening: readonly ListeningSocket[]
  /** Of the host, those of loopback apart. */
  readonly addresses: readonly string[]
  readonly hasIpv6: boolean
  /** The container has an IPv6 address on its network: then ports on all addresses are open over IPv6 too. */
  readonly isDual: boolean
}

/** Ports given to those who ask for any (RFC 6335, dynamic ports). */
const dynamicFirst = 49_152
const dynamicLast = 65_535

/**
 * The ports as they will be opened, in the order asked for.
 * Errors: ADDRESS_IN_USE, INVALID_ARGUMENT (bind address), RESOURCE_EXHAUSTED.
 */
export function planHostPorts(
  asked: readonly HostPort[],
  view: HostView,
  random: Random,
): readonly PublishedPort[] {
  const planned: PublishedPort[] = []
  for (const port of asked) {
    const bindAddress = bindAddressOf(port, view)
    const claim = { bindAddress, isDual: view.isDual }
    const holders = holdersOf(port, view, planned).filter((holder) => meets(holder, claim))
    const publishedPort =
      port.publishedPort === 0 ? freePort(holders, random) : requireFree(port, holders)
    const { protocol, targetPort, sources = [] } = port
    const isFirewallFirst = port.isFirewallFirst ?? false
    const others = [...view.published, ...view.meshed, ...planned]
    const door = doorOf(bindAddress, isFirewallFirst, others)
    const both = bindAddress === undefined && view.isDual
    planned.push({
      ...{ protocol, targetPort, publishedPort, bindAddress, door },
      ...(both && { door6: commonDoor(6, isFirewallFirst) }),
      ...(sources.length > 0 && { sources }),
    })
  }
  return planned
}

/** Ports at these addresses lead to an IPv6 address of the container; those at ::1 are handed over. */
export function isOverIpv6({ bindAddress = '' }: Pick<HostPort, 'bindAddress'>): boolean {
  return doorFamily(canonicalBind(bindAddress)) === 6
}

function bindAddressOf(port: HostPort, view: HostView): string | undefined {
  const text = canonicalBind(port.bindAddress ?? '')
  if (text === '') return undefined
  const what = `port ${port.publishedPort}/${port.protocol} cannot be bound to "${text}"`
  const address = parseIp(text)
  if (address?.bits === 128 && !view.hasIpv6) {
    const message = `${what}: this host has no IPv6. Bind it to an IPv4 address, or switch IPv6 on`
    throw new SwarmError('INVALID_ARGUMENT', message)
  }
  const isLoopback = text === loopback6 || (address?.bits === 32 && text.startsWith('127.'))
  if (isWildcardBind(text) || isLoopback || view.addresses.includes(text)) return text
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${what}: it is no address of this host (there are ${view.addresses.join(', ') || 'none'})`,
  )
}

function holdersOf(
  { protocol }: HostPort,
  view: HostView,
  planned: readonly PublishedPort[],
): readonly Holder[] {
  const held = (ports: readonly PublishedPort[], who: string): readonly Holder[] =>
    ports.map(({ protocol: of, publishedPort: port, bindAddress: address }) => ({
      ...{ protocol: of, port, address, who },
    }))
  const containers = [
    ...held([...view.published, ...planned], 'another container of this node'),
    ...held(view.meshed, 'a service that publishes it on every node'),
  ]
  const sockets = view.listening.map(({ protocol: of, port, address, process }) => ({
    ...{ protocol: of, port, address },
    isSocket: true,
    who: process === undefined ? 'a process of this host' : `${process.name} (${process.pid})`,
  }))
  return [...containers, ...sockets].filter((holder) => holder.protocol === protocol)
}

/**
 * Whether both would get packets sent to the same address. What waits on ::1 alone is in the way of what is published there alone:
 * nothing is led away from it, and it may be the daemon itself (see loopback-listener.ts).
 */
function meets(
  { address, isSocket }: Holder,
  { bindAddress, isDual }: Pick<PublishedPort, 'bindAddress'> & Pick<HostView, 'isDual'>,
): boolean {
  if (isSocket === true && address === loopback6) return bindAddress === loopback6
  // A port on all addresses of a host whose container has IPv4 alone leaves IPv6 to the host's programs.
  if (isSocket === true && bindAddress === undefined && !isDual) {
    return address === undefined || familyOf(address) === 4
  }
  return bindsMeet(bindAddress ?? '', address ?? '')
}

function requireFree(port: HostPort, holders: readonly Holder[]): number {
  const holder = holders.find((other) => other.port === port.publishedPort)
  if (holder === undefined) return port.publishedPort
  const isOnAll = holder.address === undefined || isWildcardBind(holder.address)
  const where = isOnAll ? 'all addresses' : holder.address
  throw new SwarmError(
    'ADDRESS_IN_USE',
    `port ${port.publishedPort}/${port.protocol} is in use by ${holder.who} on ${where}: ` +
      'publish another port, or stop whatever holds it',
    { details: { port: port.publishedPort, protocol: port.protocol } },
  )
}

function freePort(holders: readonly Holder[], random: Random): number {
  const taken = new Set(holders.map(({ port }) => port))
  const size = dynamicLast - dynamicFirst + 1
  const start = randomInt(random, size)
  for (let step = 0; step < size; step++) {
    const port = dynamicFirst + ((start + step) % size)
    if (!taken.has(port)) return port
  }
  const range = `${dynamicFirst}-${dynamicLast}`
  throw new SwarmError('RESOURCE_EXHAUSTED', `no free port is left in ${range} on this node`)
}

/** One door for each bind address, so that the data plane can tell which address a connection was made to. */
function doorOf(
  bindAddress: string | undefined,
  isFirewallFirst: boolean,
  ports: readonly PublishedPort[],
): string {
  if (bindAddress === undefined || isWildcardBind(bindAddress)) {
    return commonDoor(doorFamily(bindAddress ?? ''), isFirewallFirst)
  }
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
