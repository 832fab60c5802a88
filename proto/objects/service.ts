// A service: the wish for a number of equal tasks.
import type { ServiceSpec, TaskSpec } from '../spec/service-spec.ts'
import type { ServiceId, SpecHash } from './ids.ts'

export interface Service {
  readonly id: ServiceId
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly spec: ServiceSpec
  readonly previousSpec: ServiceSpec | undefined
  /** Content address of spec.task. */
  readonly specHash: SpecHash
  /** Rises by one whenever spec.task changes, from 1; orders generations of tasks. */
  readonly specVersion: number
}

/** A task spec, kept once for all tasks that share it. */
export interface TaskSpecRecord {
  readonly hash: SpecHash
  readonly spec: TaskSpec
}
