// What a service spec must keep to beyond the schema: rules over several fields, and words with a grammar of their own.
import { isIP } from 'node:net'
import { SwarmError } from '../../proto/errors.ts'
import { suggestion } from '../../proto/lib/suggest.ts'
import { bindsMeet, canonicalBind } from '../../proto/objects/index.ts'
import { whyNoEndpointOptions } from '../../proto/spec/endpoint-options.ts'
import { capabilityNames } from '../../proto/spec/kernel-names.ts'
import { withUnit } from '../../proto/spec/parse-spec.ts'
import { predefinedOf } from '../../proto/spec/predefined-networks.ts'
import type {
  ContainerSpec,
  PortSpec,
  ResourceSpec,
  ServiceSpec,
  TaskSpec,
} from '../../proto/spec/service-spec.ts'
import { parseConstraint, parseSpread } from '../../scheduler/constraints.ts'
import { checkDependencies } from './check-dependencies.ts'
import { checkGeneric } from './check-generic.ts'
import { checkMode } from './check-mode.ts'
import { checkMounts } from './check-mounts.ts'
import { checkOptions } from './check-options.ts'
import { duplicates, type Problem } from './check-problem.ts'
import { checkTemplates } from './check-templates.ts'
import { isCapability, isImageReference, isSignal } from './known-names.ts'

const nanoCpusMin = 1_000_000
const memoryBytesMin = 4 * 1024 * 1024

/**
 * Warnings: what is allowed but hardly meant.
 * Errors: INVALID_ARGUMENT naming service, fields, reasons and remedies.
 */
export function checkServiceSpec(spec: ServiceSpec): readonly string[] {
  const { task } = spec
  const problems = [
    ...checkMode(spec),
    ...checkContainer(task.container),
    ...checkMounts(task.container.mounts),
    ...checkOptions(task),
    ...checkTemplates(spec),
    ...checkResources('limits', task.limits),
    ...checkResources('reservations', task.reservations),
    ...checkLimits(task),
    ...checkGeneric(task),
    ...checkPlacement(task),
    ...checkPorts(task.ports),
    ...checkEndpoint(spec),
    ...checkDependencies(spec),
  ]
  const [first] = problems
  if (first === undefined) return warningsOf(task)
  const text = problems.map(({ field, reason }) => `${field} ${reason}`).join('; ')
  throw new SwarmError('INVALID_ARGUMENT', `service "${spec.name}" is not valid: ${text}`, {
    details: { field: first.field, reason: first.reason },
  })
}

function checkContainer(container: ContainerSpec): readonly Problem[] {
  const problems: Problem[] = []
  const refuse = (field: string, reason: string): void => {
    problems.push({ field: `task.container.${field}`, reason })
  }
  if (!isImageReference(container.image)) {
    refuse(
      'image',
      `("${container.image}") is no image reference: write [HOST/]NAME[:TAG][@DIGEST], NAME in lower case`,
    )
  }
  if (container.stopSignal !== '' && !isSignal(container.stopSignal)) {
    refuse(
      'stopSignal',
      `("${container.stopSignal}") is no signal: write for example SIGTERM or 15`,
    )
  }
  for (const field of ['capAdd', 'capDrop'] as const) {
    for (const name of container[field]) {
      if (!isCapability(name)) refuse(field, noCapability(name))
    }
  }
  for (const host of container.hosts) {
    const at = host.indexOf(':')
    if (at < 1 || isIP(host.slice(at + 1)) === 0) {
      refuse('hosts', `("${host}") must be HOST:IP, such as db:192.0.2.7`)
    }
  }
  if (container.workdir !== '' && !container.workdir.startsWith('/')) {
    refuse('workdir', `("${container.workdir}") must be an absolute path, such as /srv`)
  }
  if (container.groups.includes('')) refuse('groups', '("") must be names or numbers of groups')
  return problems
}

function noCapability(name: string): string {
  const near = suggestion(name.toUpperCase().replace(/^CAP_/, ''), capabilityNames)
  const remedy =
    near === undefined ? 'write for example NET_ADMIN, or ALL' : `did you mean ${near}?`
  return `("${name}") is no capability: ${remedy}`
}

function checkResources(field: string, resources: ResourceSpec): readonly Problem[] {
  const problems: Problem[] = []
  const { nanoCpus, memoryBytes } = resources
  if (nanoCpus > 0 && nanoCpus < nanoCpusMin) {
    problems.push({
      field: `task.${field}.nanoCpus`,
      reason: `(${nanoCpus / 1e9} CPUs) must be at least 0.001 CPUs`,
    })
  }
  if (memoryBytes > 0 && memoryBytes < memoryBytesMin) {
    problems.push({
      field: `task.${field}.memoryBytes`,
      reason: `(${withUnit(memoryBytes, ['memoryBytes'])}) must be at least 4MiB`,
    })
  }
  return problems
}

function checkLimits({ limits, reservations }: TaskSpec): readonly Problem[] {
  return (['nanoCpus', 'memoryBytes'] as const)
    .filter((field) => limits[field] > 0 && reservations[field] > limits[field])
    .map((field) => ({
      field: `task.reservations.${field}`,
      reason:
        `(${withUnit(reservations[field], [field])}) is above the limit ` +
        `(${withUnit(limits[field], [field])}): raise the limit or reserve less`,
    }))
}

function checkPlacement({ placement }: TaskSpec): readonly Problem[] {
  const constraints = placement.constraints.flatMap((text) => {
    const parsed = parseConstraint(text)
    return parsed.kind === 'ok' ? [] : [problem('constraints', parsed.reason)]
  })
  const spread = placement.spread.flatMap((text) => {
    const parsed = parseSpread(text)
    return parsed.kind === 'ok' ? [] : [problem('spread', parsed.reason)]
  })
  return [...constraints, ...spread]
}

function problem(field: string, reason: string): Problem {
  return { field: `task.placement.${field}:`, reason }
}

/** A task cannot take one port of its host twice, nor a service one of every node. */
function checkPorts(ports: readonly PortSpec[]): readonly Problem[] {
  const problems: Problem[] = []
  ports.forEach((port, i) => {
    if (port.bindAddress !== '' && isIP(port.bindAddress) === 0) {
      const reason = `("${port.bindAddress}") must be an IP address of the node, or empty`
      problems.push({ field: `task.ports[${i}].bindAddress`, reason })
    }
    if (port.protocol === 'sctp' && canonicalBind(port.bindAddress) === '::1') {
      const reason = '("::1") has no sctp, as nothing can be led away from there: use 127.0.0.1'
      problems.push({ field: `task.ports[${i}].bindAddress`, reason })
    }
    const earlier = ports.slice(0, i).find((other) => collide(port, other))
    if (earlier !== undefined) {
      const taken = `${port.protocol}/${port.publishedPort}`
      problems.push({
        field: `task.ports[${i}].publishedPort`,
        reason: `publishes port ${taken} a second time: choose another published port`,
      })
    }
  })
  return problems
}

function collide(a: PortSpec, b: PortSpec): boolean {
  return (
    a.publishedPort !== 0 &&
    a.publishedPort === b.publishedPort &&
    a.protocol === b.protocol &&
    bindsMeet(a.bindAddress, b.bindAddress)
  )
}

/** What of ports and networks does not go together. */
function checkEndpoint({ task, endpointMode }: ServiceSpec): readonly Problem[] {
  const problems: Problem[] = []
  task.ports.forEach((port, i) => {
    const refuse = (field: string, reason: string): void => {
      problems.push({ field: `task.ports[${i}].${field}`, reason })
    }
    if (port.mode === 'ingress') {
      if (endpointMode !== 'dnsrr') return
      const remedy = 'use endpoint mode vip, or publish with mode=host'
      refuse('mode', `is ingress, which has no address with endpoint mode dnsrr: ${remedy}`)
      return
    }
    if (port.protocol === 'sctp')
      refuse('protocol', 'is sctp, which is published with mode=ingress only')
    if (port.isMasqueraded) refuse('isMasqueraded', 'is for mode=ingress only: remove it')
    if (port.isLocalFirst) refuse('isLocalFirst', 'is for mode=ingress only: remove it')
  })
  problems.push(...checkPredefined(task), ...checkNetworkOptions(task))
  for (const target of duplicates(task.networks.map((use) => use.target))) {
    problems.push({ field: 'task.networks', reason: `name "${target}" twice: remove one` })
  }
  return problems
}

function checkNetworkOptions({ networks }: TaskSpec): readonly Problem[] {
  return networks.flatMap(({ target, driverOptions }) => {
    const why = whyNoEndpointOptions(driverOptions)
    return why === undefined ? [] : [{ field: 'task.networks', reason: `("${target}") ${why}` }]
  })
}

/** What does not go with the networks that each node has for itself. */
function checkPredefined({ networks, ports }: TaskSpec): readonly Problem[] {
  const problems: Problem[] = []
  for (const { target, aliases, driverOptions } of networks) {
    const predefined = predefinedOf(target)
    if (predefined === undefined) continue
    const refuse = (reason: string): void => {
      problems.push({ field: 'task.networks', reason: `("${target}") ${reason}` })
    }
    if (aliases.length > 0) refuse('has aliases, and no names are known there: leave them out')
    if (!predefined.isAlone) continue
    if (Object.keys(driverOptions).length > 0) {
      refuse('has driver options, and tasks have no interface of their own there: leave them out')
    }
    if (networks.length > 1) refuse('goes with no other network: name it alone, or not at all')
    ports.forEach((port, i) => {
      const reason = whyNotPublished(target, port)
      if (reason !== undefined) problems.push({ field: `task.ports[${i}]`, reason })
    })
  }
  return problems
}

/** A container on the host's own network listens on the host's ports by itself, and nothing can be led to it. */
function whyNotPublished(
  network: string,
  { mode, publishedPort, targetPort, sources }: PortSpec,
): string | undefined {
  if (network === 'none') return 'is published, which cannot be on network "none": leave it out'
  if (mode === 'ingress') {
    const remedy = 'the program itself listens on the hosts of its tasks. Leave the port out'
    return `is published on every node, which cannot be on network "host": ${remedy}`
  }
  if (sources.length > 0) {
    return 'has source ranges, which cannot be on network "host": the host\'s firewall says who comes in'
  }
  if (publishedPort === targetPort) return undefined
  const remedy = `publish ${targetPort} as itself, which keeps two of them off one host, or leave it out`
  return `is published as ${publishedPort}, and on network "host" no port becomes another: ${remedy}`
}

function warningsOf({ placement }: TaskSpec): readonly string[] {
  return placement.constraints.flatMap((text) => {
    const parsed = parseConstraint(text)
    return parsed.kind === 'ok' && parsed.constraint.field === 'unknown'
      ? [`constraint "${text}" never matches: nodes have no "${parsed.constraint.key}"`]
      : []
  })
}
