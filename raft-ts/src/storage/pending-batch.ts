// Appends that wait for the flush under way, merged into the one batch that the next flush writes.
import type { Entry, HardState } from '../core/types.ts'
import type { Batch, LogBase } from './batch.ts'
import type { Done } from './disk.ts'

export class PendingBatch {
  #base: LogBase | undefined
  #hardState: HardState | undefined
  #entries: Entry[] = []
  #dones: Done[] = []

  get isEmpty(): boolean {
    return this.#base === undefined && this.#hardState === undefined && this.#entries.length === 0
  }

  /** Whether someone waits for it. Without, it may wait for company. */
  get isAwaited(): boolean {
    return this.#dones.length > 0
  }

  /** Entries that the newer batch truncates are never written at all. */
  add(batch: Batch, done: Done | undefined): void {
    if (batch.base !== undefined) {
      this.#base = batch.base
      this.#entries = []
    }
    if (batch.hardState !== undefined) this.#hardState = batch.hardState
    const first = batch.entries[0]
    if (first !== undefined) {
      const keep = first.index - (this.#entries[0]?.index ?? first.index)
      if (keep < this.#entries.length) this.#entries.length = Math.max(0, keep)
      for (const entry of batch.entries) this.#entries.push(entry)
    }
    if (done !== undefined) this.#dones.push(done)
  }

  /** Empties it. */
  take(): { readonly batch: Batch; readonly dones: readonly Done[] } {
    const batch: Batch = {
      ...(this.#base === undefined ? {} : { base: this.#base }),
      ...(this.#hardState === undefined ? {} : { hardState: this.#hardState }),
      entries: this.#entries,
    }
    const dones = this.#dones
    this.#base = undefined
    this.#hardState = undefined
    this.#entries = []
    this.#dones = []
    return { batch, dones }
  }
}
