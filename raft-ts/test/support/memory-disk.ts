// A disk in memory with faults, for the storage tests: operations run when the test says so, and a
// crash leaves what the Disk contract allows.
import { type Disk, DiskError, type DiskFile, type Done } from 'raft-ts'

interface StoredFile {
  bytes: Buffer
  /** Bytes that survive a power cut. */
  durable: number
}

export interface Crash {
  /** How many of a file's bytes that were not synced are left. */
  readonly keep: (name: string, unsynced: number) => number
  /** Whether a 512-byte sector beyond the synced part reads as zeros. */
  readonly blank?: (name: string, sector: number) => boolean
}

export class MemoryDisk implements Disk {
  readonly files = new Map<string, StoredFile>()
  /** Throws to make an operation fail. */
  fault: (operation: string, name: string) => void = () => {}
  readonly counts = { append: 0, sync: 0 }
  #queue: (() => void)[] = []
  #epoch = 0

  list(): readonly string[] {
    return [...this.files.keys()]
  }

  size(name: string): number {
    return this.#file(name).bytes.length
  }

  read(name: string, offset: number, length: number): Uint8Array {
    this.fault('read', name)
    return Uint8Array.from(this.#file(name).bytes.subarray(offset, offset + length))
  }

  create(name: string, done: (err: Error | undefined, file: DiskFile | undefined) => void): void {
    this.#later(() => {
      const err = this.#failure('create', name)
      if (err !== undefined) return done(err, undefined)
      if (this.files.has(name)) return done(new DiskError('EXISTS', name), undefined)
      this.files.set(name, { bytes: Buffer.alloc(0), durable: 0 })
      done(undefined, this.#handle(name))
    })
  }

  rename(from: string, to: string, done: Done): void {
    this.#later(() => {
      const err = this.#failure('rename', from)
      if (err !== undefined) return done(err)
      this.files.set(to, this.#file(from))
      this.files.delete(from)
      done()
    })
  }

  remove(name: string, done: Done): void {
    this.#later(() => {
      const err = this.#failure('remove', name)
      if (err === undefined) this.files.delete(name)
      done(err)
    })
  }

  /** Runs at most `limit` operations; returns how many ran. */
  run(limit = Number.POSITIVE_INFINITY): number {
    let ran = 0
    while (ran < limit) {
      const next = this.#queue.shift()
      if (next === undefined) break
      next()
      ran += 1
    }
    return ran
  }

  /** The machine stops: what waits never happens and nobody is called back. */
  crash({ keep, blank }: Crash): void {
    this.#queue = []
    this.#epoch += 1
    for (const [name, file] of this.files) {
      const kept = file.durable + keep(name, file.bytes.length - file.durable)
      const bytes = Buffer.from(file.bytes.subarray(0, kept))
      for (let at = file.durable; at < kept; at++) {
        if (blank?.(name, Math.floor(at / 512))) bytes[at] = 0
      }
      this.files.set(name, { bytes, durable: kept })
    }
  }

  /** A disk of its own with the same content. */
  copy(): MemoryDisk {
    const copy = new MemoryDisk()
    for (const [name, { bytes, durable }] of this.files) {
      copy.files.set(name, { bytes: Buffer.from(bytes), durable })
    }
    return copy
  }

  /** Changes one bit of what is stored. */
  flip(name: string, bit: number): void {
    const { bytes } = this.#file(name)
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  }

  truncate(name: string, length: number): void {
    const file = this.#file(name)
    file.bytes = file.bytes.subarray(0, length)
    file.durable = Math.min(file.durable, length)
  }

  #file(name: string): StoredFile {
    const file = this.files.get(name)
    if (file === undefined) throw new DiskError('NOT_FOUND', `no file ${name}`)
    return file
  }

  #failure(operation: string, name: string): Error | undefined {
    try {
      this.fault(operation, name)
      return undefined
    } catch (err) {
      return err as Error
    }
  }

  #later(run: () => void): void {
    const epoch = this.#epoch
    this.#queue.push(() => {
      if (epoch === this.#epoch) run()
    })
  }

  #handle(name: string): DiskFile {
    const step = (operation: 'append' | 'sync', run: () => void, done: Done): void =>
      this.#later(() => {
        const err = this.#failure(operation, name)
        if (err === undefined) {
          this.counts[operation] += 1
          run()
        }
        done(err)
      })
    const file = this.#fileLater(name)
    return {
      append: (bytes, done) => {
        const copy = Buffer.from(bytes)
        step('append', () => append(file(), copy), done)
      },
      sync: (done) => step('sync', () => markSynced(file()), done),
      close: (done) => this.#later(() => done()),
    }
  }

  /** A handle follows its file when it is renamed. */
  #fileLater(name: string): () => StoredFile {
    const stored = this.#file(name)
    return () => stored
  }
}

function append(file: StoredFile, bytes: Buffer): void {
  file.bytes = Buffer.concat([file.bytes, bytes])
}

function markSynced(file: StoredFile): void {
  file.durable = file.bytes.length
}
