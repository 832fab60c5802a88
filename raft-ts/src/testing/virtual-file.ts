// An open file on a virtual disk: appends and flushes take effect in order, after a while.
import { DiskError, type DiskFile, type Done, type Journal } from '../storage/disk.ts'

/** A file's bytes, which outlive the processes that open it. */
export interface StoredFile {
  /** All appended bytes and the zeros behind them, in a buffer that grows. */
  bytes: Uint8Array
  /** As it reads: in a journal zeros behind the appends included. */
  length: number
  /** Where the next append goes. */
  appended: number
  syncedLength: number
  /** What `length` is for certain after a crash. */
  syncedSize: number
  readonly journal: Journal | undefined
}

/** How the disk behaves at present; may be changed at any time. */
export interface DiskWeather {
  readonly appendMs: readonly [number, number]
  readonly syncMs: readonly [number, number]
  /** Probability that a write or sync fails; the file is of no use after that. */
  readonly failing: number
}

/**
 * Where a process may die: bytes are written and not yet flushed, a flush was asked for, a flush is done and its
 * process does not know yet, a change of names is under way.
 */
export type DiskMoment = 'append' | 'sync' | 'synced' | 'rename'

/** What a file needs of its disk. */
export interface Device {
  readonly weather: DiskWeather
  /** Whether the next write fails. */
  readonly isFailing: boolean
  readonly crashes: number
  readonly onMoment: (moment: DiskMoment) => void
  later(rangeMs: readonly [number, number], fn: () => void): void
}

/** An open file of one process: of no effect once that process is gone. */
export class VirtualFile implements DiskFile {
  readonly #stored: StoredFile
  readonly #disk: Device
  readonly #skipsFlush: boolean
  /** Of the disk, when the file was opened. */
  readonly #crashes: number
  /** Calls take effect in order: each waits for the one before. */
  readonly #queue: (() => void)[] = []
  #isBusy = false

  constructor(stored: StoredFile, disk: Device, skipsFlush: boolean) {
    this.#stored = stored
    this.#disk = disk
    this.#skipsFlush = skipsFlush
    this.#crashes = disk.crashes
  }

  get #isStale(): boolean {
    return this.#disk.crashes !== this.#crashes
  }

  append(bytes: Uint8Array, done: Done): void {
    if (this.#isStale) return
    // In the page cache at once: a crash may keep it, whether or not the callback came.
    if (this.#disk.isFailing) {
      this.#enqueue(this.#disk.weather.appendMs, () =>
        done(new DiskError('IO', 'the device failed')),
      )
      return
    }
    const { appended } = this.#stored
    const end = appended + bytes.length
    this.#extend(end)
    this.#stored.bytes.set(bytes, appended)
    this.#stored.appended = end
    this.#disk.onMoment('append')
    this.#enqueue(this.#disk.weather.appendMs, () => done())
  }

  sync(done: Done): void {
    if (this.#isStale) return
    const { appended, length } = this.#stored
    this.#disk.onMoment('sync')
    this.#enqueue(this.#disk.weather.syncMs, () => {
      if (this.#disk.isFailing) {
        done(new DiskError('IO', 'the device failed'))
        return
      }
      if (!this.#skipsFlush) {
        this.#stored.syncedLength = Math.max(this.#stored.syncedLength, appended)
        this.#stored.syncedSize = Math.max(this.#stored.syncedSize, length)
      }
      this.#disk.onMoment('synced')
      if (!this.#isStale) done()
    })
  }

  close(done: Done): void {
    this.#enqueue([0, 0.01], () => done())
  }

  #enqueue(range: readonly [number, number], effect: () => void): void {
    this.#queue.push(() => this.#disk.later(range, () => this.#finish(effect)))
    if (this.#isBusy) return
    this.#isBusy = true
    this.#queue.shift()?.()
  }

  #finish(effect: () => void): void {
    const next = this.#queue.shift()
    if (next === undefined) this.#isBusy = false
    else next()
    effect()
  }

  /** The file reaches to `end` at least; a journal to its next step. */
  #extend(end: number): void {
    if (end <= this.#stored.length) return
    const { journal } = this.#stored
    const step = journal?.stepBytes ?? 1
    const stepped = Math.min(Math.ceil(end / step) * step, journal?.bytesMax ?? end)
    this.#stored.length = Math.max(end, stepped)
    this.#reserve(this.#stored.length)
  }

  #reserve(length: number): void {
    const { bytes } = this.#stored
    if (bytes.length >= length) return
    const larger = new Uint8Array(Math.max(length, bytes.length * 2))
    larger.set(bytes)
    this.#stored.bytes = larger
  }
}
