// The latest events of the cluster, from this manager's own commits, in memory. Every manager has the same ones in the same order, so
// whoever watches them needs no other manager, no leader and no bus.
import type { ClusterEvent } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { ReplicatedStore } from '../store/replicated-store.ts'
import type { Commit } from '../store/store.ts'
import { type EventFacts, eventsOfChange } from './event-of-change.ts'

/** Older ones are forgotten; a watcher that is further behind has lost some. */
export const eventsMax = 8_192

export interface EventSlice {
  readonly events: readonly ClusterEvent[]
  /** Where to go on. */
  readonly next: number
  /** Events before these are forgotten already. */
  readonly isLate: boolean
}

export class EventLog {
  readonly #store: ReplicatedStore
  readonly #log: Logger
  readonly #listeners = new Set<() => void>()
  #events: ClusterEvent[] = []
  /** Number of the first one that is kept. */
  #first = 0

  constructor(store: ReplicatedStore, log: Logger) {
    this.#store = store
    this.#log = log
    store.onCommit((commit) => this.#note(commit))
  }

  /** The position after the last event. */
  get end(): number {
    return this.#first + this.#events.length
  }

  /** The position of the first event that is kept and not older. */
  positionAt(sinceMs: number): number {
    const at = this.#events.findIndex(({ atMs }) => atMs >= sinceMs)
    return at === -1 ? this.end : this.#first + at
  }

  /** Up to `max` events from a position on. */
  read(position: number, max: number): EventSlice {
    const from = Math.max(position, this.#first)
    const events = this.#events.slice(from - this.#first, from - this.#first + max)
    return { events, next: from + events.length, isLate: position < this.#first }
  }

  /** Calls the listener after there is more to read; the result ends that. */
  onMore(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Within a commit: nothing here may throw. */
  #note(commit: Commit | undefined): void {
    try {
      const added = commit === undefined ? this.#gap() : this.#eventsOf(commit)
      if (added.length === 0) return
      this.#events.push(...added)
      this.#trim()
      for (const listener of [...this.#listeners]) listener()
    } catch (err) {
      this.#log.error({ err, index: commit?.index }, 'events of a commit are lost')
    }
  }

  #eventsOf({ changes, index, nowMs: atMs }: Commit): readonly ClusterEvent[] {
    return this.#store.view((tx) =>
      changes.flatMap((change) =>
        eventsOfChange(tx, change).map((facts) => ({ ...facts, index, atMs })),
      ),
    )
  }

  /** The state came as a snapshot: what happened up to then is not known. At the start that is no news. */
  #gap(): readonly ClusterEvent[] {
    if (this.end === 0) return []
    const facts: EventFacts = {
      type: 'cluster',
      action: 'gap',
      actorId: '',
      attributes: {
        reason: 'this manager was behind and took over the state whole: events are missing here',
      },
    }
    const index = this.#store.appliedIndex
    return [{ ...facts, index, atMs: this.#store.view((tx) => tx.nowMs) }]
  }

  /** In large steps, so that an event costs O(1). */
  #trim(): void {
    const surplus = this.#events.length - eventsMax
    if (surplus < eventsMax / 4) return
    this.#events = this.#events.slice(surplus)
    this.#first += surplus
  }
}
