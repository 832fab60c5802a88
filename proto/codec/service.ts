// Service, ServiceSpec and TaskSpecRecord <-> protobuf.
import type {
  Endpoint as EndpointProto,
  Service as ServiceProto,
  ServiceSpec as ServiceSpecProto,
  TaskSpecRecord as TaskSpecRecordProto,
  UpdatePolicy as UpdatePolicyProto,
  UpdateStatus as UpdateStatusProto,
} from '../gen/tsswarm/v1/objects.ts'
import { serviceId, specHash } from '../objects/ids.ts'
import type { EndpointMode } from '../objects/overlay.ts'
import {
  type Endpoint,
  noEndpoint,
  type PublishedPort,
  type Service,
  type TaskSpecRecord,
  type UpdateState,
  type UpdateStatus,
} from '../objects/service.ts'
import { parseSpec } from '../spec/parse-spec.ts'
import {
  defaultUpdatePolicy,
  isUsualPolicy,
  type RollbackPolicy,
  type ServiceSpec,
  serviceSpec,
  type UpdatePolicy,
} from '../spec/service-spec.ts'
import { networkAddressesFromProto } from './network.ts'
import { required } from './required.ts'
import {
  cronStatusFromProto,
  cronStatusToProto,
  modeFromProto,
  modeToProto,
} from './service-mode.ts'
import { portProtocol, protocolFromProto, taskSpecFromProto, taskSpecToProto } from './task-spec.ts'

export function serviceSpecToProto(spec: ServiceSpec): ServiceSpecProto {
  return {
    name: spec.name,
    labels: spec.labels,
    mode: modeToProto(spec.mode),
    task: taskSpecToProto(spec.task),
    // The default stays unwritten, as older programs leave it.
    endpointMode: spec.endpointMode === 'vip' ? '' : spec.endpointMode,
    update: policyToProto(spec.update),
    rollback: policyToProto(spec.rollback),
  }
}

/** Defaults stay unwritten. */
function policyToProto(policy: UpdatePolicy): UpdatePolicyProto | undefined {
  return isUsualPolicy(policy) ? undefined : { ...policy }
}

function ordered(policy: UpdatePolicy): UpdatePolicy {
  const { parallelism, delayMs, monitorMs, maxFailureRatio, order, failureAction } = policy
  return { parallelism, delayMs, monitorMs, maxFailureRatio, order, failureAction }
}

function policyFromProto(proto: UpdatePolicyProto | undefined): UpdatePolicy {
  if (proto === undefined) return defaultUpdatePolicy
  const { order, failureAction } = proto
  return {
    ...ordered(defaultUpdatePolicy),
    parallelism: proto.parallelism,
    delayMs: proto.delayMs,
    monitorMs: proto.monitorMs,
    maxFailureRatio: proto.maxFailureRatio,
    ...(order === '' ? {} : { order: order as UpdatePolicy['order'] }),
    ...(failureAction === ''
      ? {}
      : { failureAction: failureAction as UpdatePolicy['failureAction'] }),
  }
}

/** Of a spec that was checked before. Errors: INVALID_ARGUMENT for missing fields. */
export function serviceSpecFromProto(proto: ServiceSpecProto): ServiceSpec {
  return {
    name: proto.name,
    labels: proto.labels,
    mode: modeFromProto(proto.mode),
    task: taskSpecFromProto(required(proto.task, `service "${proto.name}"`, 'task')),
    endpointMode: (proto.endpointMode === '' ? 'vip' : proto.endpointMode) as EndpointMode,
    update: policyFromProto(proto.update),
    rollback: policyFromProto(proto.rollback) as RollbackPolicy,
  }
}

/**
 * Of a spec that a user wrote, with defaults filled in.
 * Errors: INVALID_ARGUMENT naming service, field, value and what would be right.
 */
export function parseServiceSpec(proto: ServiceSpecProto | undefined): ServiceSpec {
  const given = serviceSpecFromProto(required(proto, 'service', 'spec'))
  return parseSpec(serviceSpec, given, `service "${given.name}"`)
}

export function serviceToProto(service: Service): ServiceProto {
  return {
    id: service.id,
    meta: {
      version: service.version,
      createdAtMs: service.createdAtMs,
      updatedAtMs: service.updatedAtMs,
    },
    spec: serviceSpecToProto(service.spec),
    previousSpec:
      service.previousSpec === undefined ? undefined : serviceSpecToProto(service.previousSpec),
    specHash: service.specHash,
    specVersion: service.specVersion,
    endpoint: endpointToProto(service.endpoint),
    updateStatus: service.updateStatus && { ...service.updateStatus },
    rebalance: service.rebalance,
    jobStatus: service.jobStatus && { ...service.jobStatus },
    cronStatus: service.cronStatus && cronStatusToProto(service.cronStatus),
  }
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function serviceFromProto(proto: ServiceProto): Service {
  const meta = required(proto.meta, 'Service', 'meta')
  return {
    id: serviceId(required(proto.id, 'Service', 'id')),
    version: meta.version,
    createdAtMs: meta.createdAtMs,
    updatedAtMs: meta.updatedAtMs,
    spec: serviceSpecFromProto(required(proto.spec, 'Service', 'spec')),
    previousSpec:
      proto.previousSpec === undefined ? undefined : serviceSpecFromProto(proto.previousSpec),
    specHash: specHash(required(proto.specHash, 'Service', 'spec_hash')),
    specVersion: proto.specVersion,
    endpoint: endpointFromProto(proto.endpoint),
    updateStatus: proto.updateStatus && updateStatusFromProto(proto.updateStatus),
    ...(proto.rebalance !== undefined && { rebalance: proto.rebalance }),
    jobStatus: proto.jobStatus && { ...proto.jobStatus },
    cronStatus: proto.cronStatus && cronStatusFromProto(proto.cronStatus),
  }
}

function updateStatusFromProto(proto: UpdateStatusProto): UpdateStatus {
  const { startedAtMs, completedAtMs, message, slots } = proto
  return { state: proto.state as UpdateState, startedAtMs, completedAtMs, message, slots }
}

/** Undefined: nothing was given. */
export function endpointToProto({ vips, ports }: Endpoint): EndpointProto | undefined {
  if (vips.length === 0 && ports.length === 0) return undefined
  const protocol = (port: PublishedPort) => portProtocol.toProto(port.protocol)
  return { vips, ports: ports.map((port) => ({ ...port, protocol: protocol(port) })) }
}

function endpointFromProto(proto: EndpointProto | undefined): Endpoint {
  if (proto === undefined) return noEndpoint
  return {
    vips: proto.vips.map((one) => networkAddressesFromProto(one)),
    ports: proto.ports.map((port) => ({ ...port, protocol: protocolFromProto(port.protocol) })),
  }
}

export function taskSpecRecordToProto(record: TaskSpecRecord): TaskSpecRecordProto {
  return { hash: record.hash, spec: taskSpecToProto(record.spec) }
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function taskSpecRecordFromProto(proto: TaskSpecRecordProto): TaskSpecRecord {
  return {
    hash: specHash(required(proto.hash, 'TaskSpecRecord', 'hash')),
    spec: taskSpecFromProto(required(proto.spec, 'TaskSpecRecord', 'spec')),
  }
}
