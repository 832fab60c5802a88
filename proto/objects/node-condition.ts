// What does not work on a node, as its agent tells the cluster: few, short, and each with a code that programs know it by.
import type { ServiceId } from './ids.ts'

/** Codes of this program; nodes of a newer one may say others. */
export type ConditionCode =
  /** Another program of the host holds a published port, which is not open there. */
  | 'PORT_TAKEN'
  /** A program of the host waits in vain on a port that was published before. */
  | 'PORT_SHADOWED'
  /** Packets of the overlay do not reach another node. */
  | 'PEER_UNREACHABLE'
  /** The server of the bus does not run. */
  | 'BUS_DOWN'
  /** The node's local network meets a network of the cluster. */
  | 'SUBNET_CLASH'
  /** Images that nothing used were removed, since they filled the disk. */
  | 'IMAGES_REMOVED'
  /** Images fill the disk, and none can be removed. */
  | 'IMAGES_FILL_DISK'
  /** There are more than fit. */
  | 'MORE'

export interface NodeCondition {
  /** A ConditionCode, or one that this program does not know; empty from nodes of older programs. */
  readonly code: string
  /** What is wrong, with which object, and what to do. */
  readonly message: string
  /** The service that suffers from it there; undefined: all or none. */
  readonly serviceId?: ServiceId
}

export const conditionsMax = 16
export const conditionMessageMax = 400
const codeMax = 32

/**
 * At most conditionsMax of them, in one line each and no longer than conditionMessageMax; equal ones once. When there are more, the
 * last says how many were left out.
 */
export function boundConditions(all: readonly NodeCondition[]): readonly NodeCondition[] {
  const distinct = new Map(all.map((one) => [JSON.stringify(one), one]))
  const conditions = [...distinct.values()].slice(0, conditionsMax).map(bound)
  const left = distinct.size - conditions.length
  if (left === 0) return conditions
  const more = { code: 'MORE', message: `${left + 1} more problems are not shown` }
  return [...conditions.slice(0, -1), more]
}

function bound(condition: NodeCondition): NodeCondition {
  // Texts of others end up on terminals.
  const line = condition.message.replaceAll(/\p{Cc}+/gu, ' ').trim()
  const isLong = line.length > conditionMessageMax
  const message = isLong ? `${line.slice(0, conditionMessageMax - 1)}…` : line
  const code = condition.code.replaceAll(/[^A-Z0-9_]/g, '').slice(0, codeMax)
  return { ...condition, code, message }
}
