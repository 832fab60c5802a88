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
  if (raftErrorCode(err) === 'RESOURCE_EXHAUSTED') {
    return `${text}; free space on the file system of the state directory and start the daemon again`
  }
  if (!isOfDevice(err)) return text
  return (
    `${text}; the device of the state directory failed and nothing is written to it any more: ` +
    'see the kernel log, and start the daemon again once the device is sound'
  )
}

/** The device refused to read or to write, or the file system was made read-only because it did. */
function isOfDevice(err: unknown): boolean {
  if (err instanceof LogFailedError) return isOfDevice(err.cause)
  const system = err instanceof DiskError ? err.cause : undefined
  return system instanceof Error && 'code' in system && /^(EIO|EROFS)$/.test(String(system.code))
}

/** `cause` is kept. */
export function raftError(err: unknown): SwarmError {
  if (err instanceof SwarmError) return err
  return new SwarmError(raftErrorCode(err), raftErrorText(err), { cause: err })
}
