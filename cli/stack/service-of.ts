// A service of a compose project as the spec of a service of the swarm. Source: swarm-semantics 4.
import { hasCode } from '../../proto/errors.ts'
import { type DependencySpec, dependencyConditions } from '../../proto/spec/dependency-spec.ts'
import { whyNoEndpointOptions } from '../../proto/spec/endpoint-options.ts'
import { parseSpec } from '../../proto/spec/parse-spec.ts'
import { predefinedOf } from '../../proto/spec/predefined-networks.ts'
import {
  type NetworkUse,
  type ServiceSpec,
  type ServiceSpecInput,
  serviceSpec,
} from '../../proto/spec/service-spec.ts'
import { capability } from '../service/create-spec.ts'
import { defined } from '../service/defined.ts'
import { dnsOf } from './dns-of.ts'
import { checkServiceKeys } from './ignored-keys.ts'
import { modeOf } from './mode-of.ts'
import { imageLabel, type StackNames } from './names.ts'
import { rightsOf, runtimeOf, tuningOf } from './options-of.ts'
import type { Section } from './section.ts'
import {
  healthcheckOf,
  mountsOf,
  policyOf,
  portsOf,
  resourcesOf,
  restartOf,
  rollbackPolicyOf,
  wordOf,
} from './service-parts.ts'

type TaskInput = ServiceSpecInput['task']
type ContainerInput = TaskInput['container']

/**
 * The spec, networks, secrets and configs in it by name. Undefined: it has faults, which are told where the section's
 * findings are kept.
 */
export function serviceOf(
  key: string,
  service: Section,
  names: StackNames,
): ServiceSpec | undefined {
  checkServiceKeys(service)
  const image = service.text('image')
  if (image === undefined) return service.fault('image', 'is required: images are not built')
  const deploy = service.section('deploy')
  const update = policyOf(deploy?.section('update_config'), ['pause', 'continue', 'rollback'])
  const rollback = rollbackPolicyOf(deploy?.section('rollback_config'))
  const input: ServiceSpecInput = {
    name: names.scoped(key),
    labels: { ...names.labelled(deploy?.pairs('labels') ?? {}), [imageLabel]: image },
    task: taskOf({ key, image }, service, names),
    ...defined({
      mode: modeOf(service),
      endpointMode: deploy && wordOf(deploy, 'endpoint_mode', ['vip', 'dnsrr']),
      update,
      rollback,
    }),
  }
  return checked(input, service)
}

function taskOf(
  { key, image }: { readonly key: string; readonly image: string },
  service: Section,
  names: StackNames,
): TaskInput {
  const deploy = service.section('deploy')
  const resources = deploy?.section('resources')
  const placement = deploy?.section('placement')
  const networks = networksOf(key, service, names)
  return {
    container: containerOf(image, service, names),
    limits: resourcesOf(resources?.section('limits')),
    reservations: resourcesOf(resources?.section('reservations')),
    placement: {
      constraints: [...(placement?.texts('constraints') ?? [])],
      spread: (placement?.sections('preferences') ?? []).map((item) => item.text('spread') ?? ''),
      maxReplicasPerNode: placement?.number('max_replicas_per_node') ?? 0,
    },
    ports: portsOf(service),
    networks,
    dependsOn: dependenciesOf(service, names),
    dns: dnsOf(service),
    ...defined({
      restart: restartOf(service),
      oomScoreAdj: service.number('oom_score_adj'),
      tuning: tuningOf(service),
    }),
  }
}

function containerOf(image: string, service: Section, names: StackNames): ContainerInput {
  return {
    image,
    labels: names.labelled(service.pairs('labels')),
    command: [...service.texts('entrypoint')],
    args: [...service.texts('command')],
    env: environmentOf(service),
    groups: [],
    tty: service.bool('tty') ?? false,
    openStdin: service.bool('stdin_open') ?? false,
    readOnly: service.bool('read_only') ?? false,
    mounts: [...mountsOf(service, names)],
    capAdd: service.texts('cap_add').map(capability),
    capDrop: service.texts('cap_drop').map(capability),
    hosts: service.texts('extra_hosts').map((host) => host.replace('=', ':')),
    sysctls: service.pairs('sysctls'),
    ulimits: ulimitsOf(service),
    secrets: payloadsOf(service, 'secrets', names),
    configs: payloadsOf(service, 'configs', names),
    ...rightsOf(service),
    ...defined({
      hostname: service.text('hostname'),
      workdir: service.text('working_dir'),
      user: service.text('user'),
      runtime: runtimeOf(service),
      init: service.bool('init'),
      stopSignal: service.text('stop_signal'),
      stopGraceMs: service.ms('stop_grace_period'),
      healthcheck: healthcheckOf(service),
      logDriver: logDriverOf(service),
    }),
  }
}

/** A variable without a value is not there. */
function environmentOf(service: Section): string[] {
  const section = service.section('environment')
  return (section?.keys() ?? []).flatMap((name) => {
    const value = section?.text(name)
    if (value !== undefined) return [`${name}=${value}`]
    section?.notice(name, 'is left out: it has no value here and none in the environment')
    return []
  })
}

/** Without a driver its options are those of json-file, as on a daemon of Docker's that says nothing else. */
function logDriverOf(service: Section): ContainerInput['logDriver'] {
  const logging = service.section('logging')
  if (logging === undefined) return undefined
  return { name: logging.text('driver') ?? 'json-file', options: logging.pairs('options') }
}

function ulimitsOf(service: Section): { name: string; soft: number; hard: number }[] {
  const section = service.section('ulimits')
  return (section?.keys() ?? []).map((name) => {
    const both = section?.section(name)
    const single = section?.number(name) ?? 0
    return { name, soft: both?.number('soft') ?? single, hard: both?.number('hard') ?? single }
  })
}

function networksOf(key: string, service: Section, names: StackNames): readonly NetworkUse[] {
  const section = service.section('networks')
  const keys = section?.keys() ?? ['default']
  return keys.flatMap((name) => {
    const network = names.object('networks', name)
    if (network === undefined && name !== 'default') {
      return section?.fault(name, `network "${name}" is not under the top-level "networks"`) ?? []
    }
    const target = network?.name ?? names.scoped(name)
    const use = section?.section(name)
    const driverOptions = use?.pairs('driver_opts') ?? {}
    const why = whyNoEndpointOptions(driverOptions)
    if (why !== undefined) return use?.fault('driver_opts', why) ?? []
    // Those of the node have no names of services.
    if (predefinedOf(target) !== undefined) return [{ target, aliases: [], driverOptions }]
    const aliases = use?.texts('aliases') ?? []
    return [{ target, aliases: [...new Set([...aliases, key])], driverOptions }]
  })
}

function payloadsOf(
  service: Section,
  kind: 'secrets' | 'configs',
  names: StackNames,
): NonNullable<ContainerInput['secrets']> {
  return service.sections(kind).flatMap((use) => {
    const source = use.text('source') ?? ''
    const object = names.object(kind, source)
    if (object === undefined) {
      return use.fault('source', `"${source}" is not under the top-level "${kind}"`) ?? []
    }
    const own = defined({ uid: use.text('uid'), gid: use.text('gid'), mode: use.number('mode') })
    return [{ source: object.name, target: use.text('target') ?? source, ...own }]
  })
}

/** `depends_on` waits until the service has started; `x-depends-on: {db: healthy}` for more. */
function dependenciesOf(service: Section, names: StackNames): readonly DependencySpec[] {
  const known = new Set(names.services().map(([name]) => name))
  const found = new Map<string, DependencySpec>()
  for (const name of service.texts('depends_on')) {
    if (!known.has(name)) service.fault('depends_on', `the files have no service "${name}"`)
    else found.set(name, { service: names.scoped(name), condition: 'started' })
  }
  const more = service.section('x-depends-on')
  for (const name of more?.keys() ?? []) {
    const word = more?.text(name)?.replace(/^service_/, '')
    const condition = dependencyConditions.find((candidate) => candidate === word)
    if (condition === undefined) {
      more?.fault(name, `must be one of ${dependencyConditions.join(', ')}`)
    } else if (!known.has(name)) more?.fault(name, `the files have no service "${name}"`)
    else found.set(name, { service: names.scoped(name), condition })
  }
  return [...found.values()]
}

/** Which key a field of a spec comes from. */
const keys: readonly (readonly [string, string])[] = [
  ['mode', 'deploy'],
  ['task.limits', 'deploy'],
  ['task.reservations', 'deploy'],
  ['task.restart', 'deploy'],
  ['task.placement', 'deploy'],
  ['update', 'deploy'],
  ['rollback', 'deploy'],
  ['labels', 'deploy'],
  ['task.ports', 'ports'],
  ['task.networks', 'networks'],
  ['task.dependsOn', 'depends_on'],
  ['task.dns.nameservers', 'dns'],
  ['task.dns.search', 'dns_search'],
  ['task.dns.options', 'x-dns-opt'],
  ['task.oomScoreAdj', 'oom_score_adj'],
  ['task.tuning', 'x-tuning'],
  ['task.container.image', 'image'],
  ['task.container.labels', 'labels'],
  ['task.container.env', 'environment'],
  ['task.container.mounts', 'volumes'],
  ['task.container.hosts', 'extra_hosts'],
  ['task.container.healthcheck', 'healthcheck'],
  ['task.container.secrets', 'secrets'],
  ['task.container.configs', 'configs'],
  ['task.container.ulimits', 'ulimits'],
  ['task.container.security.devices', 'x-devices'],
  ['task.container.security.privileged', 'x-privileged'],
  ['task.container.security.hostUsers', 'userns_mode'],
  ['task.container.security', 'security_opt'],
  ['task.container.hostname', 'hostname'],
  ['task.container.stopSignal', 'stop_signal'],
  ['task.container.stopGraceMs', 'stop_grace_period'],
  ['task.container.capAdd', 'cap_add'],
  ['task.container.logDriver', 'logging'],
  ['task.container.capDrop', 'cap_drop'],
  ['task.container.user', 'user'],
  ['task.container.runtime', 'runtime'],
  ['task.container.workdir', 'working_dir'],
  ['task.container.sysctls', 'sysctls'],
  ['task.container.command', 'entrypoint'],
  ['task.container.args', 'command'],
  ['endpointMode', 'deploy'],
]

/** The key whose value the field comes from; the service itself when it cannot be told. */
export function keyOfField(field: string): string {
  return keys.find(([prefix]) => field.startsWith(prefix))?.[1] ?? ''
}

function checked(input: ServiceSpecInput, service: Section): ServiceSpec | undefined {
  try {
    return parseSpec(serviceSpec, input, `service "${input.name}"`)
  } catch (err) {
    if (!hasCode(err, 'INVALID_ARGUMENT')) throw err
    return service.fault(keyOfField(String(err.details.field ?? '')), err.message)
  }
}
