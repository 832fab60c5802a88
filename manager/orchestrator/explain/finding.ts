// One thing to know about an object of the cluster, and the words that several findings share.
import type { Node, NodeId } from '../../../proto/objects/index.ts'
import type { NodeRefusal } from '../../../scheduler/explain.ts'

export type FindingCode =
  | 'STATE'
  | 'PENDING'
  | 'ADDRESSES'
  | 'FAILED'
  | 'RETRIES'
  | 'GIVEN_UP'
  | 'MADE'
  | 'WAITS'
  | 'DEPENDENCY'
  | 'HEALTH'
  | 'DRAINS'
  | 'STOPS'
  | 'NODE_LOST'
  | 'UPDATE'
  | 'REBALANCE'
  | 'AVAILABILITY'
  | 'CONDITION'
  | 'RESOURCES'
  | 'TASKS'
  | 'PAYLOAD'
  | 'NEXT_RUN'
  | 'RUN'
  | 'LAST_RUN'
  | 'MISSED_RUN'
  | 'SUSPENDED'

export interface Finding {
  readonly code: FindingCode
  /** One sentence, without a full stop. */
  readonly text: string
  /** What it goes back to, the nearest cause first. */
  readonly causes?: readonly string[]
  /** Of a pending task: what each node says. */
  readonly refusals?: readonly NodeRefusal[]
  /** What to do; absent: nothing. */
  readonly remedy?: string
}

/** "3 s", "4 min", "2 h", "5 d". */
export function spanText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800
    ? `${Math.round(seconds / 3_600)} h`
    : `${Math.round(seconds / 86_400)} d`
}

export function nodeText(id: NodeId | undefined, node: Node | undefined): string {
  if (id === undefined) return 'no node'
  return `node ${node?.description?.hostname || id}`
}
