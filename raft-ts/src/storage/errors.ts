// What storage reports: typed, so that a driver decides by class and never by text.

/**
 * The log or a snapshot is not what was written: it must neither vote nor serve until it is
 * repaired from a peer. Never thrown for a torn tail, which is an ordinary crash.
 */
export class DamagedLogError extends Error {
  readonly file: string
  readonly offset: number
  readonly reason: string

  constructor(file: string, offset: number, reason: string, cause?: unknown) {
    super(
      `the Raft log is damaged: file ${file} at byte ${offset}: ${reason}; ` +
        'repair this member from a healthy one, or remove it and join it anew',
      cause === undefined ? {} : { cause },
    )
    this.name = 'DamagedLogError'
    this.file = file
    this.offset = offset
    this.reason = reason
  }
}

/**
 * The log is damaged, and so is the copy of its newest vote, or it is missing: which terms this member
 * voted in is not known, so that no repair lets it vote again under its id.
 */
export class LostVoteError extends DamagedLogError {
  constructor(damage: DamagedLogError, copy: string) {
    const { file, offset, reason } = damage
    super(file, offset, reason, damage)
    this.name = 'LostVoteError'
    this.message =
      `the Raft log is damaged: file ${file} at byte ${offset}: ${reason}; ${copy}, so it is not known ` +
      'in which terms this member voted, and it is not repaired: remove this member and join it anew'
  }
}

/** None of the key-encryption keys given opens the data keys of this directory. */
export class WrongKeyError extends Error {
  constructor(cause?: unknown) {
    super(
      'the key given does not open the Raft log of this directory; give the key that its data keys were ' +
        'wrapped with last',
      cause === undefined ? {} : { cause },
    )
    this.name = 'WrongKeyError'
  }
}

/** The directory was written by a newer version or belongs to another group. */
export class ForeignLogError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ForeignLogError'
  }
}

/** A flush failed before, so nothing is written any more; `cause` is the first failure. */
export class LogFailedError extends Error {
  constructor(cause: unknown) {
    super('an earlier write to the Raft log failed, so it takes no more', { cause })
    this.name = 'LogFailedError'
  }
}
