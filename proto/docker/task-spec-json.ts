// A task spec as Docker's API shows it (TaskTemplate of a service, Spec of a task).
import type {
  ContainerSpec,
  DependencySpec,
  MountSpec,
  NetworkUse,
  PlacementSpec,
  ResourceSpec,
  RestartPolicy,
  TaskSpec,
} from '../spec/service-spec.ts'
import { genericJson } from './generic-json.ts'
import { healthcheckJson } from './healthcheck-json.ts'
import { type Json, nanoseconds, omitEmpty } from './json.ts'
import { privilegesJson, tuningJson } from './options-json.ts'
import { payloadUseJson } from './payload-json.ts'

/** Docker's TaskSpec. */
export function taskSpecJson(spec: TaskSpec): Json {
  return {
    ContainerSpec: { ...containerJson(spec.container), ...hostJson(spec) },
    Resources: {
      Limits: resourcesJson(spec.limits),
      Reservations: resourcesJson(spec.reservations),
      ...tuningJson(spec.tuning),
    },
    RestartPolicy: restartJson(spec.restart),
    Placement: placementJson(spec.placement),
    ...omitEmpty({ Networks: spec.networks.map(networkJson) }),
    ...logDriverJson(spec.container),
    ForceUpdate: spec.forceUpdate,
    ...omitEmpty({ DependsOn: spec.dependsOn.map(dependencyJson) }),
    Runtime: 'container',
  }
}

function hostJson({ dns, oomScoreAdj }: TaskSpec): Readonly<Record<string, Json>> {
  const { nameservers, search, options } = dns
  return omitEmpty({
    DNSConfig: omitEmpty({ Nameservers: nameservers, Search: search, Options: options }),
    OomScoreAdj: oomScoreAdj,
  })
}

function logDriverJson({ logDriver }: ContainerSpec): Readonly<Record<string, Json>> {
  if (logDriver === undefined) return {}
  const { name, options } = logDriver
  return { LogDriver: { Name: name, ...omitEmpty({ Options: options }) } }
}

/** Ours: Docker's API knows nothing of it. */
function dependencyJson({ service, condition }: DependencySpec): Json {
  return { Service: service, Condition: condition }
}

function networkJson({ target, aliases, driverOptions }: NetworkUse): Json {
  return { Target: target, ...omitEmpty({ Aliases: aliases, DriverOpts: driverOptions }) }
}

function containerJson(container: ContainerSpec): Readonly<Record<string, Json>> {
  return {
    Image: container.image,
    ...omitEmpty({
      Labels: container.labels,
      Command: container.command,
      Args: container.args,
      Hostname: container.hostname,
      Env: container.env,
      Dir: container.workdir,
      User: container.user,
      Groups: container.groups,
      TTY: container.tty,
      OpenStdin: container.openStdin,
      ReadOnly: container.readOnly,
      StopSignal: container.stopSignal,
    }),
    ...omitEmpty({ Privileges: privilegesJson(container), Runtime: container.runtime }),
    ...(container.init === undefined ? {} : { Init: container.init }),
    StopGracePeriod: nanoseconds(container.stopGraceMs),
    ...omitEmpty({
      Healthcheck: healthcheckJson(container.healthcheck),
      Mounts: container.mounts.map(mountJson),
      Hosts: container.hosts.map(dockerHost),
      Secrets: container.secrets.map((use) => payloadUseJson('secret', use)),
      Configs: container.configs.map((use) => payloadUseJson('config', use)),
      Sysctls: container.sysctls,
      CapabilityAdd: container.capAdd,
      CapabilityDrop: container.capDrop,
      Ulimits: container.ulimits.map((u) => ({ Name: u.name, Soft: u.soft, Hard: u.hard })),
    }),
    Isolation: 'default',
  }
}

/** Docker's API has the address first, its command line and our spec the name. */
function dockerHost(line: string): string {
  const at = line.indexOf(':')
  return at === -1 ? line : `${line.slice(at + 1)} ${line.slice(0, at)}`
}

function mountJson(mount: MountSpec): Json {
  const bind = omitEmpty({
    Propagation: mount.bindPropagation,
    CreateMountpoint: mount.bindCreate,
    NonRecursive: mount.bindNonRecursive,
    ReadOnlyNonRecursive: mount.readOnlyNonRecursive,
    ReadOnlyForceRecursive: mount.readOnlyForceRecursive,
  })
  const tmpfs = omitEmpty({ SizeBytes: mount.tmpfsSizeBytes, Mode: mount.tmpfsMode })
  return {
    Type: mount.kind,
    ...omitEmpty({ Source: mount.source }),
    Target: mount.target,
    ...omitEmpty({
      ReadOnly: mount.readOnly,
      Consistency: mount.consistency,
      BindOptions: bind,
      VolumeOptions: volumeJson(mount),
      TmpfsOptions: tmpfs,
    }),
  }
}

/** Affinity is ours. */
function volumeJson(mount: MountSpec): Json {
  const { volumeDriver: driver, volumeOptions: options } = mount
  return omitEmpty({
    NoCopy: mount.volumeNoCopy,
    Labels: mount.volumeLabels,
    Subpath: mount.volumeSubpath,
    DriverConfig: omitEmpty({ Name: driver, Options: options }),
    Affinity: mount.volumeAffinity,
  })
}

function resourcesJson(resources: ResourceSpec): Json {
  return omitEmpty({
    NanoCPUs: resources.nanoCpus,
    MemoryBytes: resources.memoryBytes,
    Pids: resources.pids,
    GenericResources: genericJson(resources.generic),
  })
}

function restartJson(restart: RestartPolicy): Json {
  return {
    Condition: restart.condition,
    Delay: nanoseconds(restart.delayMs),
    MaxAttempts: restart.maxAttempts,
    ...omitEmpty({ Window: nanoseconds(restart.windowMs) }),
  }
}

function placementJson(placement: PlacementSpec): Json {
  return omitEmpty({
    Constraints: placement.constraints,
    Preferences: placement.spread.map((key) => ({ Spread: { SpreadDescriptor: key } })),
    MaxReplicas: placement.maxReplicasPerNode,
    Platforms: placement.platforms.map((platform) =>
      omitEmpty({ Architecture: platform.architecture, OS: platform.os }),
    ),
    Strategy: placement.strategy,
  })
}
