// What a manager tells an agent to run, and what the agent says of it. Not for sessions and heartbeats.
import type { GenericResource } from '../spec/generic-resource.ts'
import type { TaskSpec } from '../spec/service-spec.ts'
import type { PayloadId, ServiceId, SpecHash, TaskId } from './ids.ts'
import type { ConnectionStatus, TaskAttachment } from './network.ts'
import type { TaskSpecRecord } from './service.ts'
import type { TaskHealth } from './task.ts'
import type { TaskState } from './task-state.ts'

/** Orders assignments over force-new-cluster (epoch) and Raft indexes. */
export interface Stamp {
  readonly epoch: number
  readonly index: number
}

/** Below 0 when a is older than b. */
export function compareStamps(a: Stamp, b: Stamp): number {
  return a.epoch - b.epoch || a.index - b.index
}

/** What an agent must know of one of its tasks, beside the spec. */
export interface AssignedTask {
  readonly id: TaskId
  readonly serviceId: ServiceId
  readonly serviceName: string
  /** 0 when isForNode. */
  readonly slot: number
  /** It has no slot: it is named after its node. */
  readonly isForNode: boolean
  readonly specHash: SpecHash
  readonly desiredState: TaskState
  /** The state the store knows; the agent never reports an earlier one. */
  readonly state: TaskState
  readonly serviceLabels: Readonly<Record<string, string>>
  /** Its addresses, one entry a network. */
  readonly attachments: readonly TaskAttachment[]
  /** What it holds of the node's generic resources, one entry a kind. */
  readonly generic: readonly GenericResource[]
  /** No node leads connections to it any more. */
  readonly isDrained: boolean
  /** The payload with which its image is pulled; absent: none. */
  readonly registryLoginId?: PayloadId | undefined
}

/** `set` is everything assigned to the node; `changes` hold on top of exactly `previous`. */
export type AssignmentUpdate =
  | {
      readonly kind: 'set'
      readonly stamp: Stamp
      readonly tasks: readonly AssignedTask[]
      readonly specs: readonly TaskSpecRecord[]
      /** Secrets and configs that the node is to have, all of them; absent: none. */
      readonly payloadIds?: readonly PayloadId[]
    }
  | {
      readonly kind: 'changes'
      readonly previous: Stamp
      readonly stamp: Stamp
      readonly update: readonly AssignedTask[]
      readonly remove: readonly TaskId[]
      readonly specs: readonly TaskSpecRecord[]
      readonly payloadIds?: readonly PayloadId[]
    }

/** All that is assigned to a node as of a stamp; each spec once. */
export interface Assignments {
  /** Undefined before the first set. */
  readonly stamp: Stamp | undefined
  readonly tasks: ReadonlyMap<TaskId, AssignedTask>
  readonly specs: ReadonlyMap<SpecHash, TaskSpec>
}

/** An agent's report of one task. */
export interface TaskStatus {
  readonly taskId: TaskId
  readonly state: TaskState
  /** Agent's wall clock when it saw the state. */
  readonly atMs: number
  readonly message: string
  readonly err: string
  readonly containerId: string
  readonly pid: number
  readonly exitCode: number | undefined
  /** Host ports in use, as "tcp/8080". */
  readonly hostPorts: readonly string[]
  /** Of networks that it was connected to while it ran. */
  readonly connections: readonly ConnectionStatus[]
  /** Undefined: it has no health check, or was not started yet. */
  readonly health: TaskHealth | undefined
}
