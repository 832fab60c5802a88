// A disk in memory that survives its process: keeps what was synced, and after a crash of what was not only
// what a real one might keep. The contract is storage/disk.ts.
import {
  type Created,
  type Disk,
  DiskError,
  type DiskFile,
  type Done,
  type Journal,
} from '../storage/disk.ts'
import type { SimProcess } from './process.ts'
import type { SimRandom } from './random.ts'

const sectorBytes = 512

interface StoredFile {
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

/** A disk on which nothing goes wrong by itself. */
export const calmDisk: DiskWeather = { appendMs: [0.01, 0.05], syncMs: [0.1, 0.5], failing: 0 }

/** Lies for the sake of a test: a planted bug. */
export interface DiskHook {
  /** Whether flushes of this file do nothing. */
  readonly skipsFlush: (name: string) => boolean
}

export const honestDisk: DiskHook = { skipsFlush: () => false }

export class VirtualDisk implements Disk {
  readonly #random: SimRandom
  readonly #files = new Map<string, StoredFile>()
  readonly #hook: DiskHook
  #process: SimProcess | undefined
  readonly #rotten = new Set<string>()
  /** Changes of the directory that are under way. */
  readonly #changes: (() => DiskError | undefined)[] = []
  weather: DiskWeather = calmDisk

  constructor(random: SimRandom, hook: DiskHook = honestDisk) {
    this.#random = random
    this.#hook = hook
  }

  /** A new process opens the disk; callbacks go to it as long as it lives. */
  attach(process: SimProcess): void {
    this.#process = process
  }

  /** Power goes, the process is dead already: what was not synced may be lost, cut, or full of holes. */
  crash(): void {
    this.#process = undefined
    for (const change of this.#changes.splice(0)) if (this.#random.chance(0.5)) change()
    for (const file of this.#files.values()) this.#tear(file)
  }

  /** Flips one bit that was synced, as bad media does. False: there is nothing to flip. */
  rot(isTarget: (name: string) => boolean): boolean {
    const names = [...this.#files.keys()].filter(
      (name) => isTarget(name) && (this.#files.get(name)?.syncedLength ?? 0) > 0,
    )
    const name = this.#random.pick(names) ?? ''
    const file = this.#files.get(name)
    if (file === undefined) return false
    const at = this.#random.below(file.syncedLength)
    this.#rotten.add(name)
    file.bytes[at] = (file.bytes[at] ?? 0) ^ (1 << this.#random.below(8))
    return true
  }

  /** Whether bits were ever flipped here. */
  get hasRotted(): boolean {
    return this.#rotten.size > 0
  }

  /** Names of the files in which bits were flipped. */
  get rotten(): ReadonlySet<string> {
    return this.#rotten
  }

  list(): readonly string[] {
    return [...this.#files.keys()]
  }

  size(name: string): number {
    return this.#stored(name).length
  }

  read(name: string, offset: number, length: number): Uint8Array {
    const file = this.#stored(name)
    return file.bytes.slice(offset, Math.min(offset + length, file.length))
  }

  create(name: string, done: Created, journal?: Journal): void {
    const stored: StoredFile = {
      bytes: new Uint8Array(4096),
      length: 0,
      appended: 0,
      syncedLength: 0,
      syncedSize: 0,
      journal,
    }
    this.#change(
      () => {
        if (this.#files.has(name)) return new DiskError('EXISTS', `file ${name} exists already`)
        this.#files.set(name, stored)
        return undefined
      },
      (err) => {
        const file = new VirtualFile(stored, (range, fn) => this.#later(range, fn), {
          disk: this,
          skipsFlush: this.#hook.skipsFlush(name),
        })
        done(err, err === undefined ? file : undefined)
      },
    )
  }

  rename(from: string, to: string, done: Done): void {
    this.#change(() => {
      const file = this.#files.get(from)
      if (file === undefined) return new DiskError('NOT_FOUND', `there is no file ${from}`)
      this.#files.delete(from)
      this.#files.set(to, file)
      return undefined
    }, done)
  }

  remove(name: string, done: Done): void {
    this.#change(() => {
      this.#files.delete(name)
      return undefined
    }, done)
  }

  /** Whether the next write fails. */
  get isFailing(): boolean {
    return this.weather.failing > 0 && this.#random.chance(this.weather.failing)
  }

  #stored(name: string): StoredFile {
    const file = this.#files.get(name)
    if (file === undefined) throw new DiskError('NOT_FOUND', `there is no file ${name}`)
    return file
  }

  /** A change of the directory: after a crash it may have happened though nobody was told. */
  #change(effect: () => DiskError | undefined, done: Done): void {
    this.#changes.push(effect)
    this.#later(this.weather.syncMs, () => {
      const at = this.#changes.indexOf(effect)
      if (at !== -1) this.#changes.splice(at, 1)
      done(effect())
    })
  }

  #later(range: readonly [number, number], fn: () => void): void {
    this.#process?.after(this.#random.between(range[0], range[1]), fn)
  }

  #tear(file: StoredFile): void {
    const { syncedLength, length } = file
    if (file.journal !== undefined) {
      this.#tearJournal(file)
      return
    }
    if (length === syncedLength) return
    const kept = syncedLength + this.#random.below(length - syncedLength + 1)
    const firstSector = Math.ceil(syncedLength / sectorBytes)
    for (let sector = firstSector; sector * sectorBytes < kept; sector++) {
      if (!this.#random.chance(0.2)) continue
      file.bytes.fill(0, sector * sectorBytes, Math.min((sector + 1) * sectorBytes, kept))
    }
    file.length = kept
    file.appended = kept
    file.syncedLength = kept
    file.syncedSize = kept
  }

  /** Any sector of what was not synced may be as it was before, and the file as long as it was when it was synced. */
  #tearJournal(file: StoredFile): void {
    const { syncedLength, appended } = file
    const lostFrom = syncedLength + this.#random.below(appended - syncedLength + 1)
    for (let at = syncedLength; at < appended; ) {
      const end = Math.min(appended, (Math.floor(at / sectorBytes) + 1) * sectorBytes)
      if (end > lostFrom || this.#random.chance(0.2)) file.bytes.fill(0, at, end)
      at = end
    }
    const isCut = file.length > file.syncedSize && this.#random.chance(0.5)
    if (isCut) file.length = Math.max(file.syncedSize, lostFrom)
    file.syncedLength = Math.min(appended, file.length)
    file.syncedSize = file.length
  }
}

class VirtualFile implements DiskFile {
  readonly #stored: StoredFile
  readonly #later: (range: readonly [number, number], fn: () => void) => void
  readonly #disk: VirtualDisk
  readonly #skipsFlush: boolean
  /** Calls take effect in order: each waits for the one before. */
  readonly #queue: (() => void)[] = []
  #isBusy = false

  constructor(
    stored: StoredFile,
    later: (range: readonly [number, number], fn: () => void) => void,
    on: { readonly disk: VirtualDisk; readonly skipsFlush: boolean },
  ) {
    this.#stored = stored
    this.#later = later
    this.#disk = on.disk
    this.#skipsFlush = on.skipsFlush
  }

  append(bytes: Uint8Array, done: Done): void {
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
    this.#enqueue(this.#disk.weather.appendMs, () => done())
  }

  sync(done: Done): void {
    const { appended, length } = this.#stored
    this.#enqueue(this.#disk.weather.syncMs, () => {
      if (this.#disk.isFailing) {
        done(new DiskError('IO', 'the device failed'))
        return
      }
      if (!this.#skipsFlush) {
        this.#stored.syncedLength = Math.max(this.#stored.syncedLength, appended)
        this.#stored.syncedSize = Math.max(this.#stored.syncedSize, length)
      }
      done()
    })
  }

  close(done: Done): void {
    this.#enqueue([0, 0.01], () => done())
  }

  #enqueue(range: readonly [number, number], effect: () => void): void {
    this.#queue.push(() => this.#later(range, () => this.#finish(effect)))
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
