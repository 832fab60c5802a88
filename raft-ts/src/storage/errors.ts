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

/** The key-encryption key given does not open the data key of this directory. */
export class WrongKeyError extends Error {
  constructor(cause?: unknown) {
    super(
      'the key given does not open the Raft log of this directory; give the key it was made with',
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
