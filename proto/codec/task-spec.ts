// TaskSpec <-> protobuf.
import {
  type ContainerSpec as ContainerSpecProto,
  MountSpec_Kind,
  type MountSpec as MountSpecProto,
  type PlacementSpec as PlacementSpecProto,
  PortSpec_Protocol,
  type PortSpec as PortSpecProto,
  type ResourceSpec as ResourceSpecProto,
  RestartPolicy_Condition,
  type RestartPolicy as RestartPolicyProto,
  type ServiceDependency,
  type TaskSpec as TaskSpecProto,
} from '../gen/tsswarm/v1/objects.ts'
import { noDns, saysNothing } from '../spec/dns-spec.ts'
import type { RuntimeName } from '../spec/runtime-names.ts'
import type {
  ContainerSpec,
  DependencySpec,
  MountSpec,
  PlacementSpec,
  PortSpec,
  ResourceSpec,
  RestartPolicy,
  TaskSpec,
} from '../spec/service-spec.ts'
import {
  securityFromProto,
  securityToProto,
  tuningFromProto,
  tuningToProto,
} from './container-options.ts'
import { saidGeneric } from './generic-resource.ts'
import { healthcheckFromProto, healthcheckToProto } from './health.ts'
import { payloadUseFromProto, payloadUseToProto } from './payload.ts'
import { enumCodec, required } from './required.ts'

const mountKind = enumCodec({
  bind: MountSpec_Kind.BIND,
  volume: MountSpec_Kind.VOLUME,
  tmpfs: MountSpec_Kind.TMPFS,
})

const restartCondition = enumCodec({
  none: RestartPolicy_Condition.NONE,
  'on-failure': RestartPolicy_Condition.ON_FAILURE,
  any: RestartPolicy_Condition.ANY,
})

export const portProtocol = enumCodec({
  tcp: PortSpec_Protocol.TCP,
  udp: PortSpec_Protocol.UDP,
  sctp: PortSpec_Protocol.SCTP,
})

export function taskSpecToProto(spec: TaskSpec): TaskSpecProto {
  return {
    container: containerToProto(spec.container),
    limits: resourcesToProto(spec.limits),
    reservations: resourcesToProto(spec.reservations),
    restart: { ...spec.restart, condition: restartCondition.toProto(spec.restart.condition) },
    placement: spec.placement,
    ports: spec.ports.map(portToProto),
    networks: spec.networks.map(({ isLocal = false, ...use }) => ({ ...use, local: isLocal })),
    forceUpdate: spec.forceUpdate,
    dependsOn: spec.dependsOn,
    dns: saysNothing(spec.dns) ? undefined : spec.dns,
    oomScoreAdj: spec.oomScoreAdj,
    tuning: tuningToProto(spec.tuning),
  }
}

/**
 * What is left out gets the default of the schema. Values are not checked: this also reads what is already committed;
 * what comes from a user goes through parseServiceSpec.
 * Errors: INVALID_ARGUMENT for a missing container or an enum value this version does not know.
 */
export function taskSpecFromProto(proto: TaskSpecProto): TaskSpec {
  return {
    container: containerFromProto(required(proto.container, 'TaskSpec', 'container')),
    limits: resourcesFromProto(proto.limits),
    reservations: resourcesFromProto(proto.reservations),
    restart: restartFromProto(proto.restart),
    placement: placementFromProto(proto.placement),
    ports: proto.ports.map(portFromProto),
    networks: proto.networks.map(({ local, ...use }) => (local ? { ...use, isLocal: true } : use)),
    forceUpdate: proto.forceUpdate,
    dependsOn: proto.dependsOn.map(dependencyFromProto),
    dns: proto.dns ?? noDns,
    oomScoreAdj: proto.oomScoreAdj,
    ...tuningFromProto(proto.tuning),
  }
}

function containerToProto(spec: ContainerSpec): ContainerSpecProto {
  return {
    ...spec,
    mounts: spec.mounts.map((mount) => ({ ...mount, kind: mountKind.toProto(mount.kind) })),
    healthcheck: spec.healthcheck && healthcheckToProto(spec.healthcheck),
    secrets: spec.secrets.map(payloadUseToProto),
    configs: spec.configs.map(payloadUseToProto),
    logDriver: spec.logDriver,
    noNewPrivileges: spec.noNewPrivileges ?? false,
    security: securityToProto(spec.security),
    runtime: spec.runtime ?? '',
  }
}

function containerFromProto(proto: ContainerSpecProto): ContainerSpec {
  const { init, mounts, healthcheck, secrets, configs, ...others } = proto
  const { logDriver, noNewPrivileges, security, runtime, ...same } = others
  return {
    ...same,
    ...(init === undefined ? {} : { init }),
    mounts: mounts.map(mountFromProto),
    ...healthcheckFromProto(healthcheck),
    secrets: secrets.map(payloadUseFromProto),
    configs: configs.map(payloadUseFromProto),
    ...(logDriver === undefined ? {} : { logDriver }),
    ...(noNewPrivileges ? { noNewPrivileges } : {}),
    ...securityFromProto(security),
    ...(runtime === '' ? {} : { runtime: runtime as RuntimeName }),
  }
}

function mountFromProto(proto: MountSpecProto): MountSpec {
  const unspecified = proto.kind === MountSpec_Kind.UNSPECIFIED
  return {
    ...proto,
    kind: unspecified
      ? 'volume'
      : required(mountKind.fromProto(proto.kind), 'MountSpec', `kind (${proto.kind})`),
    bindPropagation: proto.bindPropagation as MountSpec['bindPropagation'],
    volumeAffinity: proto.volumeAffinity as MountSpec['volumeAffinity'],
    consistency: proto.consistency as MountSpec['consistency'],
  }
}

function dependencyFromProto({ service, condition }: ServiceDependency): DependencySpec {
  return {
    service,
    condition: (condition === '' ? 'started' : condition) as DependencySpec['condition'],
  }
}

function portToProto(spec: PortSpec): PortSpecProto {
  const { isMasqueraded, isLocalFirst, isFirewallFirst, ...port } = spec
  return {
    ...port,
    protocol: portProtocol.toProto(port.protocol),
    masqueraded: isMasqueraded,
    localFirst: isLocalFirst,
    firewallFirst: isFirewallFirst,
  }
}

function portFromProto(proto: PortSpecProto): PortSpec {
  const { masqueraded, localFirst, firewallFirst, ...port } = proto
  return {
    ...port,
    protocol: protocolFromProto(port.protocol),
    mode: (port.mode === '' ? 'ingress' : port.mode) as PortSpec['mode'],
    isMasqueraded: masqueraded,
    isLocalFirst: localFirst,
    isFirewallFirst: firewallFirst,
  }
}

/** Errors: INVALID_ARGUMENT for an unknown number. */
export function protocolFromProto(value: number): PortSpec['protocol'] {
  if (value === PortSpec_Protocol.UNSPECIFIED) return 'tcp'
  return required(portProtocol.fromProto(value), 'PortSpec', `protocol (${value})`)
}

function resourcesToProto({ generic = [], ...spec }: ResourceSpec): ResourceSpecProto {
  return { ...spec, generic }
}

function resourcesFromProto(proto: ResourceSpecProto | undefined): ResourceSpec {
  if (proto === undefined) return { nanoCpus: 0, memoryBytes: 0, pids: 0 }
  const { generic, ...same } = proto
  return { ...same, ...saidGeneric(generic) }
}

function restartFromProto(proto: RestartPolicyProto | undefined): RestartPolicy {
  if (proto === undefined) {
    return { condition: 'any', delayMs: 5_000, maxAttempts: 0, windowMs: 0 }
  }
  const unspecified = proto.condition === RestartPolicy_Condition.UNSPECIFIED
  const condition = restartCondition.fromProto(proto.condition)
  return {
    ...proto,
    condition: unspecified
      ? 'any'
      : required(condition, 'RestartPolicy', `condition (${proto.condition})`),
  }
}

function placementFromProto(proto: PlacementSpecProto | undefined): PlacementSpec {
  if (proto === undefined) {
    return { constraints: [], spread: [], maxReplicasPerNode: 0, platforms: [], strategy: '' }
  }
  return { ...proto, strategy: proto.strategy as PlacementSpec['strategy'] }
}
