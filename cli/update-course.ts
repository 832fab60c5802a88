// What the status of a service's update means for who waits for it.
import { SwarmError } from '../proto/errors.ts'
import type { WatchServiceResponse } from '../proto/gen/tsswarm/v1/control.ts'

/** Whether a failure may still take back what runs now, or is just doing so: then it is worth waiting for. */
export function isOnProbation(update: WatchServiceResponse, isRollback: boolean): boolean {
  const service = update.service?.service
  const state = service?.updateStatus?.state
  if (state === 'rollback_started') return !isRollback
  return state === 'updating' && service?.spec?.update?.failureAction === 'rollback'
}

/** Why the service will not become what was asked for; undefined: it may. */
export function failureOf(
  update: WatchServiceResponse,
  { name, isRollback }: { readonly name: string; readonly isRollback: boolean },
): SwarmError | undefined {
  const { state, message } = update.service?.service?.updateStatus ?? { state: '', message: '' }
  const look = `See \`tsswarm service ps --no-trunc ${name}\``
  if (state === 'paused' || state === 'rollback_paused') {
    return new SwarmError(
      'FAILED_PRECONDITION',
      `service ${name}: ${message}. ${look}; mend it with \`tsswarm service update\`, or go back with \`tsswarm service rollback ${name}\``,
    )
  }
  if (state !== 'rollback_completed' || isRollback) return undefined
  return new SwarmError('FAILED_PRECONDITION', `service ${name} was rolled back. ${look}`)
}
