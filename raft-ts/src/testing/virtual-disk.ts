// A disk in memory that survives its process: keeps what was synced, and after a crash of what was not only
// what a real one might keep. The contract is storage/disk.ts.
import { type Created, type Disk, DiskError, type Done, type Journal } from '../storage/disk.ts'
import type { SimProcess } from './process.ts'
import type { SimRandom } from './random.ts'
import {
  type Device,
  type DiskMoment,
  type DiskWeather,
  type StoredFile,
  VirtualFile,
} from './virtual-file.ts'

export type { DiskMoment, DiskWeather } from './virtual-file.ts'

const sectorBytes = 512

/** A disk on which nothing goes wrong by itself. */
export const calmDisk: DiskWeather = { appendMs: [0.01, 0.05], syncMs: [0.1, 0.5], failing: 0 }

/** Lies for the sake of a test, a planted bug; and what a crash did. */
export interface DiskHook {
  /** Whether flushes of this file do nothing. */
  readonly skipsFlush?: (name: string) => boolean
  /** A crash cost so many bytes that were not flushed, of which a part or a hole remained. */
  readonly onLost?: (name: string, lost: { readonly isTorn: boolean }) => void
}

/** A disk in memory, with weather, that survives its process. */
export class VirtualDisk implements Disk, Device {
  readonly #random: SimRandom
  readonly #files = new Map<string, StoredFile>()
  readonly #hook: DiskHook
  #process: SimProcess | undefined
  readonly #rotten = new Set<string>()
  /** Changes of the directory that are under way. */
  readonly #changes: (() => DiskError | undefined)[] = []
  weather: DiskWeather = calmDisk
  /** Called within the process' own code; may crash it and the disk there. */
  onMoment: (moment: DiskMoment) => void = () => {}
  #crashes = 0

  constructor(random: SimRandom, hook: DiskHook = {}) {
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
    this.#crashes += 1
    for (const change of this.#changes.splice(0)) if (this.#random.chance(0.5)) change()
    for (const [name, file] of this.#files) this.#tear(name, file)
  }

  /** How often it lost its process: what an earlier one does to its files has no effect. */
  get crashes(): number {
    return this.#crashes
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
      bytes: new Uint8Array(sectorBytes),
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
        const file = new VirtualFile(stored, this, this.#hook.skipsFlush?.(name) === true)
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
    if (this.#process === undefined) return
    this.#changes.push(effect)
    this.onMoment('rename')
    this.later(this.weather.syncMs, () => {
      const at = this.#changes.indexOf(effect)
      if (at !== -1) this.#changes.splice(at, 1)
      done(effect())
    })
  }

  /** Runs code of the present process after a while, unless that dies before. */
  later(range: readonly [number, number], fn: () => void): void {
    this.#process?.after(this.#random.between(range[0], range[1]), fn)
  }

  #tear(name: string, file: StoredFile): void {
    const { syncedLength, length } = file
    if (file.journal !== undefined) {
      this.#tearJournal(name, file)
      return
    }
    if (length === syncedLength) return
    const kept = syncedLength + this.#random.below(length - syncedLength + 1)
    const firstSector = Math.ceil(syncedLength / sectorBytes)
    let holes = 0
    for (let sector = firstSector; sector * sectorBytes < kept; sector++) {
      if (!this.#random.chance(0.2)) continue
      file.bytes.fill(0, sector * sectorBytes, Math.min((sector + 1) * sectorBytes, kept))
      holes += 1
    }
    const isTorn = kept > syncedLength && (kept < length || holes > 0)
    if (kept < length || holes > 0) this.#hook.onLost?.(name, { isTorn })
    file.length = kept
    file.appended = kept
    file.syncedLength = kept
    file.syncedSize = kept
  }

  /** Any sector of what was not synced may be as it was before, and the file as long as it was when it was synced. */
  #tearJournal(name: string, file: StoredFile): void {
    const { syncedLength, appended } = file
    const lostFrom = syncedLength + this.#random.below(appended - syncedLength + 1)
    let lost = 0
    let kept = 0
    for (let at = syncedLength; at < appended; ) {
      const end = Math.min(appended, (Math.floor(at / sectorBytes) + 1) * sectorBytes)
      if (end > lostFrom || this.#random.chance(0.2)) {
        file.bytes.fill(0, at, end)
        lost += 1
      } else kept += 1
      at = end
    }
    if (lost > 0) this.#hook.onLost?.(name, { isTorn: kept > 0 })
    const isCut = file.length > file.syncedSize && this.#random.chance(0.5)
    if (isCut) file.length = Math.max(file.syncedSize, lostFrom)
    file.syncedLength = Math.min(appended, file.length)
    file.syncedSize = file.length
  }
}
