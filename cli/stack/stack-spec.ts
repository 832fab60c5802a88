// What a compose project asks of the swarm: networks, secrets, configs and services with the names they have there.
import { hasCode, SwarmError } from '../../proto/errors.ts'
import { type NetworkSpec, networkDrivers, networkSpec } from '../../proto/spec/network-spec.ts'
import { parseSpec } from '../../proto/spec/parse-spec.ts'
import { type PayloadKind, payloadName } from '../../proto/spec/payload-spec.ts'
import { predefinedOf } from '../../proto/spec/predefined-networks.ts'
import { type ServiceSpec, serviceSpec } from '../../proto/spec/service-spec.ts'
import { circleFaults } from './dependency-order.ts'
import type { Project } from './load-compose.ts'
import { type NamedObject, StackNames } from './names.ts'
import { type At, faultsError, type Notice } from './node.ts'
import type { Findings } from './section.ts'
import { serviceOf } from './service-of.ts'

/** Something that must be there already. */
export interface ExternalObject {
  readonly kind: 'network' | PayloadKind
  readonly name: string
  readonly at: At
  readonly path: string
}

/** A secret or config that the stack makes of a file. */
export interface StackPayload {
  readonly kind: PayloadKind
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly templateDriver: '' | 'golang'
  /** Absolute. */
  readonly file: string
  readonly at: At
  readonly path: string
}

export interface StackService {
  readonly spec: ServiceSpec
  readonly at: At
  readonly path: string
  /** Of a key of the service; of the service when it is not there. */
  readonly placeOf: (key: string) => At
}

export interface StackSpec {
  readonly name: string
  readonly networks: readonly NetworkSpec[]
  readonly payloads: readonly StackPayload[]
  readonly externals: readonly ExternalObject[]
  readonly services: readonly StackService[]
  readonly notices: readonly Notice[]
}

/** As Swarm, blanks and quotes around do not count. Errors: USAGE. */
export function stackName(text: string): string {
  const name = text.replace(/^[\s'"]+|[\s'"]+$/g, '')
  if (name === '') throw new SwarmError('USAGE', `invalid stack name: ${JSON.stringify(text)}`)
  return name
}

/** Errors: INVALID_ARGUMENT with all that no stack may be or this version has not, each with file, line and column. */
export function stackSpec(name: string, project: Project): StackSpec {
  const findings: Findings = { faults: [], notices: [] }
  const names = new StackNames(name, project.root, findings)
  const services = names.services().flatMap(([key, section]): readonly StackService[] => {
    const spec = serviceOf(key, section, names)
    const placeOf = (of: string): At => section.at(of)
    return spec === undefined ? [] : [{ spec, at: section.at(), path: section.path, placeOf }]
  })
  const { networks, externals } = networksOf(names)
  const payloads = (['secret', 'config'] as const).flatMap((kind) => payloadsOf(names, kind))
  const externalPayloads = (['secret', 'config'] as const).flatMap((kind) =>
    externalsOf(names, kind),
  )
  const faults = [...findings.faults, ...circleFaults(services)]
  if (faults.length > 0) throw faultsError(faults)
  return {
    name,
    networks,
    payloads,
    externals: [...externals, ...externalPayloads],
    services,
    notices: findings.notices,
  }
}

function external(kind: ExternalObject['kind'], { name, section }: NamedObject): ExternalObject {
  return { kind, name, at: section.at(), path: section.path }
}

/** As Swarm's client, only those that a service uses. */
function externalsOf(names: StackNames, kind: PayloadKind): readonly ExternalObject[] {
  const used = new Set(
    names
      .services()
      .flatMap(([, section]) => section.sections(`${kind}s`).map((use) => use.text('source'))),
  )
  return names.objects(`${kind}s`).flatMap((object): readonly ExternalObject[] => {
    if (!object.isExternal) return []
    if (used.has(object.key)) return [external(kind, object)]
    object.section.notice('', 'is not looked for: no service uses it')
    return []
  })
}

/** Only those that a service is on; a service that names none is on `default`. */
function networksOf(names: StackNames): Pick<StackSpec, 'networks' | 'externals'> {
  const used = new Set(
    names.services().flatMap(([, section]) => section.section('networks')?.keys() ?? ['default']),
  )
  const networks: NetworkSpec[] = []
  const externals: ExternalObject[] = []
  for (const object of names.objects('networks')) {
    if (!used.has(object.key)) {
      object.section.notice('', 'is not made: no service is on it')
    } else if (object.isExternal) {
      if (predefinedOf(object.name) === undefined) externals.push(external('network', object))
    } else {
      const spec = networkOf(object)
      if (spec !== undefined) networks.push(spec)
    }
  }
  if (used.has('default') && names.object('networks', 'default') === undefined) {
    const input = { name: names.scoped('default'), labels: names.labelled({}) }
    networks.push(parseSpec(networkSpec, input, `network "${input.name}"`))
  }
  return { networks, externals }
}

function networkOf({ name, labels, section }: NamedObject): NetworkSpec | undefined {
  const ipam = section.section('ipam')
  const driver = section.text('driver') ?? 'overlay'
  if (!networkDrivers.some((known) => known === driver)) {
    return section.fault(
      'driver',
      `"${driver}" is not available: networks of a swarm are of the driver overlay or bridge`,
    )
  }
  if (!['', 'default'].includes(ipam?.text('driver') ?? '')) {
    return ipam?.fault('driver', 'must be default')
  }
  const subnets = (ipam?.sections('config') ?? []).flatMap((pool) => {
    const subnet = pool.text('subnet')
    return subnet === undefined ? [] : [{ subnet }]
  })
  const input = {
    name,
    labels,
    driver,
    subnets,
    ipv6: subnets.some(({ subnet }) => subnet.includes(':')),
    isInternal: section.bool('internal') ?? false,
    isAttachable: section.bool('attachable') ?? false,
    options: section.pairs('driver_opts'),
  }
  try {
    return parseSpec(networkSpec, input, `network "${name}"`)
  } catch (err) {
    if (!hasCode(err, 'INVALID_ARGUMENT')) throw err
    return section.fault('', err.message)
  }
}

function payloadsOf(names: StackNames, kind: PayloadKind): readonly StackPayload[] {
  return names.objects(`${kind}s`).flatMap((object): readonly StackPayload[] => {
    const { name, labels, section, isExternal } = object
    if (isExternal) return []
    if (section.has('driver')) {
      return section.fault('driver', 'is not available in this version: use file or external') ?? []
    }
    const template = section.text('template_driver') ?? ''
    if (template !== '' && template !== 'golang') {
      return section.fault('template_driver', `must be golang, not "${template}"`) ?? []
    }
    const parsed = payloadName.safeParse(name)
    if (!parsed.success) {
      return section.fault('', `the name "${name}" ${parsed.error.issues[0]?.message}`) ?? []
    }
    const file = section.text('file') ?? ''
    const place = { at: section.at('file'), path: section.pathOf('file') }
    return [{ kind, name, labels, templateDriver: template, file, ...place }]
  })
}

/** The spec with defaults filled in, so that two of them can be compared. */
export function wholeSpec(spec: ServiceSpec): ServiceSpec {
  return parseSpec(serviceSpec, spec, `service "${spec.name}"`)
}
