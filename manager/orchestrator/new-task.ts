// How a task of a service begins.
import {
  type DecisionEnv,
  type NodeId,
  needsAddresses,
  noGeneric,
  type Place,
  type Service,
  type Task,
  type TaskId,
  type TaskReason,
  TaskState,
  taskId,
} from '../../proto/objects/index.ts'
import { slotVolumesOf } from './slot-volumes.ts'

export interface TaskStart {
  /** READY: prepared now, started later. */
  readonly desiredState: typeof TaskState.RUNNING | typeof TaskState.READY
  readonly startAtMs: number
  readonly startAfterTaskId: TaskId | undefined
  readonly reason: TaskReason
  /** In words; absent: nothing. */
  readonly waitsFor?: string
  /** That has the volumes of its slot; absent: none is known to. */
  readonly volumeNodeId?: NodeId | undefined
  /** The run of a job that it is part of. */
  readonly jobIteration?: number | undefined
}

/** Started as soon as it can be. */
export const startAtOnce: TaskStart = {
  desiredState: TaskState.RUNNING,
  startAtMs: 0,
  startAfterTaskId: undefined,
  reason: 'new',
}

/** A task of the service as it is now, waiting for the scheduler, or for the allocator first. */
export function newTask(service: Service, place: Place, start: TaskStart, env: DecisionEnv): Task {
  const isNew = needsAddresses(service.spec.task)
  return {
    id: taskId(env.newId()),
    version: 0,
    createdAtMs: env.nowMs,
    updatedAtMs: env.nowMs,
    serviceId: service.id,
    slot: typeof place === 'number' ? place : 0,
    forNodeId: typeof place === 'number' ? undefined : place,
    nodeId: undefined,
    specHash: service.specHash,
    specVersion: service.specVersion,
    desiredState: desiredStateOf(start),
    state: isNew ? TaskState.NEW : TaskState.PENDING,
    stateAtMs: env.nowMs,
    appliedAtMs: env.nowMs,
    message: isNew ? 'created' : 'pending task scheduling',
    err: '',
    containerId: '',
    pid: 0,
    exitCode: undefined,
    startAtMs: start.startAtMs,
    startAfterTaskId: start.startAfterTaskId,
    hostPorts: [],
    attachments: [],
    isDrained: false,
    ranAtMs: 0,
    reason: start.reason,
    generic: noGeneric,
    volumeNodeId: start.volumeNodeId,
    slotVolumes: typeof place === 'number' ? slotVolumesOf(service, place) : [],
    waitsFor: start.waitsFor ?? '',
    health: undefined,
    jobIteration: start.jobIteration,
  }
}

function desiredStateOf({ desiredState, jobIteration }: TaskStart): TaskState {
  return desiredState === TaskState.READY ? desiredState : wantedState({ jobIteration })
}

/** What a task is to come to: a job to its end. */
export function wantedState({ jobIteration }: Pick<TaskStart, 'jobIteration'>): TaskState {
  return jobIteration === undefined ? TaskState.RUNNING : TaskState.COMPLETE
}
