// Assignments and task statuses as sessions carry them <-> protobuf.
import type {
  AssignedTask as AssignedTaskProto,
  ManagerMessage,
  Stamp as StampProto,
  TaskStatus as TaskStatusProto,
} from '../gen/tsswarm/v1/dispatcher.ts'
import type { TaskSpecRecord as TaskSpecRecordProto } from '../gen/tsswarm/v1/objects.ts'
import type { AssignedTask, AssignmentUpdate, Stamp, TaskStatus } from '../objects/assignment.ts'
import { payloadId, serviceId, specHash, taskId } from '../objects/ids.ts'
import type { TaskSpecRecord } from '../objects/service.ts'
import { isTaskState, type TaskState } from '../objects/task-state.ts'
import { genericFromProto } from './generic-resource.ts'
import { taskHealthFromProto, taskHealthToProto } from './health.ts'
import {
  connectionStatusFromProto,
  connectionStatusToProto,
  taskAttachmentFromProto,
  taskAttachmentToProto,
} from './network.ts'
import { required } from './required.ts'
import { taskSpecFromProto, taskSpecToProto } from './task-spec.ts'

type UpdateProto = Extract<
  ManagerMessage['kind'],
  { readonly $case: 'set' } | { readonly $case: 'changes' }
>

export function assignmentUpdateToProto(update: AssignmentUpdate): UpdateProto {
  const specs = update.specs.map(specRecordToProto)
  const payloadIds = update.payloadIds ?? []
  if (update.kind === 'set') {
    const { stamp } = update
    const tasks = update.tasks.map(assignedTaskToProto)
    return { $case: 'set', value: { stamp, tasks, specs, payloadIds } }
  }
  const { previous, stamp, remove } = update
  const tasks = update.update.map(assignedTaskToProto)
  return { $case: 'changes', value: { previous, stamp, update: tasks, remove, specs, payloadIds } }
}

/** Errors: INVALID_ARGUMENT for missing fields and unknown states. */
export function assignmentUpdateFromProto(proto: UpdateProto): AssignmentUpdate {
  const specs = proto.value.specs.map(specRecordFromProto)
  const payloadIds = proto.value.payloadIds.map(payloadId)
  if (proto.$case === 'set') {
    const tasks = proto.value.tasks.map(assignedTaskFromProto)
    return {
      kind: 'set',
      stamp: stampFromProto(proto.value.stamp, 'Assignments', 'stamp'),
      tasks,
      specs,
      payloadIds,
    }
  }
  return {
    kind: 'changes',
    previous: stampFromProto(proto.value.previous, 'Assignments', 'previous'),
    stamp: stampFromProto(proto.value.stamp, 'Assignments', 'stamp'),
    update: proto.value.update.map(assignedTaskFromProto),
    remove: proto.value.remove.map(taskId),
    specs,
    payloadIds,
  }
}

export function taskStatusToProto(status: TaskStatus): TaskStatusProto {
  return {
    ...status,
    connections: status.connections.map(connectionStatusToProto),
    health: taskHealthToProto(status.health),
  }
}

/** Errors: INVALID_ARGUMENT for missing fields and unknown states. */
export function taskStatusFromProto(proto: TaskStatusProto): TaskStatus {
  return {
    ...proto,
    taskId: taskId(required(proto.taskId, 'TaskStatus', 'task_id')),
    state: stateFromProto(proto.state, 'TaskStatus'),
    exitCode: proto.exitCode,
    connections: proto.connections.map(connectionStatusFromProto),
    health: taskHealthFromProto(proto.health),
  }
}

/** Errors: INVALID_ARGUMENT naming message and field when it is missing. */
export function stampFromProto(
  proto: StampProto | undefined,
  message: string,
  field: string,
): Stamp {
  return required(proto, message, field)
}

function assignedTaskToProto(task: AssignedTask): AssignedTaskProto {
  const { isDrained, isForNode, registryLoginId = '', ...same } = task
  const attachments = task.attachments.map(taskAttachmentToProto)
  return { ...same, attachments, drained: isDrained, forNode: isForNode, registryLoginId }
}

function assignedTaskFromProto(proto: AssignedTaskProto): AssignedTask {
  return {
    id: taskId(required(proto.id, 'AssignedTask', 'id')),
    serviceId: serviceId(required(proto.serviceId, 'AssignedTask', 'service_id')),
    serviceName: proto.serviceName,
    slot: proto.slot,
    isForNode: proto.forNode,
    specHash: specHash(required(proto.specHash, 'AssignedTask', 'spec_hash')),
    desiredState: stateFromProto(proto.desiredState, 'AssignedTask'),
    state: stateFromProto(proto.state, 'AssignedTask'),
    serviceLabels: proto.serviceLabels,
    attachments: proto.attachments.map((one) => taskAttachmentFromProto(one)),
    generic: genericFromProto(proto.generic),
    isDrained: proto.drained,
    ...(proto.registryLoginId !== '' && { registryLoginId: payloadId(proto.registryLoginId) }),
  }
}

function stateFromProto(value: number, message: string): TaskState {
  return required(isTaskState(value) ? value : undefined, message, `state (${value})`)
}

function specRecordToProto(record: TaskSpecRecord): TaskSpecRecordProto {
  return { hash: record.hash, spec: taskSpecToProto(record.spec) }
}

function specRecordFromProto(proto: TaskSpecRecordProto): TaskSpecRecord {
  const hash = specHash(required(proto.hash, 'TaskSpecRecord', 'hash'))
  return { hash, spec: taskSpecFromProto(required(proto.spec, 'TaskSpecRecord', 'spec')) }
}
