// Somebody worked in the container of a task: kept so that it can be told who and when.
import type { NodeId, TaskId } from './ids.ts'

export interface Access {
  readonly id: string
  /** As events name it: exec_start, attach, copy, port_forward. */
  readonly action: string
  readonly taskId: TaskId
  /** Where the client is. */
  readonly clientNodeId: NodeId
  /** Who its user is, by its own word. */
  readonly clientUser: string
  /** What was asked for; no values of environment variables. */
  readonly attributes: Readonly<Record<string, string>>
}
