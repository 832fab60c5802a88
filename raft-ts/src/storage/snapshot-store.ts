// The snapshots of one directory: written beside, renamed when complete, the newest one kept. A
// snapshot that is being read stays until it is released.
import type { SnapshotMeta } from '../core/types.ts'
import type { Disk, Done } from './disk.ts'
import type { Keyring } from './keyring.ts'
import { type SnapshotContent, SnapshotReader, SnapshotWriter } from './snapshot-file.ts'

const draftPattern = /^snapshot\.new-\d+$/
const namePattern = /^snapshot-(\d{16})-(\d{16})$/

function snapshotName(meta: SnapshotMeta): string {
  const digits = (n: number): string => String(n).padStart(16, '0')
  return `snapshot-${digits(meta.index)}-${digits(meta.term)}`
}

/** Names of complete snapshots, oldest first. */
export function listSnapshots(disk: Disk): readonly string[] {
  return disk
    .list()
    .filter((name) => namePattern.test(name))
    .sort()
}

/** Names of snapshots whose writing was interrupted. */
export function listDrafts(disk: Disk): readonly string[] {
  return disk.list().filter((name) => draftPattern.test(name))
}

/** A snapshot that is being written. */
export interface SnapshotDraft {
  readonly writer: SnapshotWriter
  readonly name: string
}

/** A snapshot's content at rest, held until released. */
export interface HeldSnapshot {
  readonly reader: SnapshotReader
  release(): void
}

/** The snapshots in one directory: at most one counts, older ones go when nobody reads them. */
export class SnapshotStore {
  readonly #disk: Disk
  readonly #keyring: Keyring
  readonly #holds = new Map<string, number>()
  /** Data keys of the files that are there or being written, by name. */
  readonly #keyIds = new Map<string, number>()
  #onRemoved: () => void = () => {}
  #newest: SnapshotReader | undefined
  #draftCount = 0

  /** `newest` was found at open. */
  constructor(disk: Disk, keyring: Keyring, newest: SnapshotReader | undefined) {
    this.#disk = disk
    this.#keyring = keyring
    this.#newest = newest
    if (newest !== undefined) this.#keyIds.set(newest.name, newest.keyId)
  }

  /** Data keys that seal its files, drafts included. */
  get keyIds(): ReadonlySet<number> {
    return new Set(this.#keyIds.values())
  }

  /** Calls `listener` whenever files were removed. */
  onRemoved(listener: () => void): void {
    this.#onRemoved = listener
  }

  /** Meta of the newest complete snapshot. */
  get newest(): SnapshotMeta | undefined {
    return this.#newest?.meta
  }
  /** Content bytes of the newest complete snapshot; 0 without one. */
  get newestBytes(): number {
    return this.#newest?.totalBytes ?? 0
  }

  /** Begins to write a snapshot beside the others. */
  begin(
    meta: SnapshotMeta,
    done: (err: Error | undefined, draft: SnapshotDraft | undefined) => void,
  ): void {
    this.#draftCount += 1
    const name = `snapshot.new-${this.#draftCount}`
    this.#disk.create(name, (err, file) => {
      if (file === undefined) return done(err, undefined)
      const writer = new SnapshotWriter(file, this.#keyring, meta)
      this.#keyIds.set(name, writer.keyId)
      done(undefined, { name, writer })
    })
  }

  /** Makes all that was written durable, but it does not count as a snapshot yet: see publish. */
  seal(
    draft: SnapshotDraft,
    done: (err: Error | undefined, content: SnapshotContent | undefined) => void,
  ): void {
    draft.writer.finish(done)
  }

  /** Makes a sealed draft a snapshot, durably, and removes all but the newest and those that are being read. */
  publish(draft: SnapshotDraft, done: Done): void {
    const name = snapshotName(draft.writer.meta)
    this.#disk.rename(draft.name, name, (err) => {
      if (err !== undefined) return done(err)
      this.#keyIds.delete(draft.name)
      this.#keyIds.set(name, draft.writer.keyId)
      try {
        const reader = new SnapshotReader(this.#disk, this.#keyring, name)
        // A received one may overtake an own one that was begun earlier, and must not give way to it.
        if (reader.meta.index > (this.#newest?.meta.index ?? 0)) this.#newest = reader
      } catch (readErr) {
        return done(readErr as Error)
      }
      this.#removeOld(done)
    })
  }

  /** Gives up a draft, sealed or not. */
  discard(draft: SnapshotDraft, done: Done): void {
    draft.writer.abort(() => this.#remove([draft.name], done))
  }

  /** Holds the newest snapshot for reading; undefined when there is none. */
  hold(): HeldSnapshot | undefined {
    const reader = this.#newest
    if (reader === undefined) return undefined
    const { name } = reader
    this.#holds.set(name, (this.#holds.get(name) ?? 0) + 1)
    let isHeld = true
    const release = (): void => {
      if (!isHeld) return
      isHeld = false
      const count = (this.#holds.get(name) ?? 1) - 1
      if (count > 0) this.#holds.set(name, count)
      else this.#holds.delete(name)
    }
    return { reader, release }
  }

  #removeOld(done: Done): void {
    const newest = this.#newest?.name
    const old = listSnapshots(this.#disk).filter(
      (name) => name !== newest && !this.#holds.has(name),
    )
    this.#remove(old, done)
  }

  #remove(names: readonly string[], done: Done): void {
    removeAll(this.#disk, names, (err) => {
      if (err !== undefined) return done(err)
      for (const name of names) this.#keyIds.delete(name)
      done()
      if (names.length > 0) this.#onRemoved()
    })
  }
}

/** Removes files one after another, in this order. Stops at the first failure. */
export function removeAll(disk: Disk, names: readonly string[], done: Done): void {
  const [name, ...rest] = names
  if (name === undefined) {
    done()
    return
  }
  disk.remove(name, (err) => {
    if (err !== undefined) return done(err)
    removeAll(disk, rest, done)
  })
}
