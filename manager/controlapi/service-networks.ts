// What of a service's spec is looked up and allocated when it is written: its networks by id, and its published ports.
import { SwarmError } from '../../proto/errors.ts'
import {
  canonicalBind,
  connectionsLevel,
  type Endpoint,
  familyOfBind,
  type Network,
  needsAddresses,
  networksLevel,
  type Service,
} from '../../proto/objects/index.ts'
import { isLocalNetwork } from '../../proto/spec/network-spec.ts'
import { predefinedOf } from '../../proto/spec/predefined-networks.ts'
import type { NetworkUse, PortSpec, ServiceSpec } from '../../proto/spec/service-spec.ts'
import { planPorts } from '../allocator/ports.ts'
import type { ReadTx } from '../store/store.ts'
import { findNetwork } from './lookup.ts'
import { requireLevel } from './require-level.ts'

/**
 * The spec with the ids of its networks. Errors: INVALID_ARGUMENT, NOT_FOUND, AMBIGUOUS, FAILED_PRECONDITION naming
 * service and network.
 */
export function withNetworkIds(tx: ReadTx, spec: ServiceSpec): ServiceSpec {
  const { task, name } = spec
  const isLocalOnly = !needsAddresses(task) && spec.endpointMode === 'vip'
  if (isLocalOnly && task.networks.length === 0) return spec
  const usesPredefined = task.networks.some(({ target }) => predefinedOf(target) !== undefined)
  requireLevel(tx, usesPredefined ? connectionsLevel : networksLevel, `service "${name}"`)
  if (task.ports.some(({ mode }) => mode === 'ingress')) requireIngress(tx, spec)
  const networks: NetworkUse[] = []
  // Whatever the spec says of it, that of the network counts.
  for (const { isLocal: _, ...use } of task.networks) {
    if (predefinedOf(use.target) !== undefined) {
      networks.push(use)
      continue
    }
    const network = findNetwork(tx, use.target)
    if (network.spec.isIngress) {
      const remedy = 'publish a port instead, or name another network'
      throw invalid(name, `names the ingress network "${network.spec.name}": ${remedy}`)
    }
    if (networks.some(({ target }) => target === network.id)) {
      throw invalid(name, `names "${network.spec.name}" twice: remove one`)
    }
    const how = isLocalNetwork(network.spec) ? ({ isLocal: true } as const) : {}
    networks.push({ ...use, ...how, target: network.id })
  }
  return { ...spec, task: { ...task, networks } }
}

function requireIngress(tx: ReadTx, { name, task }: ServiceSpec): void {
  for (const network of tx.all('networks')) {
    if (!network.spec.isIngress) continue
    task.ports.forEach((port, i) => {
      const reason = whyNoWay(network, port)
      if (reason === undefined) return
      const field = `task.ports[${i}].bindAddress`
      const message = `service "${name}" is not valid: ${field} ${reason}`
      throw new SwarmError('INVALID_ARGUMENT', message, { details: { field, reason } })
    })
    return
  }
  throw new SwarmError(
    'FAILED_PRECONDITION',
    `service "${name}" publishes ports on every node, and there is no ingress network: make one with ` +
      '"tsswarm network create --ingress NAME", or publish with mode=host',
  )
}

/** A port that would never be open: every network has IPv4, not all have IPv6. What comes to ::1 is handed over by IPv4. */
function whyNoWay(ingress: Network, { mode, bindAddress }: PortSpec): string | undefined {
  const isOfIpv6 = familyOfBind(bindAddress) === 6 && canonicalBind(bindAddress) !== '::1'
  if (mode !== 'ingress' || !isOfIpv6) return
  if (ingress.subnets.some(({ subnet }) => subnet.includes(':'))) return
  const remedy =
    'replace it with "tsswarm network rm" and "tsswarm network create --ingress --ipv6", or publish with mode=host'
  return `("${bindAddress}") is of IPv6, and the ingress network "${ingress.spec.name}" has none: ${remedy}`
}

/** What the service is given at once: its ports. VIPs are the allocator's. Errors: IN_USE, RESOURCE_EXHAUSTED. */
export function withPorts(tx: ReadTx, spec: ServiceSpec, before: Service | undefined): Endpoint {
  const plan = planPorts(spec, before?.endpoint.ports ?? [], others(tx, before))
  if (plan.kind === 'ok') return { vips: before?.endpoint.vips ?? [], ports: plan.ports }
  const field = `task.ports[${plan.position}].publishedPort`
  throw new SwarmError(plan.code, `service "${spec.name}" is not valid: ${field} ${plan.reason}`, {
    details: { field, reason: plan.reason },
  })
}

function* others(tx: ReadTx, before: Service | undefined): Iterable<Service> {
  for (const service of tx.all('services')) if (service.id !== before?.id) yield service
}

function invalid(service: string, reason: string): SwarmError {
  return new SwarmError(
    'INVALID_ARGUMENT',
    `service "${service}" is not valid: task.networks ${reason}`,
    {
      details: { field: 'task.networks', reason },
    },
  )
}
