// Parts of a compose service as parts of a service's spec: ports, mounts, health, policies, resources.
import type { MountSpec, PortSpec, ServiceSpecInput } from '../../proto/spec/service-spec.ts'
import { defined } from '../service/defined.ts'
import { parsePublish } from '../service/publish.ts'
import { parseNanoCpus } from '../units.ts'
import { textsOf } from './extras.ts'
import type { StackNames } from './names.ts'
import type { Section } from './section.ts'

type TaskInput = ServiceSpecInput['task']
type ContainerInput = TaskInput['container']
type HealthInput = NonNullable<ContainerInput['healthcheck']>

export function portsOf(service: Section): TaskInput['ports'] {
  const ports = service.sections('ports').flatMap((port) => {
    const targetPort = port.number('target')
    if (targetPort === undefined) return port.fault('target', 'is required') ?? []
    const protocol = wordOf(port, 'protocol', protocols) ?? 'tcp'
    const mode = wordOf(port, 'mode', modes) ?? 'ingress'
    return [{ targetPort, publishedPort: port.number('published') ?? 0, protocol, mode }]
  })
  return [...ports, ...textsOf(service, 'x-publish').flatMap((text) => publishedOf(service, text))]
}

/** What the format has no words for (a bind address, source ranges), in the words of `service create --publish`. */
function publishedOf(service: Section, text: string): readonly PortSpec[] {
  try {
    return parsePublish(text)
  } catch (err) {
    service.fault('x-publish', `"${text}": ${err instanceof Error ? err.message : String(err)}`)
    return []
  }
}

const protocols = ['tcp', 'udp', 'sctp'] as const satisfies readonly PortSpec['protocol'][]
const modes = ['ingress', 'host'] as const satisfies readonly PortSpec['mode'][]

/** One of some words; a fault when it is another. */
export function wordOf<const W extends string>(
  section: Section,
  key: string,
  words: readonly W[],
): W | undefined {
  const text = section.text(key)
  const word = words.find((candidate) => candidate === text)
  if (text === undefined || word !== undefined) return word
  return section.fault(key, `must be one of ${words.join(', ')}, not "${text}"`)
}

const consistencies = ['default', 'consistent', 'cached', 'delegated'] as const

const propagations = [
  'rprivate',
  'private',
  'rshared',
  'shared',
  'rslave',
  'slave',
] as const satisfies readonly MountSpec['bindPropagation'][]

type MountInput = NonNullable<ContainerInput['mounts']>[number]

export function mountsOf(service: Section, names: StackNames): readonly MountInput[] {
  return service.sections('volumes').flatMap((mount) => mountOf(mount, names) ?? [])
}

function mountOf(mount: Section, names: StackNames): MountInput | undefined {
  const kind = mount.text('type') ?? ''
  const target = mount.text('target')
  if (target === undefined) return mount.fault('target', 'is required')
  if (!target.startsWith('/')) {
    const drive = /^\p{L}:/u.test(target)
      ? ': a single letter before a colon is a drive of Windows; use a longer name for the volume'
      : ''
    return mount.fault('target', `"${target}" must be an absolute path in the container${drive}`)
  }
  refuseForeign(mount, kind)
  const consistency = wordOf(mount, 'consistency', consistencies)
  const shared = {
    target,
    readOnly: mount.bool('read_only') ?? false,
    ...defined({ consistency }),
  }
  switch (kind) {
    case 'bind': {
      const source = mount.text('source') ?? ''
      const bind = mount.section('bind')
      const propagation = bind === undefined ? undefined : wordOf(bind, 'propagation', propagations)
      return { kind, source, ...shared, ...defined({ bindPropagation: propagation }) }
    }
    case 'tmpfs':
      if (mount.has('source')) return mount.fault('source', 'does not go with type tmpfs')
      return { kind, ...shared, tmpfsSizeBytes: mount.section('tmpfs')?.number('size') ?? 0 }
    case 'volume':
      return volumeMount(mount, names, shared)
    default:
      return mount.fault('type', `"${kind}" is not available: it may be bind, volume or tmpfs`)
  }
}

function refuseForeign(mount: Section, kind: string): void {
  for (const key of ['bind', 'volume', 'tmpfs']) {
    if (mount.has(key) && key !== kind) mount.fault(key, `does not go with type ${kind}`)
  }
}

function volumeMount(
  mount: Section,
  names: StackNames,
  shared: { readonly target: string; readonly readOnly: boolean },
): MountInput | undefined {
  const source = mount.text('source')
  const options = mount.section('volume')
  const own = {
    kind: 'volume' as const,
    ...shared,
    volumeNoCopy: options?.bool('nocopy') ?? false,
    volumeSubpath: options?.text('subpath') ?? '',
  }
  if (source === undefined) return own
  const volume = names.volume(source)
  if (volume === undefined) {
    return mount.fault('source', `volume "${source}" is not under the top-level "volumes"`)
  }
  if (volume.isExternal) return { ...own, source: volume.name }
  return {
    ...own,
    source: volume.name,
    volumeLabels: volume.labels,
    volumeDriver: volume.driver,
    volumeOptions: volume.options,
  }
}

/** Undefined: as the image says. */
export function healthcheckOf(service: Section): HealthInput | undefined {
  const check = service.section('healthcheck')
  const probe = probeOf(service)
  if (check === undefined) return probe === undefined ? undefined : probe
  const test = check.texts('test')
  if (check.bool('disable') === true) {
    if (test.length > 0 && test[0] !== 'NONE') check.fault('disable', 'does not go with "test"')
    return { test: ['NONE'] }
  }
  if (probe !== undefined && test.length > 0) check.fault('test', 'does not go with x-healthcheck')
  if (test[0] === 'NONE') return { test: ['NONE'] }
  const found = {
    ...(test.length > 0 ? { test } : {}),
    ...defined({
      intervalMs: check.ms('interval'),
      timeoutMs: check.ms('timeout'),
      retries: check.number('retries'),
      startPeriodMs: check.ms('start_period'),
      startIntervalMs: check.ms('start_interval'),
    }),
    ...probe,
  }
  return Object.keys(found).length === 0 ? undefined : found
}

/** `x-healthcheck: {http: {port: 80, path: /up}}` or `{tcp: {port: 5432}}`: the node itself asks. */
function probeOf(service: Section): Pick<HealthInput, 'http' | 'tcp'> | undefined {
  const extra = service.section('x-healthcheck')
  if (extra === undefined) return undefined
  const http = extra.section('http')
  const tcp = extra.section('tcp')
  for (const key of extra.keys()) {
    if (key !== 'http' && key !== 'tcp') extra.fault(key, 'is no probe: write http or tcp')
  }
  const port = http?.number('port') ?? tcp?.number('port')
  if (port === undefined || (http === undefined) === (tcp === undefined)) {
    return service.fault(
      'x-healthcheck',
      'must be {http: {port: 80, path: /up}} or {tcp: {port: 80}}',
    )
  }
  return tcp === undefined
    ? { http: { port, ...defined({ path: http?.text('path') }) } }
    : { tcp: { port } }
}

type PolicyInput = NonNullable<ServiceSpecInput['rollback']>

export function policyOf(
  section: Section | undefined,
  actions: readonly ('pause' | 'continue' | 'rollback')[],
): NonNullable<ServiceSpecInput['update']> | undefined {
  if (section === undefined) return undefined
  const monitorMs = section.ms('monitor')
  return defined({
    parallelism: section.number('parallelism'),
    delayMs: section.ms('delay'),
    // None is the default, as in Swarm.
    monitorMs: monitorMs === 0 ? undefined : monitorMs,
    maxFailureRatio: section.number('max_failure_ratio'),
    order: wordOf(section, 'order', ['stop-first', 'start-first']),
    failureAction: wordOf(section, 'failure_action', actions),
  })
}

export function rollbackPolicyOf(section: Section | undefined): PolicyInput | undefined {
  const found = policyOf(section, ['pause', 'continue'])
  if (found === undefined) return undefined
  const { failureAction, ...rest } = found
  return { ...rest, ...(failureAction === 'continue' ? { failureAction } : {}) }
}

const conditions = ['none', 'on-failure', 'any'] as const

/** `restart` counts where deploy.restart_policy is absent. */
export function restartOf(service: Section): TaskInput['restart'] {
  const policy = service.section('deploy')?.section('restart_policy')
  if (policy !== undefined) {
    return defined({
      condition: wordOf(policy, 'condition', conditions),
      delayMs: policy.ms('delay'),
      maxAttempts: policy.number('max_attempts'),
      windowMs: policy.ms('window'),
    })
  }
  const restart = service.text('restart')
  const match = /^(no|always|unless-stopped|on-failure)(?::(\d+))?$/.exec(restart ?? 'no')
  if (match === null || (match[2] !== undefined && match[1] !== 'on-failure')) {
    return service.fault(
      'restart',
      `"${restart}" must be no, always, unless-stopped or on-failure[:N]`,
    )
  }
  if (restart === 'no')
    service.notice('restart', 'has no effect: use deploy.restart_policy.condition: none')
  if (match[1] === 'no') return undefined
  if (match[1] !== 'on-failure') return { condition: 'any' }
  return { condition: 'on-failure', maxAttempts: Number(match[2] ?? 0) }
}

type Resources = NonNullable<TaskInput['limits']>

export function resourcesOf(section: Section | undefined): Resources {
  if (section === undefined) return {}
  const memory = section.text('memory')
  return defined({
    nanoCpus: cpusOf(section),
    memoryBytes: memory === undefined ? undefined : Number(memory),
    pids: section.number('pids'),
    generic: genericOf(section),
  })
}

function cpusOf(section: Section): number | undefined {
  const cpus = section.text('cpus')
  if (cpus === undefined) return undefined
  try {
    return parseNanoCpus(cpus)
  } catch (err) {
    return section.fault('cpus', err instanceof Error ? err.message : String(err))
  }
}

function genericOf(section: Section): Resources['generic'] {
  const found = section.sections('generic_resources').flatMap((item) => {
    const discrete = item.section('discrete_resource_spec')
    const kind = discrete?.text('kind')
    const count = discrete?.number('value')
    if (kind !== undefined && count !== undefined && count > 0) return [{ kind, count }]
    return item.fault('discrete_resource_spec', 'must have a kind and a value of at least 1') ?? []
  })
  return found.length === 0 ? undefined : found
}
