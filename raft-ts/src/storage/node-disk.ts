// A directory of the machine's own file system as a Disk. Directory entries are synced too: a file
// that was created or renamed is there after a power cut.
import {
  close,
  closeSync,
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
  write,
} from 'node:fs'
import { join } from 'node:path'
import { type Disk, DiskError, type DiskErrorCode, type DiskFile, type Done } from './disk.ts'

type Opened = (err: Error | undefined, file: DiskFile | undefined) => void
type SystemCallback = (err: NodeJS.ErrnoException | null) => void

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

  create(name: string, done: Opened): void {
    const path = this.#path(name)
    open(path, 'wx', 0o600, (err, fd) => {
      if (err !== null) return done(diskError(`cannot create ${path}`, err), undefined)
      this.#syncDirectory((syncErr) => {
        if (syncErr === undefined) return done(undefined, new NodeDiskFile(fd, path))
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

/** Runs one system call at a time, in the order of the calls; after an error none. */
class NodeDiskFile implements DiskFile {
  readonly #fd: number
  readonly #path: string
  #queue: ((next: () => void) => void)[] = []
  #isRunning = false
  #failure: Error | undefined

  constructor(fd: number, path: string) {
    this.#fd = fd
    this.#path = path
  }

  append(bytes: Uint8Array, done: Done): void {
    this.#enqueue('write to', (called) => this.#writeAll(bytes, called), done)
  }

  sync(done: Done): void {
    this.#enqueue('sync', (called) => fdatasync(this.#fd, called), done)
  }

  close(done: Done): void {
    this.#push((next) => {
      close(this.#fd, (err) => {
        done(err === null ? undefined : diskError(`cannot close ${this.#path}`, err))
        next()
      })
    })
  }

  #writeAll(bytes: Uint8Array, called: SystemCallback): void {
    write(this.#fd, bytes, 0, bytes.length, null, (err, count) => {
      if (err !== null || count === bytes.length) called(err)
      else this.#writeAll(bytes.subarray(count), called)
    })
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
