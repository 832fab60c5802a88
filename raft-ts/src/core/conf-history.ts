// The configurations of the log, newest last: one holds from its entry's append and is undone by truncation.
// Source: thesis 4.1 ("a server always uses the latest configuration in its log").
import { invariant, present } from './assert.ts'
import type { ConfAt } from './config.ts'
import { rules } from './rules.ts'
import type { ConfState, Index } from './types.ts'

export class ConfHistory {
  #confs: ConfAt[]

  constructor(base: ConfAt, later: readonly ConfAt[]) {
    this.#confs = [base]
    for (const { index, conf } of later) this.push(index, conf)
  }

  /** The newest configuration in the log. */
  get latest(): ConfAt {
    return present(this.#confs[this.#confs.length - 1], 'configuration')
  }

  /** The configuration that holds now. */
  inUse(commit: Index): ConfAt {
    return present(rules.inUse(this.#confs, commit), 'configuration')
  }

  push(index: Index, conf: ConfState): void {
    invariant(index > this.latest.index, 'configurations ascend', { index })
    this.#confs.push({ index, conf })
  }

  /** Undoes what entries from index on brought. Returns whether anything was. */
  truncateFrom(index: Index): boolean {
    const kept = this.#confs.filter((at) => at.index < index)
    if (kept.length === this.#confs.length) return false
    invariant(kept.length > 0, 'a committed configuration is never undone', { index })
    this.#confs = kept
    return true
  }

  /** The configuration that held at index, which must not be compacted. */
  at(index: Index): ConfAt {
    const found = this.#confs.findLast((at) => at.index <= index)
    invariant(found !== undefined, 'the configuration at a compacted index is unknown', { index })
    return found
  }

  /** The configuration that held at index and all later ones. */
  since(index: Index): readonly ConfAt[] {
    const from = this.at(index).index
    return this.#confs.filter((at) => at.index >= from)
  }

  /** Forgets what held only before index. */
  compact(index: Index): void {
    const base = this.#confs.findLast((at) => at.index <= index)
    if (base === undefined) return
    this.#confs = this.#confs.filter((at) => at.index >= base.index)
  }

  reset(base: ConfAt): void {
    this.#confs = [base]
  }
}
