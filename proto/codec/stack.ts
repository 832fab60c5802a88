// StackRevision <-> protobuf.
import type {
  StackChange as StackChangeProto,
  StackRevision as StackRevisionProto,
} from '../gen/tsswarm/v1/objects.ts'
import { nodeId } from '../objects/ids.ts'
import type {
  StackChange,
  StackRevision,
  StackRevisionKind,
  StackRevisionState,
  StackVersion,
} from '../objects/stack.ts'
import { required } from './required.ts'

/** With its content: for the store. */
export function stackRevisionToProto(row: StackRevision): StackRevisionProto {
  const { version, createdAtMs, updatedAtMs, ...rest } = row
  return { ...rest, meta: { version, createdAtMs, updatedAtMs } }
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function stackRevisionFromProto(proto: StackRevisionProto): StackRevision {
  const { meta: given, kind, state, clientNodeId, changes, content, versions, ...rest } = proto
  const { version, createdAtMs, updatedAtMs } = required(given, 'StackRevision', 'meta')
  return {
    ...rest,
    version,
    createdAtMs,
    updatedAtMs,
    kind: kind as StackRevisionKind,
    state: state as StackRevisionState,
    clientNodeId: nodeId(clientNodeId),
    changes: changes.map(stackChangeFromProto),
    versions: versions.map((one) => ({ ...one, kind: one.kind as StackVersion['kind'] })),
    // What was decoded is a view of the whole message, which would be kept with it.
    content: new Uint8Array(content),
  }
}

export function stackChangeFromProto({
  action,
  kind,
  name,
  fields,
}: StackChangeProto): StackChange {
  return {
    action: action as StackChange['action'],
    kind: kind as StackChange['kind'],
    name,
    fields,
  }
}
