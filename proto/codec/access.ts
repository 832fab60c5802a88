// Access <-> protobuf.
import type { Access as AccessProto } from '../gen/tsswarm/v1/objects.ts'
import type { Access } from '../objects/access.ts'
import { nodeId, taskId } from '../objects/ids.ts'

export function accessToProto(access: Access): AccessProto {
  return access
}

export function accessFromProto(proto: AccessProto): Access {
  const { id, action, clientUser, attributes } = proto
  return {
    id,
    action,
    taskId: taskId(proto.taskId),
    clientNodeId: nodeId(proto.clientNodeId),
    clientUser,
    attributes,
  }
}
