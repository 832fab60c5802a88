// Why a task was made: what became of the one before it in its place. For people and for the commands that explain.

export const taskReasons = [
  /** Its place was empty: the service is new or was scaled up. */
  'new',
  /** The one before it was of an earlier specification. */
  'update',
  'rollback',
  /** The one before it failed or was rejected. */
  'failure',
  /** The one before it ended without an error. */
  'ended',
  'node-down',
  'node-removed',
  'drain',
  /** The node no longer met a constraint. */
  'constraint',
  /** The node no longer had what was reserved. */
  'resources',
  /** Another node had fewer of the service. */
  'rebalance',
] as const

/** Empty: made by a program that did not note it. */
export type TaskReason = (typeof taskReasons)[number] | ''

export function isTaskReason(text: string): text is TaskReason {
  return text === '' || taskReasons.some((one) => one === text)
}
