// Errors of the Raft library as SwarmErrors, with what to do about them.
import { DamagedLogError, DiskError, ForeignLogError, LogFailedError, WrongKeyError } from 'raft-ts'
import { type ErrorCode, SwarmError } from '../../proto/errors.ts'

/** The code under which the rest of the daemon decides. */
export function raftErrorCode(err: unknown): ErrorCode {
  if (err instanceof SwarmError) return err.code
  if (err instanceof DamagedLogError) return 'DATA_LOSS'
  if (err instanceof WrongKeyError || err instanceof ForeignLogError) return 'FAILED_PRECONDITION'
  if (err instanceof LogFailedError) return raftErrorCode(err.cause)
  if (err instanceof DiskError && err.code === 'FULL') return 'RESOURCE_EXHAUSTED'
  return 'INTERNAL'
}

/** What happened and what to do, for people. */
export function raftErrorText(err: unknown): string {
  const text = err instanceof Error ? err.message : String(err)
  if (raftErrorCode(err) !== 'RESOURCE_EXHAUSTED') return text
  return `${text}; free space on the file system of the state directory and start the daemon again`
}

/** `cause` is kept. */
export function raftError(err: unknown): SwarmError {
  if (err instanceof SwarmError) return err
  return new SwarmError(raftErrorCode(err), raftErrorText(err), { cause: err })
}
