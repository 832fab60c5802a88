// What all writing handlers share: request ids and optimistic locking.
import { SwarmError } from '../../proto/errors.ts'
import type { UpdateOptions } from '../store/store.ts'

/** Makes an update repeatable under the id its client gave it; without an id every call counts. */
export function repeatable(requestId: string, method: string): UpdateOptions {
  return requestId === '' ? { method } : { requestId, method }
}

/** Errors: OUT_OF_SEQUENCE when the object changed since the client read it. */
export function checkVersion(what: string, given: number, stored: number): void {
  if (given === stored) return
  throw new SwarmError(
    'OUT_OF_SEQUENCE',
    `update out of sequence: ${what} changed since it was read (version ${given} was given, it is at ${stored}); ` +
      'read it again and repeat the update',
    { details: { given, stored } },
  )
}
