// What a pure decision returns: changes as data, when to look again, and facts worth a log line.
import type { ServiceId } from './ids.ts'
import type { Node } from './node.ts'
import type { Service, UpdateStatus } from './service.ts'
import type { Task } from './task.ts'

export type PlannedChange =
  | { readonly kind: 'create'; readonly table: 'tasks'; readonly object: Task }
  /** `object.version` is the version the decision saw; the store refuses the change when it has moved on. */
  | { readonly kind: 'update'; readonly table: 'tasks'; readonly object: Task }
  | { readonly kind: 'update'; readonly table: 'nodes'; readonly object: Node }
  | { readonly kind: 'update'; readonly table: 'services'; readonly object: Service }
  /** The service's previous spec becomes its spec. */
  | {
      readonly kind: 'rollback'
      readonly table: 'services'
      readonly id: ServiceId
      readonly version: number
      readonly updateStatus: UpdateStatus
    }
  | {
      readonly kind: 'remove'
      readonly table: 'tasks'
      readonly id: string
      readonly version: number
    }

export interface PlanNote {
  readonly message: string
  readonly fields: Readonly<Record<string, string | number | boolean>>
}

export interface Plan {
  readonly changes: readonly PlannedChange[]
  /** Cluster time at which to decide again although nothing changed. */
  readonly wakeAtMs: number | undefined
  readonly notes: readonly PlanNote[]
}

/** What a pure decision may use beside its view. */
export interface DecisionEnv {
  /** Cluster time. */
  readonly nowMs: number
  /** The leader's wall clock, for schedules: it may be set, forth and back. */
  readonly wallMs: number
  readonly newId: () => string
  /** In [0, 1). */
  readonly random: () => number
}
