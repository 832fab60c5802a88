// The disk as the log and the snapshots see it: one flat directory of append-only files. Small on
// purpose, so that the simulator can stand in with torn, lost and flipped bytes. Not a file system.
//
// Reads are synchronous; whatever waits for the device takes a callback. A callback is never called
// before the method returned, and never after the process it belongs to has crashed.

/** Called once, with the error if it failed. */
export type Done = (err?: Error) => void

/** Called once, with the new file, open, or the error. */
export type Created = (err: Error | undefined, file: DiskFile | undefined) => void

/**
 * A file of many small appends, each of which is synced. Zeros may be written behind an append, up to the next multiple
 * of `stepBytes` but not beyond `bytesMax`: they read as part of the file, and spare the device the new size that it
 * otherwise has to record with every sync.
 */
export interface Journal {
  readonly stepBytes: number
  readonly bytesMax: number
}

/** One flat directory. */
export interface Disk {
  /** Names of all files, in no order. Throws DiskError. */
  list(): readonly string[]
  /** Size in bytes. Throws DiskError when there is no such file. */
  size(name: string): number
  /** Up to `length` bytes from `offset`; shorter only at the end of the file. A fresh buffer. Throws DiskError. */
  read(name: string, offset: number, length: number): Uint8Array
  /** Creates an empty file, which must not exist. Its name is durable when the callback is called. */
  create(name: string, done: Created, journal?: Journal): void
  /**
   * Replaces `to` atomically; durable when the callback is called. The file's content must be synced before.
   * An open file stays open under its new name.
   */
  rename(from: string, to: string, done: Done): void
  /** Removes a file; no error when it is gone already. */
  remove(name: string, done: Done): void
}

/**
 * An open file. Calls may overlap; they take effect in order.
 *
 * What a crash leaves of appends that were not synced: any prefix of them, in which whole 512-byte
 * sectors (aligned in the file) may read as zeros. Synced bytes stay. In a journal zeros may follow.
 */
export interface DiskFile {
  /** Appends at the end, in a journal behind the last append. The bytes must not be changed before the callback. After an error the content past the last sync is unknown. */
  append(bytes: Uint8Array, done: Done): void
  /** Makes all appends before it durable (fdatasync). After an error the file must not be used again. */
  sync(done: Done): void
  /** Gives the file back; nothing follows. */
  close(done: Done): void
}

/** Why the disk refused; IO is everything that is not one of the others. */
export type DiskErrorCode = 'NOT_FOUND' | 'EXISTS' | 'FULL' | 'IO'

/** The device or the file system refused. FULL: no space or quota left. */
export class DiskError extends Error {
  readonly code: DiskErrorCode

  constructor(code: DiskErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.name = 'DiskError'
    this.code = code
  }
}

/** Appends and makes it durable; both are under way at once. */
export function appendAndSync(file: DiskFile, bytes: Uint8Array, done: Done): void {
  let failure: Error | undefined
  file.append(bytes, (err) => {
    failure ??= err
  })
  file.sync((err) => done(failure ?? err))
}
