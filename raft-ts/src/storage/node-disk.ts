// A directory of the machine's own file system as a Disk. Directory entries are synced too: a file
// that was created or renamed is there after a power cut.
import {
  close,
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsync,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  readSync,
  rename,
  statSync,
  unlink,
  writev,
} from 'node:fs'
import { join } from 'node:path'
import {
  type Created,
  type Disk,
  DiskError,
  type DiskErrorCode,
  type DiskFile,
  type Done,
  type Journal,
} from './disk.ts'

type SystemCallback = (err: NodeJS.ErrnoException | null) => void

const newFile = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY
/** Linux syncs within the write itself: one way through the thread pool for a flush instead of two. */
const syncsWithWrite = process.platform === 'linux'

/** Opens a directory, which is created with mode 0700 when it is missing. Throws DiskError. */
export function openNodeDisk(directory: string): Disk {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (err) {
    throw diskError(`cannot create the directory ${directory}`, err)
  }
  return new NodeDisk(directory)
}

class NodeDisk implements Disk {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  list(): readonly string[] {
    return this.#sync('list', '', () =>
      readdirSync(this.#directory, { withFileTypes: true })
        .filter((item) => item.isFile())
        .map((item) => item.name),
    )
  }

  size(name: string): number {
    return this.#sync('look at', name, () => statSync(this.#path(name)).size)
  }

  read(name: string, offset: number, length: number): Uint8Array {
    return this.#sync('read', name, () => {
      const fd = openSync(this.#path(name), 'r')
      try {
        const wanted = Math.max(0, Math.min(length, fstatSync(fd).size - offset))
        const bytes = Buffer.allocUnsafeSlow(wanted)
        let got = 0
        while (got < wanted) {
          const count = readSync(fd, bytes, got, wanted - got, offset + got)
          if (count === 0) break
          got += count
        }
        return bytes.subarray(0, got)
      } finally {
        closeSync(fd)
      }
    })
  }

  create(name: string, done: Created, journal?: Journal): void {
    const path = this.#path(name)
    const isSyncing = journal !== undefined && syncsWithWrite
    open(path, isSyncing ? newFile | constants.O_DSYNC : newFile, 0o600, (err, fd) => {
      if (err !== null) return done(diskError(`cannot create ${path}`, err), undefined)
      this.#syncDirectory((syncErr) => {
        if (syncErr === undefined) {
          return done(undefined, new NodeDiskFile(fd, path, { isSyncing, journal }))
        }
        close(fd, () => done(syncErr, undefined))
      })
    })
  }

  rename(from: string, to: string, done: Done): void {
    const [source, target] = [this.#path(from), this.#path(to)]
    rename(source, target, (err) => {
      if (err !== null) return done(diskError(`cannot rename ${source} to ${target}`, err))
      this.#syncDirectory(done)
    })
  }

  remove(name: string, done: Done): void {
    const path = this.#path(name)
    unlink(path, (err) => {
      if (err?.code === 'ENOENT') return done()
      if (err !== null) return done(diskError(`cannot remove ${path}`, err))
      this.#syncDirectory(done)
    })
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }

  #sync<T>(what: string, name: string, run: () => T): T {
    try {
      return run()
    } catch (err) {
      throw diskError(`cannot ${what} ${this.#path(name)}`, err)
    }
  }

  #syncDirectory(done: Done): void {
    const failed = (err: unknown): void =>
      done(diskError(`cannot sync the directory ${this.#directory}`, err))
    open(this.#directory, 'r', (openErr, fd) => {
      if (openErr !== null) return failed(openErr)
      fsync(fd, (syncErr) => close(fd, () => (syncErr === null ? done() : failed(syncErr))))
    })
  }
}

interface Manner {
  /** Every write is synced when it is done. */
  readonly isSyncing: boolean
  readonly journal: Journal | undefined
}

/** Runs one system call at a time, in the order of the calls; after an error none. */
class NodeDiskFile implements DiskFile {
  readonly #fd: number
  readonly #path: string
  readonly #how: Manner
  /** Where the next append goes. */
  #at = 0
  /** How far the file reaches, zeros included. */
  #size = 0
  #queue: ((next: () => void) => void)[] = []
  #isRunning = false
  #failure: Error | undefined

  constructor(fd: number, path: string, how: Manner) {
    this.#fd = fd
    this.#path = path
    this.#how = how
  }

  append(bytes: Uint8Array, done: Done): void {
    this.#enqueue('write to', (called) => this.#write(bytes, called), done)
  }

  sync(done: Done): void {
    const run = this.#how.isSyncing
      ? (called: SystemCallback) => queueMicrotask(() => called(null))
      : (called: SystemCallback) => fdatasync(this.#fd, called)
    this.#enqueue('sync', run, done)
  }

  close(done: Done): void {
    this.#push((next) => {
      close(this.#fd, (err) => {
        done(err === null ? undefined : diskError(`cannot close ${this.#path}`, err))
        next()
      })
    })
  }

  /** Zeros ride along as far as the device takes them: they are no loss. */
  #write(bytes: Uint8Array, called: SystemCallback): void {
    const zeros = this.#zerosBehind(this.#at + bytes.length)
    writev(this.#fd, zeros > 0 ? [bytes, Buffer.alloc(zeros)] : [bytes], this.#at, (err, count) => {
      if (err !== null) return called(err)
      this.#size = Math.max(this.#size, this.#at + count)
      this.#at += Math.min(count, bytes.length)
      if (count >= bytes.length) called(null)
      else this.#write(bytes.subarray(count), called)
    })
  }

  #zerosBehind(end: number): number {
    const { journal } = this.#how
    if (journal === undefined || end <= this.#size) return 0
    const { stepBytes, bytesMax } = journal
    return Math.max(0, Math.min(Math.ceil(end / stepBytes) * stepBytes, bytesMax) - end)
  }

  #enqueue(what: string, run: (called: SystemCallback) => void, done: Done): void {
    this.#push((next) => {
      if (this.#failure !== undefined) {
        done(this.#failure)
        next()
        return
      }
      run((err) => {
        if (err !== null) this.#failure = diskError(`cannot ${what} ${this.#path}`, err)
        done(this.#failure)
        next()
      })
    })
  }

  #push(step: (next: () => void) => void): void {
    this.#queue.push(step)
    if (!this.#isRunning) this.#runNext()
  }

  #runNext(): void {
    const step = this.#queue.shift()
    this.#isRunning = step !== undefined
    step?.(() => this.#runNext())
  }
}

/** An error of the operating system as a DiskError; `cause` is kept. */
export function diskError(message: string, cause: unknown): DiskError {
  const system = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const text = cause instanceof Error ? cause.message : String(cause)
  return new DiskError(errorCode(system), `${message}: ${text}`, cause)
}

function errorCode(system: string): DiskErrorCode {
  if (system === 'ENOENT') return 'NOT_FOUND'
  if (system === 'EEXIST') return 'EXISTS'
  return system === 'ENOSPC' || system === 'EDQUOT' ? 'FULL' : 'IO'
}
