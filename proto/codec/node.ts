// Node, its parts, and RemovedNode <-> protobuf.
import {
  type ManagerInfo as ManagerInfoProto,
  NodeAvailability,
  type NodeDescription as NodeDescriptionProto,
  type Node as NodeProto,
  NodeRole as NodeRoleProto,
  type NodeSpec as NodeSpecProto,
  NodeState as NodeStateProto,
  type RemovedNode as RemovedNodeProto,
} from '../gen/tsswarm/v1/objects.ts'
import { nodeId, raftId, serviceId, sessionId } from '../objects/ids.ts'
import type {
  ManagerInfo,
  Node,
  NodeDescription,
  NodeRole,
  NodeState,
  RemovedNode,
} from '../objects/node.ts'
import type { NodeCondition } from '../objects/node-condition.ts'
import { type NodeSpec, nodeSpec } from '../spec/node-spec.ts'
import { parseSpec } from '../spec/parse-spec.ts'
import { saidGeneric } from './generic-resource.ts'
import { enumCodec, optionalId, required } from './required.ts'

const role = enumCodec<NodeRole, NodeRoleProto>({
  worker: NodeRoleProto.WORKER,
  manager: NodeRoleProto.MANAGER,
})

const availability = enumCodec<NodeSpec['availability'], NodeAvailability>({
  active: NodeAvailability.ACTIVE,
  pause: NodeAvailability.PAUSE,
  drain: NodeAvailability.DRAIN,
})

const state = enumCodec<NodeState, NodeStateProto>({
  unknown: NodeStateProto.UNKNOWN,
  down: NodeStateProto.DOWN,
  ready: NodeStateProto.READY,
  disconnected: NodeStateProto.DISCONNECTED,
})

export const nodeRoleToProto = role.toProto

/** Errors: INVALID_ARGUMENT for an unknown number. */
export function nodeRoleFromProto(value: number): NodeRole {
  return required(role.fromProto(value), 'Node', `role (${value})`)
}

/** Errors: INVALID_ARGUMENT for an unknown number. */
export function nodeAvailabilityFromProto(value: number): NodeSpec['availability'] {
  return required(availability.fromProto(value), 'NodeSpec', `availability (${value})`)
}

/** Errors: INVALID_ARGUMENT for an unknown number. */
export function nodeStateFromProto(value: number): NodeState {
  return required(state.fromProto(value), 'Node', `state (${value})`)
}

export function nodeSpecToProto(spec: NodeSpec): NodeSpecProto {
  return {
    name: spec.name,
    labels: spec.labels,
    role: role.toProto(spec.role),
    availability: availability.toProto(spec.availability),
  }
}

/** Of a spec that was checked before. Errors: INVALID_ARGUMENT for unknown enum values. */
export function nodeSpecFromProto(proto: NodeSpecProto): NodeSpec {
  return {
    name: proto.name,
    labels: proto.labels,
    role: nodeRoleFromProto(proto.role),
    availability: nodeAvailabilityFromProto(proto.availability),
  }
}

/**
 * Of a spec that a user wrote. `what` names the node, for example `node "worker-1"`.
 * Errors: INVALID_ARGUMENT naming node, field, value and what would be right.
 */
export function parseNodeSpec(proto: NodeSpecProto | undefined, what: string): NodeSpec {
  return parseSpec(nodeSpec, nodeSpecFromProto(required(proto, what, 'spec')), what)
}

export function nodeDescriptionToProto(description: NodeDescription): NodeDescriptionProto {
  const { resources, conditions = [], localSubnet = '', slotVolumes = [] } = description
  const { runtimes = [] } = description
  return {
    ...description,
    localSubnet,
    slotVolumes,
    runtimes,
    resources: { ...resources, pids: 0, generic: resources.generic ?? [] },
    problems: [],
    conditions: conditions.map((one) => ({ ...one, serviceId: one.serviceId ?? '' })),
  }
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function nodeDescriptionFromProto(proto: NodeDescriptionProto): NodeDescription {
  const resources = required(proto.resources, 'NodeDescription', 'resources')
  const { problems: _, conditions: __, localSubnet, slotVolumes, runtimes, ...rest } = proto
  const conditions = conditionsFromProto(proto)
  return {
    ...rest,
    ...(conditions.length > 0 && { conditions }),
    ...(localSubnet !== '' && { localSubnet }),
    ...(slotVolumes.length > 0 && { slotVolumes }),
    ...(runtimes.length > 0 && { runtimes }),
    hostname: required(proto.hostname, 'NodeDescription', 'hostname'),
    platform: required(proto.platform, 'NodeDescription', 'platform'),
    resources: {
      nanoCpus: resources.nanoCpus,
      memoryBytes: resources.memoryBytes,
      ...saidGeneric(resources.generic),
    },
  }
}

function conditionsFromProto(proto: NodeDescriptionProto): readonly NodeCondition[] {
  const older = proto.problems.map((message) => ({ code: '', message }))
  const conditions = proto.conditions.map(({ code, message, serviceId: id }) => ({
    code,
    message,
    ...(id !== '' && { serviceId: serviceId(id) }),
  }))
  return [...older, ...conditions]
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function managerInfoFromProto(proto: ManagerInfoProto): ManagerInfo {
  return {
    raftId: raftId(required(proto.raftId, 'ManagerInfo', 'raft_id')),
    address: required(proto.address, 'ManagerInfo', 'address'),
    raftAddress: required(proto.raftAddress, 'ManagerInfo', 'raft_address'),
  }
}

export function nodeToProto(node: Node): NodeProto {
  return {
    id: node.id,
    meta: { version: node.version, createdAtMs: node.createdAtMs, updatedAtMs: node.updatedAtMs },
    spec: nodeSpecToProto(node.spec),
    role: role.toProto(node.role),
    description:
      node.description === undefined ? undefined : nodeDescriptionToProto(node.description),
    state: state.toProto(node.state),
    stateMessage: node.stateMessage,
    stateAtMs: node.stateAtMs,
    address: node.address,
    manager: node.manager,
    sessionManagerId: node.sessionManagerId ?? '',
    sessionId: node.sessionId ?? '',
    certificateExpiresAtMs: node.certificateExpiresAtMs,
    path: node.path,
  }
}

/** Errors: INVALID_ARGUMENT for missing fields and unknown enum values. */
export function nodeFromProto(proto: NodeProto): Node {
  const meta = required(proto.meta, 'Node', 'meta')
  const { description, manager } = proto
  return {
    id: nodeId(required(proto.id, 'Node', 'id')),
    version: meta.version,
    createdAtMs: meta.createdAtMs,
    updatedAtMs: meta.updatedAtMs,
    spec: nodeSpecFromProto(required(proto.spec, 'Node', 'spec')),
    role: nodeRoleFromProto(proto.role),
    description: description === undefined ? undefined : nodeDescriptionFromProto(description),
    state: nodeStateFromProto(proto.state),
    stateMessage: proto.stateMessage,
    stateAtMs: proto.stateAtMs,
    address: proto.address,
    manager: manager === undefined ? undefined : managerInfoFromProto(manager),
    sessionManagerId: optionalId(proto.sessionManagerId, nodeId),
    sessionId: optionalId(proto.sessionId, sessionId),
    certificateExpiresAtMs: proto.certificateExpiresAtMs,
    path: proto.path,
  }
}

export function removedNodeToProto(node: RemovedNode): RemovedNodeProto {
  return node
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function removedNodeFromProto(proto: RemovedNodeProto): RemovedNode {
  return { ...proto, id: nodeId(required(proto.id, 'RemovedNode', 'id')) }
}
