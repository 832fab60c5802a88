// A task: one intended container of a service. Flat and of fixed shape, because there may be a million of them.
import type { GenericResource } from '../spec/generic-resource.ts'
import type { NodeId, ServiceId, SpecHash, TaskId } from './ids.ts'
import type { TaskAttachment } from './network.ts'
import type { TaskReason } from './task-reason.ts'
import { TaskState } from './task-state.ts'

export interface Task {
  readonly id: TaskId
  /** Store-wide version of the last change. */
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly serviceId: ServiceId
  /** From 1, in jobs from 0; 0 when it has none, but a node. */
  readonly slot: number
  /** Of a task without slot: the only node it is for. */
  readonly forNodeId: NodeId | undefined
  /** Undefined until the scheduler assigned it; never changed after that. */
  readonly nodeId: NodeId | undefined
  readonly specHash: SpecHash
  /** Service.specVersion when the task was made. */
  readonly specVersion: number
  /** What orchestrators want. */
  readonly desiredState: TaskState
  /** What was observed; only grows. */
  readonly state: TaskState
  /** Agent's wall clock when it saw the state. */
  readonly stateAtMs: number
  /** Cluster time when the state was applied. */
  readonly appliedAtMs: number
  readonly message: string
  readonly err: string
  readonly containerId: string
  readonly pid: number
  readonly exitCode: number | undefined
  /** While desired is READY: promoted to RUNNING not before this cluster time. 0: at once. */
  readonly startAtMs: number
  /** While desired is READY: promoted not before this task has ended. */
  readonly startAfterTaskId: TaskId | undefined
  /** Host ports in use, as "tcp/8080". */
  readonly hostPorts: readonly string[]
  /** One entry a network; they are the task's own until it has ended. Empty: on none, or not given yet. */
  readonly attachments: readonly TaskAttachment[]
  /** It is to stop, and no node leads connections to it any more: now its node may be told. */
  readonly isDrained: boolean
  /** Cluster time when it was first known to run; 0: never. */
  readonly ranAtMs: number
  readonly reason: TaskReason
  /** What it holds of its node's generic resources, one entry a kind; its own until it has ended. */
  readonly generic: readonly GenericResource[]
  /** The node that has the volumes of its slot; undefined: none is known to, or it needs none. */
  readonly volumeNodeId: NodeId | undefined
  /** Names of the volumes that are its slot's alone. */
  readonly slotVolumes: readonly string[]
  /** What it waits for before it is started, in words; empty: nothing. */
  readonly waitsFor: string
  /** What its node last said of its health check; undefined: it has none, or was not started yet. */
  readonly health: TaskHealth | undefined
  /** JobStatus.iteration, or CronRun.iteration, that it is part of; undefined: it is not of a job. */
  readonly jobIteration: number | undefined
}

/** Told with each change of state, and of failing probes now and then. */
export interface TaskHealth {
  readonly state: 'starting' | 'healthy' | 'unhealthy'
  /** Failed probes in a row. */
  readonly failures: number
  /** The last probe that failed, on its node's wall clock; 0: none did. */
  readonly failedAtMs: number
  /** What came of it: its beginning. */
  readonly output: string
}

/** What the tasks that follow one another in one place have in common: the number of their slot, or their node. */
export type Place = number | NodeId

/** Where the task stands in its service. */
export function placeOf({ forNodeId, slot }: Pick<Task, 'forNodeId' | 'slot'>): Place {
  return forNodeId ?? slot
}

/** Counts for the scheduler and for replicas: not asked to stop. */
export function isActive(task: Task): boolean {
  return task.desiredState <= TaskState.COMPLETE
}

/** Whether it is to run now: not later, and not to stop. */
export function isToRun({ desiredState }: Task): boolean {
  return desiredState === TaskState.RUNNING || desiredState === TaskState.COMPLETE
}

/**
 * Whether it is to stop, because that is wanted or it is unhealthy, but may still get connections that other nodes lead to
 * it: it runs on until it is drained.
 */
export function isDraining(task: Task): boolean {
  return (
    task.attachments.length > 0 &&
    task.state === TaskState.RUNNING &&
    (!isActive(task) || task.health?.state === 'unhealthy') &&
    !task.isDrained
  )
}

/** Whether it gets new connections, where it is on networks. */
export function isServing(task: Task): boolean {
  const runs = task.state === TaskState.RUNNING && isToRun(task)
  return runs && task.health?.state !== 'unhealthy'
}

/** Whether the task may hold resources of its node. */
export function holdsResources(task: Task): boolean {
  return task.nodeId !== undefined && task.state < TaskState.COMPLETE
}
