// Payload (a secret or config), its spec and its use <-> protobuf.
import type { AssignedPayload as AssignedPayloadProto } from '../gen/tsswarm/v1/dispatcher.ts'
import type {
  Payload as PayloadProto,
  PayloadSpec as PayloadSpecProto,
  PayloadUse as PayloadUseProto,
} from '../gen/tsswarm/v1/objects.ts'
import { payloadId } from '../objects/ids.ts'
import type { AssignedPayload, Payload } from '../objects/payload.ts'
import { parseSpec } from '../spec/parse-spec.ts'
import {
  type PayloadKind,
  type PayloadSpec,
  type PayloadUse,
  payloadSpecs,
} from '../spec/payload-spec.ts'
import { required } from './required.ts'

/** With its data: for the store and for answers about configs. */
export function payloadToProto(payload: Payload): PayloadProto {
  return {
    id: payload.id,
    meta: {
      version: payload.version,
      createdAtMs: payload.createdAtMs,
      updatedAtMs: payload.updatedAtMs,
    },
    spec: payload.spec,
    revision: payload.revision,
  }
}

/** Of a secret without its data: for answers. */
export function payloadToPublicProto(kind: PayloadKind, payload: Payload): PayloadProto {
  const proto = payloadToProto(payload)
  return kind === 'config' ? proto : { ...proto, spec: { ...payload.spec, data: noData } }
}

const noData = new Uint8Array(0)

/** Errors: INVALID_ARGUMENT for missing fields. */
export function payloadFromProto(proto: PayloadProto): Payload {
  const meta = required(proto.meta, 'Payload', 'meta')
  return {
    id: payloadId(required(proto.id, 'Payload', 'id')),
    version: meta.version,
    createdAtMs: meta.createdAtMs,
    updatedAtMs: meta.updatedAtMs,
    spec: payloadSpecFromProto(required(proto.spec, 'Payload', 'spec')),
    revision: proto.revision,
  }
}

/** Of a spec that was checked before; values are not checked again. */
export function payloadSpecFromProto(proto: PayloadSpecProto): PayloadSpec {
  return {
    name: proto.name,
    labels: proto.labels,
    data: ownData(proto.data),
    templateDriver: proto.templateDriver as PayloadSpec['templateDriver'],
  }
}

/**
 * Of a spec that a user wrote, with defaults filled in. No error holds any of the data.
 * Errors: INVALID_ARGUMENT naming object, field, value and what would be right.
 */
export function parsePayloadSpec(
  kind: PayloadKind,
  proto: PayloadSpecProto | undefined,
): PayloadSpec {
  const given = required(proto, kind, 'spec')
  const spec = parseSpec(payloadSpecs[kind], given, `${kind} "${given.name}"`)
  return { ...spec, data: ownData(spec.data) }
}

export function payloadUseToProto(use: PayloadUse): PayloadUseProto {
  return { ...use }
}

/** What is left out gets its default. */
export function payloadUseFromProto(proto: PayloadUseProto): PayloadUse {
  const { source, name, target, uid, gid, mode } = proto
  return { source, name, target, uid: uid || '0', gid: gid || '0', mode: mode ?? 0o444 }
}

export function assignedPayloadToProto(payload: AssignedPayload): AssignedPayloadProto {
  return { ...payload }
}

/** Errors: INVALID_ARGUMENT for a missing id. */
export function assignedPayloadFromProto(proto: AssignedPayloadProto): AssignedPayload {
  const { name, data, templateDriver } = proto
  return {
    id: payloadId(required(proto.id, 'AssignedPayload', 'id')),
    name,
    data: ownData(data),
    templateDriver: templateDriver as PayloadSpec['templateDriver'],
  }
}

/** What was decoded is a view of the whole message, which would be kept with it. */
function ownData(data: Uint8Array): Uint8Array {
  return new Uint8Array(data)
}
