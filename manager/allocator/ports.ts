// Published ports of services on every node: explicit ones are checked against all other services, dynamic ones chosen, and
// kept as long as the service asks for them.
import { bindsMeet, type PublishedPort, type Service } from '../../proto/objects/index.ts'
import type { PortSpec, ServiceSpec } from '../../proto/spec/service-spec.ts'

/** Source: Docker Swarm's dynamic ports. */
export const dynamicFirst = 30_000
export const dynamicLast = 32_767

export type PortPlan =
  | { readonly kind: 'ok'; readonly ports: readonly PublishedPort[] }
  | {
      readonly kind: 'refused'
      readonly code: 'IN_USE' | 'RESOURCE_EXHAUSTED'
      /** Of spec.task.ports. */
      readonly position: number
      readonly reason: string
    }

interface Holder {
  readonly service: string
  readonly mode: PortSpec['mode']
  /** Empty: all. */
  readonly bindAddress: string
}

type Holders = ReadonlyMap<string, readonly Holder[]>

/**
 * Decides about the ingress ports of a service. `before` is what it has; `others` are all other services.
 * O(their ports).
 */
export function planPorts(
  spec: ServiceSpec,
  before: readonly PublishedPort[],
  others: Iterable<Service>,
): PortPlan {
  const { ports } = spec.task
  if (ports.length === 0) return { kind: 'ok', ports: [] }
  const holders = holdersOf(others)
  for (const [position, port] of ports.entries()) {
    const holder = port.publishedPort === 0 ? undefined : conflict(port, holders)
    if (holder === undefined) continue
    return { kind: 'refused', code: 'IN_USE', position, reason: taken(port, holder) }
  }
  const own = new Set(ports.map((port) => keyOf(port.protocol, port.publishedPort)))
  const isFree = (protocol: string, number: number): boolean =>
    !own.has(keyOf(protocol, number)) && !holders.has(keyOf(protocol, number))
  // Those that stay come first, so that no new one takes the place of one.
  const kept = keptPorts(ports, before, isFree)
  for (const { protocol, publishedPort } of kept.values()) own.add(keyOf(protocol, publishedPort))
  const planned: PublishedPort[] = []
  for (const [position, port] of ports.entries()) {
    if (port.mode !== 'ingress') continue
    const { protocol, targetPort } = port
    const publishedPort =
      port.publishedPort || (kept.get(position)?.publishedPort ?? dynamicPort(protocol, isFree))
    if (publishedPort === undefined) {
      return { kind: 'refused', code: 'RESOURCE_EXHAUSTED', position, reason: exhausted(protocol) }
    }
    own.add(keyOf(protocol, publishedPort))
    planned.push({ protocol, targetPort, publishedPort })
  }
  return { kind: 'ok', ports: planned }
}

type IsFree = (protocol: string, number: number) => boolean

/** By position: what a dynamic port had before, each given once. */
function keptPorts(
  ports: readonly PortSpec[],
  before: readonly PublishedPort[],
  isFree: IsFree,
): ReadonlyMap<number, PublishedPort> {
  const left = before.filter(({ protocol, publishedPort }) => isFree(protocol, publishedPort))
  const kept = new Map<number, PublishedPort>()
  for (const [position, port] of ports.entries()) {
    if (port.mode !== 'ingress' || port.publishedPort !== 0) continue
    const at = left.findIndex(
      ({ protocol, targetPort, publishedPort }) =>
        protocol === port.protocol && targetPort === port.targetPort && isDynamic(publishedPort),
    )
    const [found] = at < 0 ? [] : left.splice(at, 1)
    if (found !== undefined) kept.set(position, found)
  }
  return kept
}

function holdersOf(services: Iterable<Service>): Holders {
  const holders = new Map<string, Holder[]>()
  const add = (protocol: string, number: number, holder: Holder): void => {
    const key = keyOf(protocol, number)
    const known = holders.get(key)
    if (known === undefined) holders.set(key, [holder])
    else known.push(holder)
  }
  for (const { spec, endpoint } of services) {
    const service = spec.name
    for (const { protocol, publishedPort, mode, bindAddress } of spec.task.ports) {
      if (publishedPort !== 0) add(protocol, publishedPort, { service, mode, bindAddress })
    }
    // What was given for dynamic ones; in the order of the ingress ports of the spec.
    const wished = spec.task.ports.filter(({ mode }) => mode === 'ingress')
    for (const [i, { protocol, publishedPort }] of endpoint.ports.entries()) {
      const bindAddress = wished[i]?.bindAddress ?? ''
      add(protocol, publishedPort, { service, mode: 'ingress', bindAddress })
    }
  }
  return holders
}

/** Two services may publish one number on the hosts of their tasks; the scheduler keeps them apart. */
function conflict(port: PortSpec, holders: Holders): Holder | undefined {
  const rivals = holders.get(keyOf(port.protocol, port.publishedPort)) ?? []
  return rivals.find(
    (holder) =>
      (port.mode === 'ingress' || holder.mode === 'ingress') &&
      bindsMeet(port.bindAddress, holder.bindAddress),
  )
}

function dynamicPort(protocol: string, isFree: IsFree): number | undefined {
  for (let number = dynamicFirst; number <= dynamicLast; number++) {
    if (isFree(protocol, number)) return number
  }
  return undefined
}

function isDynamic(number: number): boolean {
  return number >= dynamicFirst && number <= dynamicLast
}

function keyOf(protocol: string, number: number): string {
  return `${protocol}/${number}`
}

function taken({ protocol, publishedPort }: PortSpec, holder: Holder): string {
  const { service, mode, bindAddress } = holder
  const where = mode === 'ingress' ? 'on every node' : 'on the hosts of its tasks'
  const at = bindAddress === '' ? '' : `, at ${bindAddress}`
  return (
    `(${publishedPort}/${protocol}) is published by service "${service}" ${where}${at}: ` +
    'choose another port, or bind both to different addresses'
  )
}

function exhausted(protocol: string): string {
  return `cannot be chosen: all ${protocol} ports from ${dynamicFirst} to ${dynamicLast} are published. Name a port of your own`
}
