// A log in memory that behaves as storage must: durable entries, hard state and snapshot survive a restart,
// nothing else does.
import type {
  ConfAt,
  Entry,
  HardState,
  Index,
  LogReader,
  Ready,
  RestoredState,
  SnapshotMeta,
  Term,
} from 'raft-ts'
import { entryBytes } from 'raft-ts'

export class MemoryLog implements LogReader {
  hardState: HardState = { term: 0, vote: undefined, commit: 0 }
  snapshot: SnapshotMeta | undefined
  #entries: Entry[] = []
  #firstIndex = 1

  get firstIndex(): Index {
    return this.#firstIndex
  }

  get lastIndex(): Index {
    return this.#firstIndex + this.#entries.length - 1
  }

  term(index: Index): Term | undefined {
    if (index === this.snapshot?.index) return this.snapshot.term
    return this.#entries[index - this.#firstIndex]?.term
  }

  entries(from: Index, to: Index, maxBytes: number): readonly Entry[] {
    if (from < this.#firstIndex) return []
    const found: Entry[] = []
    let bytes = 0
    for (const entry of this.#entries.slice(from - this.#firstIndex, to - this.#firstIndex + 1)) {
      bytes += entryBytes(entry)
      if (found.length > 0 && bytes > maxBytes) break
      found.push(entry)
    }
    return found
  }

  write(ready: Pick<Ready, 'hardState' | 'snapshot' | 'entries'>): void {
    if (ready.snapshot !== undefined) {
      this.snapshot = ready.snapshot
      this.#entries = []
      this.#firstIndex = ready.snapshot.index + 1
    }
    this.hardState = ready.hardState ?? this.hardState
    for (const entry of ready.entries) {
      this.#entries.length = entry.index - this.#firstIndex
      this.#entries.push(entry)
    }
  }

  compact(index: Index): void {
    this.#entries = this.#entries.slice(index + 1 - this.#firstIndex)
    this.#firstIndex = index + 1
  }

  restored(repairing = false): RestoredState {
    const floor = this.snapshot?.index ?? 0
    const confs: ConfAt[] = []
    for (const entry of this.#entries) {
      if (entry.kind === 'conf' && entry.index > floor) {
        confs.push({ index: entry.index, conf: entry.conf })
      }
    }
    return {
      hardState: this.hardState,
      ...(this.snapshot && { snapshot: this.snapshot }),
      firstIndex: this.#firstIndex,
      lastIndex: this.lastIndex,
      confs,
      applied: floor,
      repairing,
    }
  }
}
