// What the status of a service's update means for who waits for it.
import { SwarmError } from '../proto/errors.ts'
import type { WatchServiceResponse } from '../proto/gen/tsswarm/v1/control.ts'
import { isTaskState, taskStateName } from '../proto/objects/task-state.ts'
import { defaultUpdatePolicy } from '../proto/spec/service-spec.ts'

/**
 * All tasks must have been running for this long. Swarm waits five seconds; a container that dies right after its start
 * shows within one, and later failures are the restart policy's business.
 */
export const stableMs = 1_000

/** Whether a failure may still take back what runs now, or is just doing so: then it is worth waiting for. */
export function isOnProbation(update: WatchServiceResponse, isRollback: boolean): boolean {
  const service = update.service?.service
  const state = service?.updateStatus?.state
  if (state === 'rollback_started') return !isRollback
  return state === 'updating' && service?.spec?.update?.failureAction === 'rollback'
}

/**
 * For how long all tasks must have been running: as long as a failure of one would pause the update, and no longer once the cluster says that
 * it is over, but always for as long as nodes take to hear of tasks. Source: Docker's client, which waits for the monitor time.
 */
export function provingMs(update: WatchServiceResponse, isRollback: boolean): number {
  const service = update.service?.service
  // A spec that says nothing of one has the usual one.
  const policy =
    (isRollback ? service?.spec?.rollback : service?.spec?.update) ?? defaultUpdatePolicy
  switch (service?.updateStatus?.state) {
    case 'completed':
    case 'rollback_completed':
      return policy.monitorMs < stableMs ? stableMs : 0
    case 'updating':
    case 'rollback_started':
      return policy.failureAction === 'continue' ? stableMs : Math.max(stableMs, policy.monitorMs)
    default:
      return stableMs
  }
}

/** Why the update is at an end or goes back, with the words of the task that is to blame; empty: it is not said. */
export function causeOf(update: WatchServiceResponse): string {
  const { message = '', state } = update.service?.service?.updateStatus ?? {}
  if (state !== 'paused' && state !== 'rollback_paused' && state !== 'rollback_started') return ''
  // The status ends with its id, as Swarm's does.
  const blamed = update.tasks.find(
    ({ task }) => task !== undefined && message.endsWith(` ${task.id}`),
  )
  if (blamed?.task === undefined) return message
  const { err, state: at, slot, forNodeId } = blamed.task
  const place = forNodeId === '' ? slot : forNodeId
  const why = err === '' && isTaskState(at) ? `the task is ${taskStateName(at)}` : err
  return `${message}: ${blamed.serviceName}.${place}: ${why}`
}

export interface Awaited {
  readonly name: string
  readonly isRollback: boolean
  /** Why it went back, when that was seen. */
  readonly cause: string
}

/** Why the service will not become what was asked for; undefined: it may. */
export function failureOf(
  update: WatchServiceResponse,
  { name, isRollback, cause }: Awaited,
): SwarmError | undefined {
  const { state = '' } = update.service?.service?.updateStatus ?? {}
  const look = `See \`tsswarm service ps --no-trunc ${name}\``
  if (state === 'paused' || state === 'rollback_paused') {
    return new SwarmError(
      'FAILED_PRECONDITION',
      `service ${name}: ${causeOf(update)}. ${look}; mend it with \`tsswarm service update\`, or go back with \`tsswarm service rollback ${name}\``,
    )
  }
  if (state !== 'rollback_completed' || isRollback) return undefined
  const why = cause === '' ? '' : `: ${cause}`
  return new SwarmError('FAILED_PRECONDITION', `service ${name} was rolled back${why}. ${look}`)
}
