// When each subject of the overlay last changed, from this manager's own commits: the same on every manager, so that a new leader goes on
// where the last one ended, and any manager tells what a reader lacks.
import { networkSubject, pathsSubject } from '../../proto/bus/subjects.ts'
import type { Stamp } from '../../proto/objects/index.ts'
import type { ReplicatedStore } from '../store/replicated-store.ts'
import type { Commit } from '../store/store.ts'
import type { OverlaySource, OverlayTouch } from './overlay-source.ts'

/** What one commit made of the overlay, and when. */
export interface Touched extends OverlayTouch {
  readonly stamp: Stamp
}

/** Undefined: anything may be another one now. */
export type HistoryListener = (touched: Touched | undefined) => void

/** So many subjects are remembered; then it begins anew, as after a start. */
const subjectsMax = 20_000

export class OverlayHistory {
  readonly #store: ReplicatedStore
  readonly #source: OverlaySource
  readonly #last = new Map<string, Stamp>()
  readonly #listeners = new Set<HistoryListener>()
  #base: Stamp

  constructor(store: ReplicatedStore, source: OverlaySource) {
    this.#store = store
    this.#source = source
    this.#base = this.asOf()
    store.onCommit((commit) => this.#note(commit))
  }

  /** The last change of the subject, or a moment after it. */
  lastOf(subject: string): Stamp {
    return this.#last.get(subject) ?? this.#base
  }

  /** The state that is there now. */
  asOf(): Stamp {
    return { epoch: this.#epoch(), index: this.#store.appliedIndex }
  }

  /** Calls the listener within each commit that touches a subject; the result ends that. */
  onTouched(listener: HistoryListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #epoch(): number {
    return this.#store.view((tx) => {
      for (const cluster of tx.all('cluster')) return cluster.epoch
      return 0
    })
  }

  #note(commit: Commit | undefined): void {
    const isNewEpoch =
      commit?.changes.some(({ table }) => table === 'cluster') && this.#isNewEpoch()
    if (commit === undefined || isNewEpoch || this.#last.size > subjectsMax) {
      this.#restart()
      return
    }
    const { networks, paths } = this.#store.view((tx) => this.#source.touched(tx, commit.changes))
    if (networks.size === 0 && paths === undefined) return
    const stamp = { epoch: this.#base.epoch, index: commit.index }
    for (const id of networks.keys()) this.#last.set(networkSubject(id), stamp)
    if (paths !== undefined) this.#last.set(pathsSubject, stamp)
    for (const listener of this.#listeners) listener({ networks, paths, stamp })
  }

  #isNewEpoch(): boolean {
    return this.#epoch() !== this.#base.epoch
  }

  #restart(): void {
    this.#base = this.asOf()
    this.#last.clear()
    for (const listener of this.#listeners) listener(undefined)
  }
}
