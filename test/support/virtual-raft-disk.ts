// A disk in memory on a given clock, for Raft members of a simulated cluster. After a crash only what was
// synced is left. raft-ts's own simulator has a nastier one.
import { type Disk, DiskError, type DiskFile, type Done } from 'raft-ts'
import type { Clock } from '../../proto/lib/clock.ts'

interface StoredFile {
  bytes: Buffer
  syncedBytes: number
}

export class VirtualRaftDisk implements Disk {
  readonly #clock: Clock
  readonly #files = new Map<string, StoredFile>()
  /** What an operation takes. */
  delayMs = 0.2
  #life = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The host stops: nobody is called back any more, and what was not synced is gone. */
  crash(): void {
    this.#life += 1
    for (const file of this.#files.values()) {
      file.bytes = Buffer.from(file.bytes.subarray(0, file.syncedBytes))
    }
  }

  list(): readonly string[] {
    return [...this.#files.keys()]
  }

  size(name: string): number {
    return this.#file(name).bytes.length
  }

  read(name: string, offset: number, length: number): Uint8Array {
    return Uint8Array.from(this.#file(name).bytes.subarray(offset, offset + length))
  }

  create(name: string, done: (err: Error | undefined, file: DiskFile | undefined) => void): void {
    this.#later(() => {
      if (this.#files.has(name)) {
        done(new DiskError('EXISTS', `file ${name} exists`), undefined)
        return
      }
      const file = { bytes: Buffer.alloc(0), syncedBytes: 0 }
      this.#files.set(name, file)
      done(undefined, this.#handle(file))
    })
  }

  rename(from: string, to: string, done: Done): void {
    this.#later(() => {
      this.#files.set(to, this.#file(from))
      this.#files.delete(from)
      done()
    })
  }

  remove(name: string, done: Done): void {
    this.#later(() => {
      this.#files.delete(name)
      done()
    })
  }

  #handle(file: StoredFile): DiskFile {
    return {
      append: (bytes, done) => {
        const copy = Buffer.from(bytes)
        this.#later(() => {
          file.bytes = Buffer.concat([file.bytes, copy])
          done()
        })
      },
      sync: (done) =>
        this.#later(() => {
          file.syncedBytes = file.bytes.length
          done()
        }),
      close: (done) => this.#later(() => done()),
    }
  }

  #file(name: string): StoredFile {
    const file = this.#files.get(name)
    if (file === undefined) throw new DiskError('NOT_FOUND', `there is no file ${name}`)
    return file
  }

  #later(run: () => void): void {
    const life = this.#life
    this.#clock.setTimer(this.delayMs, () => {
      if (life === this.#life) run()
    })
  }
}
