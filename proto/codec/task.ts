// Task <-> protobuf.
import type { Task as TaskProto } from '../gen/tsswarm/v1/objects.ts'
import { nodeId, serviceId, specHash, taskId } from '../objects/ids.ts'
import type { Task } from '../objects/task.ts'
import { isTaskReason } from '../objects/task-reason.ts'
import { isTaskState, type TaskState } from '../objects/task-state.ts'
import { genericFromProto } from './generic-resource.ts'
import { taskHealthFromProto, taskHealthToProto } from './health.ts'
import { taskAttachmentFromProto, taskAttachmentToProto } from './network.ts'
import { optionalId, required } from './required.ts'

export function taskToProto(task: Task): TaskProto {
  return {
    id: task.id,
    meta: { version: task.version, createdAtMs: task.createdAtMs, updatedAtMs: task.updatedAtMs },
    serviceId: task.serviceId,
    slot: task.slot,
    forNodeId: task.forNodeId ?? '',
    nodeId: task.nodeId ?? '',
    specHash: task.specHash,
    specVersion: task.specVersion,
    desiredState: task.desiredState,
    state: task.state,
    stateAtMs: task.stateAtMs,
    appliedAtMs: task.appliedAtMs,
    message: task.message,
    err: task.err,
    containerId: task.containerId,
    pid: task.pid,
    exitCode: task.exitCode,
    startAtMs: task.startAtMs,
    startAfterTaskId: task.startAfterTaskId ?? '',
    hostPorts: task.hostPorts,
    attachments: task.attachments.map(taskAttachmentToProto),
    drained: task.isDrained,
    ranAtMs: task.ranAtMs,
    reason: task.reason,
    generic: task.generic,
    volumeNodeId: task.volumeNodeId ?? '',
    slotVolumes: task.slotVolumes,
    waitsFor: task.waitsFor,
    health: taskHealthToProto(task.health),
    jobIteration: task.jobIteration,
  }
}

/**
 * `intern` may return an equal text that is already in memory: ids and messages repeat over very many tasks.
 * Errors: INVALID_ARGUMENT for missing fields and unknown states.
 */
export function taskFromProto(proto: TaskProto, intern: (text: string) => string = same): Task {
  const meta = required(proto.meta, 'Task', 'meta')
  return {
    id: taskId(required(proto.id, 'Task', 'id')),
    version: meta.version,
    createdAtMs: meta.createdAtMs,
    updatedAtMs: meta.updatedAtMs,
    serviceId: serviceId(intern(required(proto.serviceId, 'Task', 'service_id'))),
    slot: proto.slot,
    forNodeId: optionalId(intern(proto.forNodeId), nodeId),
    nodeId: optionalId(intern(proto.nodeId), nodeId),
    specHash: specHash(intern(required(proto.specHash, 'Task', 'spec_hash'))),
    specVersion: proto.specVersion,
    desiredState: taskStateFromProto(proto.desiredState, 'desired_state'),
    state: taskStateFromProto(proto.state, 'state'),
    stateAtMs: proto.stateAtMs,
    appliedAtMs: proto.appliedAtMs,
    message: intern(proto.message),
    err: intern(proto.err),
    containerId: proto.containerId,
    pid: proto.pid,
    exitCode: proto.exitCode,
    startAtMs: proto.startAtMs,
    startAfterTaskId: optionalId(proto.startAfterTaskId, taskId),
    hostPorts: proto.hostPorts.length === 0 ? noPorts : proto.hostPorts,
    attachments:
      proto.attachments.length === 0
        ? noAttachments
        : proto.attachments.map((one) => taskAttachmentFromProto(one, intern)),
    isDrained: proto.drained,
    ranAtMs: proto.ranAtMs,
    // One of a newer program reads as not known.
    reason: isTaskReason(proto.reason) ? proto.reason : '',
    generic: genericFromProto(proto.generic),
    volumeNodeId: optionalId(intern(proto.volumeNodeId), nodeId),
    slotVolumes: proto.slotVolumes.length === 0 ? noPorts : proto.slotVolumes,
    waitsFor: intern(proto.waitsFor),
    health: taskHealthFromProto(proto.health),
    jobIteration: proto.jobIteration,
  }
}

/** Errors: INVALID_ARGUMENT for a number that is no state. */
export function taskStateFromProto(value: number, field: string): TaskState {
  return required(isTaskState(value) ? value : undefined, 'Task', `${field} (${value})`)
}

const noPorts: readonly string[] = []
const noAttachments: Task['attachments'] = []
const same = (text: string): string => text
