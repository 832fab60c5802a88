// From a task and its spec to what the executor is asked to make. Names and labels are those Swarm's users know.
import { SwarmError } from '../proto/errors.ts'
import { expandTemplate, type TemplateContext } from '../proto/go-template/task-template.ts'
import { type AssignedTask, genericEnv, type NodeId } from '../proto/objects/index.ts'
import { saysNothing } from '../proto/spec/dns-spec.ts'
import { logAttributes, logKeeping, tellsDetails } from '../proto/spec/log-driver-spec.ts'
import { isSlotVolume } from '../proto/spec/mount-spec.ts'
import type { ContainerSpec, MountSpec, PortSpec, TaskSpec } from '../proto/spec/service-spec.ts'
import {
  type BindMount,
  type ContainerConfig,
  type Mount,
  serviceIdLabel,
} from './executor/executor.ts'
import type { ContainerNetwork } from './executor/network-attacher.ts'
import type { NetworkProber } from './health/network-prober.ts'
import type { TargetPort } from './listening-ports.ts'
import type { PayloadSource } from './payload-store.ts'

/** What a task's container is told of its host. */
export interface HostFacts {
  readonly nodeId: NodeId
  readonly hostname: string
  readonly os: string
  readonly architecture: string
  readonly network: (task: AssignedTask, spec: TaskSpec) => ContainerNetwork
  /** Whether the container of that process waits on all these ports; absent: as if it did. */
  readonly isListening?: (pid: number, ports: readonly TargetPort[]) => Promise<boolean>
  /** Resolves once this host leads connections as the cluster says, or was given time for it; absent: it does. */
  readonly untilFollowed?: (signal: AbortSignal) => Promise<void>
  /** Secrets and configs that managers have sent; absent: none. */
  readonly payloads?: PayloadSource
  /** Asks containers over the network; absent: nobody can. */
  readonly networkProber?: Pick<NetworkProber, 'ask' | 'askHost'>
  /** Whether programs can use SCTP here; absent: they can. */
  readonly hasSctp?: () => Promise<boolean>
}

/** Marks containers of the cluster, and names their task. */
export const taskIdLabel = 'com.docker.swarm.task.id'

/** `<service>.<slot>`, or `<service>.<node id>` of one without slot, as users see it. */
export function taskName(task: AssignedTask, host: Pick<HostFacts, 'nodeId'>): string {
  return `${task.serviceName}.${placeName(task, host)}`
}

function placeName({ isForNode, slot }: AssignedTask, host: Pick<HostFacts, 'nodeId'>): string {
  return isForNode ? host.nodeId : String(slot)
}

/** The container of a task; its id is the task's, so that a repeated create is recognised. Errors: INVALID_ARGUMENT. */
export function containerConfig(
  task: AssignedTask,
  spec: TaskSpec,
  host: HostFacts,
): ContainerConfig {
  const { container } = spec
  const expand = templateOf(task, host)
  const limits = spec.limits
  const network = host.network(task, spec)
  const env = [
    ...container.env.map((line) => expand(line, `env ${line.split('=', 1)[0]}`)),
    ...genericEnv(task.generic),
  ]
  const labels = { ...container.labels, ...swarmLabels(task, host) }
  return {
    id: task.id,
    name: `${taskName(task, host)}.${task.id}`,
    image: container.image,
    ...entryOf(container),
    env,
    ...(container.workdir === '' ? {} : { workdir: container.workdir }),
    ...(container.user === '' ? {} : { user: container.user }),
    groups: container.groups,
    ...hostnameOf(container, network, { expand, host }),
    labels,
    mounts: container.mounts.map((mount) => mountOf(mount, expand)),
    hosts: container.hosts.map(hostsLine),
    readOnly: container.readOnly,
    tty: container.tty,
    ...(container.openStdin ? { openStdin: true } : {}),
    ...(container.init === undefined ? {} : { init: container.init }),
    ...(container.stopSignal === '' ? {} : { stopSignal: container.stopSignal }),
    stopGraceMs: container.stopGraceMs,
    resources: {
      nanoCpus: limits.nanoCpus,
      memoryBytes: limits.memoryBytes,
      pids: limits.pids,
    },
    capAdd: container.capAdd,
    capDrop: container.capDrop,
    sysctls: container.sysctls,
    ulimits: container.ulimits,
    ...(saysNothing(spec.dns) ? {} : { dns: spec.dns }),
    ...logOf(container, labels, env),
    ...(container.noNewPrivileges ? { noNewPrivileges: true } : {}),
    ...(container.security === undefined ? {} : { security: container.security }),
    ...(container.runtime === undefined ? {} : { runtime: container.runtime }),
    ...(spec.tuning === undefined ? {} : { tuning: spec.tuning }),
    ...(spec.oomScoreAdj === 0 ? {} : { oomScoreAdj: spec.oomScoreAdj }),
    network,
  }
}

function logOf(
  { logDriver }: ContainerSpec,
  labels: ContainerConfig['labels'],
  env: readonly string[],
): Pick<ContainerConfig, 'log'> {
  if (logDriver === undefined) return {}
  const log = logKeeping(logDriver)
  if (log.kind === 'none' || !tellsDetails(logDriver)) return { log }
  return { log: { ...log, attributes: logAttributes(logDriver, labels, env) } }
}

/** On the host's own network a container has the host's name, as under Docker. */
function hostnameOf(
  { hostname }: ContainerSpec,
  network: ContainerNetwork,
  { expand, host }: { readonly expand: Expand; readonly host: HostFacts },
): Pick<ContainerConfig, 'hostname'> {
  if (hostname !== '') return { hostname: checkedHostname(expand(hostname, 'hostname')) }
  return network.kind === 'host' ? { hostname: host.hostname } : {}
}

/** The kernel takes 64 characters; names of the DNS have at most 63 between dots. */
const hostnameCharactersMax = 64

function checkedHostname(name: string): string {
  if (name.length <= hostnameCharactersMax) return name
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `hostname: "${name}" has ${name.length} characters, and at most ${hostnameCharactersMax} are possible: shorten its template`,
  )
}

/** The host ports of a spec as the executor's networks want them. */
export function hostPortsOf(ports: readonly PortSpec[]): readonly {
  readonly protocol: PortSpec['protocol']
  readonly targetPort: number
  readonly publishedPort: number
  readonly bindAddress?: string
  readonly isFirewallFirst?: boolean
  readonly sources?: readonly string[]
}[] {
  return ports.flatMap(({ mode, protocol, targetPort, publishedPort, ...rest }) => {
    if (mode !== 'host') return []
    const { bindAddress, isFirewallFirst, sources } = rest
    const bound = bindAddress === '' ? {} : { bindAddress }
    const first = isFirewallFirst ? { isFirewallFirst } : {}
    const limited = sources.length === 0 ? {} : { sources }
    return [{ protocol, targetPort, publishedPort, ...bound, ...first, ...limited }]
  })
}

type Expand = (text: string, field: string) => string

/** What placeholders of a task stand for on this host. */
export function templateContext(task: AssignedTask, host: HostFacts): TemplateContext {
  return {
    service: { id: task.serviceId, name: task.serviceName, labels: task.serviceLabels },
    node: {
      id: host.nodeId,
      hostname: host.hostname,
      os: host.os,
      architecture: host.architecture,
    },
    task: {
      id: task.id,
      name: `${taskName(task, host)}.${task.id}`,
      slot: placeName(task, host),
    },
  }
}

function templateOf(task: AssignedTask, host: HostFacts): Expand {
  const context = templateContext(task, host)
  return (text, field) => expandTemplate(text, field, context)
}

function entryOf({ command, args }: ContainerSpec): Partial<ContainerConfig> {
  return {
    ...(command.length === 0 ? {} : { entrypoint: command }),
    ...(args.length === 0 ? {} : { args }),
  }
}

function swarmLabels(task: AssignedTask, host: HostFacts): Readonly<Record<string, string>> {
  return {
    'com.docker.swarm.task': '',
    [taskIdLabel]: task.id,
    'com.docker.swarm.task.name': `${taskName(task, host)}.${task.id}`,
    'com.docker.swarm.node.id': host.nodeId,
    [serviceIdLabel]: task.serviceId,
    'com.docker.swarm.service.name': task.serviceName,
  }
}

function mountOf(mount: MountSpec, expand: Expand): Mount {
  const { readOnly } = mount
  const source = expand(mount.source, `mount ${mount.target} source`)
  const target = expand(mount.target, 'mount target')
  switch (mount.kind) {
    case 'bind':
      return {
        kind: 'bind',
        source,
        target,
        readOnly,
        createSource: mount.bindCreate,
        nonRecursive: mount.bindNonRecursive,
        readOnlyRecursion: recursionOf(mount),
        ...(mount.bindPropagation === '' ? {} : { propagation: mount.bindPropagation }),
      }
    case 'volume':
      return {
        kind: 'volume',
        ...(source === '' ? {} : { name: source }),
        target,
        readOnly,
        noCopy: mount.volumeNoCopy,
        labels: expandValues(mount.volumeLabels, `mount ${target} volume label`, expand),
        options: expandValues(mount.volumeOptions, `mount ${target} volume option`, expand),
        isSlots: isSlotVolume(mount),
        ...(mount.volumeSubpath === '' ? {} : { subpath: mount.volumeSubpath }),
      }
    case 'tmpfs':
      return {
        kind: 'tmpfs',
        target,
        readOnly,
        ...(mount.tmpfsSizeBytes === 0 ? {} : { sizeBytes: mount.tmpfsSizeBytes }),
        ...(mount.tmpfsMode === 0 ? {} : { mode: mount.tmpfsMode }),
      }
  }
}

function expandValues(
  map: Readonly<Record<string, string>>,
  what: string,
  expand: Expand,
): Readonly<Record<string, string>> {
  const entries = Object.entries(map)
  return Object.fromEntries(entries.map(([key, text]) => [key, expand(text, `${what} ${key}`)]))
}

function recursionOf(mount: MountSpec): NonNullable<BindMount['readOnlyRecursion']> {
  if (mount.readOnlyForceRecursive) return 'required'
  return mount.readOnlyNonRecursive ? 'none' : 'possible'
}

/** From the spec's `host:address` to a line of /etc/hosts; an IPv6 address has colons of its own. */
function hostsLine(text: string): string {
  const colon = text.indexOf(':')
  return `${text.slice(colon + 1)} ${text.slice(0, colon)}`
}
