// Every entry that was ever sent, by index and term: what log matching is checked against.
// Source: Raft paper 5.3 (log matching).
import type { Entry, Index, Message, Term } from '../core/types.ts'
import { entryDigest } from './digest.ts'

export type ConfEntry = Extract<Entry, { kind: 'conf' }>

/** What is known of an entry wherever it was seen. */
interface SeenEntry {
  readonly entry: Entry
  readonly prevTerm: Term
  readonly digest: number
}

export class SeenLogs {
  readonly #seen = new Map<Index, Map<Term, SeenEntry>>()
  readonly #confs: ConfEntry[] = []

  /** Configurations that were seen, of every log. */
  get confs(): readonly ConfEntry[] {
    return this.#confs
  }

  /** Takes a message's entries. Returns one of which another was seen with its index and term, if there is one. */
  appended(message: Extract<Message, { kind: 'append' }>): Entry | undefined {
    let prevTerm = message.prevTerm
    for (const entry of message.entries) {
      if (!this.#matches(entry, prevTerm)) return entry
      prevTerm = entry.term
    }
    return undefined
  }

  forget(): void {
    this.#seen.clear()
    this.#confs.length = 0
  }

  #matches(entry: Entry, prevTerm: Term): boolean {
    let byTerm = this.#seen.get(entry.index)
    if (byTerm === undefined) {
      byTerm = new Map()
      this.#seen.set(entry.index, byTerm)
    }
    const known = byTerm.get(entry.term)
    if (known !== undefined) return known.prevTerm === prevTerm && isSame(known, entry)
    byTerm.set(entry.term, { entry, prevTerm, digest: entryDigest(entry) })
    if (entry.kind === 'conf') this.#confs.push(entry)
    return true
  }
}

/** The very object is passed on by most messages, and need not be looked at. */
function isSame(known: SeenEntry, entry: Entry): boolean {
  return known.entry === entry || known.digest === entryDigest(entry)
}
