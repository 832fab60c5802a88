// The replicated state of a simulation: a digest of everything applied, reported to the oracle at every step.
import type { Entry, Index, SnapshotMeta } from '../core/types.ts'
import type { SnapshotSource, StateMachine } from '../driver/environment.ts'
import type { Done } from '../storage/disk.ts'
import { emptyDigest } from './digest.ts'
import type { StateBefore } from './oracle.ts'
import type { SimProcess } from './process.ts'

const chunkBytes = 1024
const headerBytes = 16

/** What the oracle is told; it answers an applied entry with the digest of the state after it. */
export interface MachineWatcher {
  applied(entry: Entry, before: StateBefore): number
  restored(meta: SnapshotMeta, digest: number): void
}

export class CheckedMachine implements StateMachine {
  readonly #process: SimProcess
  readonly #watcher: MachineWatcher
  /** Size of a snapshot's content: large enough to travel in several pieces. */
  readonly #snapshotBytes: number
  #index: Index = 0
  #digest = emptyDigest

  constructor(process: SimProcess, watcher: MachineWatcher, snapshotBytes: number) {
    this.#process = process
    this.#watcher = watcher
    this.#snapshotBytes = Math.max(headerBytes, snapshotBytes)
  }

  /** Last entry applied. */
  get index(): Index {
    return this.#index
  }

  apply(entries: readonly Entry[], done: Done): void {
    this.#process.after(0.01 * entries.length, () => {
      for (const entry of entries) {
        const before = { index: this.#index, digest: this.#digest }
        this.#digest = this.#watcher.applied(entry, before)
        this.#index = entry.index
      }
      done()
    })
  }

  snapshot(): SnapshotSource {
    const bytes = new Uint8Array(this.#snapshotBytes)
    const view = new DataView(bytes.buffer)
    view.setFloat64(0, this.#digest)
    view.setFloat64(8, this.#index)
    for (let at = headerBytes; at < bytes.length; at++) bytes[at] = paddingAt(this.#digest, at)
    let offset = 0
    return {
      read: (done) => {
        this.#process.after(0.1, () => {
          if (offset >= bytes.length) return done(undefined, undefined)
          const chunk = bytes.slice(offset, offset + chunkBytes)
          offset += chunk.length
          done(undefined, chunk)
        })
      },
      cancel: () => {},
    }
  }

  restore(meta: SnapshotMeta, source: SnapshotSource, done: Done): void {
    const chunks: Uint8Array[] = []
    const next = (): void =>
      source.read((err, chunk) => {
        if (err !== undefined) return done(err)
        if (chunk !== undefined) {
          chunks.push(chunk)
          return next()
        }
        this.#restoreFrom(meta, joined(chunks))
        done()
      })
    next()
  }

  #restoreFrom(meta: SnapshotMeta, bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer)
    const digest = view.getFloat64(0)
    const index = view.getFloat64(8)
    const isWhole = bytes.every((byte, at) => at < headerBytes || byte === paddingAt(digest, at))
    if (!isWhole || index !== meta.index || bytes.length !== this.#snapshotBytes) {
      throw new Error(`the snapshot at ${meta.index} is not what was written (${index})`)
    }
    this.#watcher.restored(meta, digest)
    this.#digest = digest
    this.#index = index
  }
}

function paddingAt(digest: number, at: number): number {
  return (digest + at * 7) & 0xff
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
