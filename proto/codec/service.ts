// Service, ServiceSpec and TaskSpecRecord <-> protobuf.
import type {
  Service as ServiceProto,
  ServiceSpec as ServiceSpecProto,
  TaskSpecRecord as TaskSpecRecordProto,
} from '../gen/tsswarm/v1/objects.ts'
import { serviceId, specHash } from '../objects/ids.ts'
import type { Service, TaskSpecRecord } from '../objects/service.ts'
import { parseSpec } from '../spec/parse-spec.ts'
import { type ServiceSpec, serviceSpec } from '../spec/service-spec.ts'
import { required } from './required.ts'
import { taskSpecFromProto, taskSpecToProto } from './task-spec.ts'

export function serviceSpecToProto(spec: ServiceSpec): ServiceSpecProto {
  return {
    name: spec.name,
    labels: spec.labels,
    mode: { $case: 'replicated', value: { replicas: spec.mode.replicas } },
    task: taskSpecToProto(spec.task),
  }
}

/** Of a spec that was checked before. Errors: INVALID_ARGUMENT for missing fields. */
export function serviceSpecFromProto(proto: ServiceSpecProto): ServiceSpec {
  return {
    name: proto.name,
    labels: proto.labels,
    mode: { kind: 'replicated', replicas: proto.mode?.value.replicas ?? 1 },
    task: taskSpecFromProto(required(proto.task, `service "${proto.name}"`, 'task')),
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
