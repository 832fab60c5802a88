// Feeds the state machine: committed entries in order, restores in their place among them, and a
// moment between two batches when a snapshot may be taken. One call to the state machine at a time.

import { entryBytes } from '../core/entry-cache.ts'
import type { Entry, Index, SnapshotMeta } from '../core/types.ts'
import type { HeldSnapshot } from '../storage/snapshot-store.ts'
import type { StateMachine } from './environment.ts'
import { heldSource } from './snapshot-source.ts'

/** Entries of one call to apply. */
const batchBytesMax = 1024 * 1024

type Work =
  | { readonly kind: 'entries'; readonly entries: readonly Entry[] }
  | { readonly kind: 'restore'; readonly meta: SnapshotMeta; readonly held: HeldSnapshot }

export interface ApplierOptions {
  readonly stateMachine: StateMachine
  readonly onApplied: (entries: readonly Entry[], index: Index) => void
  readonly onRestored: (meta: SnapshotMeta) => void
  /** Between two batches: the state is exactly that of `index`. */
  readonly onPause: (index: Index) => void
  readonly onFailed: (err: Error) => void
}

export class Applier {
  readonly #options: ApplierOptions
  #queue: Work[] = []
  #isBusy = false
  #isRunning = false
  #isStopped = false
  /** A state machine begins empty, or with a restore. */
  #index: Index = 0

  constructor(options: ApplierOptions) {
    this.#options = options
  }

  /** Last index applied. */
  get index(): Index {
    return this.#index
  }

  entries(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    this.#queue.push({ kind: 'entries', entries })
    this.#run()
  }

  /** What waits is older than the snapshot and is dropped. */
  restore(meta: SnapshotMeta, held: HeldSnapshot): void {
    for (const work of this.#queue) if (work.kind === 'restore') work.held.release()
    this.#queue = [{ kind: 'restore', meta, held }]
    this.#run()
  }

  /** A pause now, unless the state machine is at work: then one comes by itself. */
  pause(): void {
    if (!this.#isBusy && this.#queue.length === 0) this.#options.onPause(this.#index)
  }

  stop(): void {
    this.#isStopped = true
    for (const work of this.#queue) if (work.kind === 'restore') work.held.release()
    this.#queue = []
  }

  /** A loop, so that a state machine that calls back at once does not deepen the stack. */
  #run(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    while (!this.#isBusy && !this.#isStopped) {
      const work = this.#take()
      if (work === undefined) break
      this.#isBusy = true
      if (work.kind === 'entries') this.#apply(work.entries)
      else this.#restore(work.meta, work.held)
    }
    this.#isRunning = false
  }

  /** The next work; entries that wait are joined into one batch. */
  #take(): Work | undefined {
    const first = this.#queue.shift()
    if (first?.kind !== 'entries' || this.#queue.length === 0) return first
    const entries = [...first.entries]
    let bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0)
    while (bytes < batchBytesMax && this.#queue[0]?.kind === 'entries') {
      for (const entry of (this.#queue.shift() as Extract<Work, { kind: 'entries' }>).entries) {
        entries.push(entry)
        bytes += entryBytes(entry)
      }
    }
    return { kind: 'entries', entries }
  }

  #apply(entries: readonly Entry[]): void {
    const last = entries[entries.length - 1] as Entry
    this.#options.stateMachine.apply(entries, (err) => {
      if (this.#isStopped) return
      if (err !== undefined) return this.#options.onFailed(err)
      this.#index = last.index
      this.#isBusy = false
      this.#options.onApplied(entries, last.index)
      this.#options.onPause(last.index)
      this.#run()
    })
  }

  #restore(meta: SnapshotMeta, held: HeldSnapshot): void {
    this.#options.stateMachine.restore(meta, heldSource(held), (err) => {
      held.release()
      if (this.#isStopped) return
      if (err !== undefined) return this.#options.onFailed(err)
      this.#index = meta.index
      this.#isBusy = false
      this.#options.onRestored(meta)
      this.#run()
    })
  }
}
