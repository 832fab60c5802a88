// Carries what must be durable to the log, in order, and lets go of the messages that wait for it.
// A received snapshot is published before the log begins anew behind it.
import type { HardState, Message, Ready, SnapshotMeta } from '../core/types.ts'
import type { Done } from '../storage/disk.ts'
import type { DurableLog } from '../storage/log.ts'

export interface FlushQueueOptions {
  readonly log: DurableLog
  readonly nowMs: () => number
  readonly onFlushed: (tookMs: number) => void
  /** Makes the received content of this snapshot the newest one, durably. */
  readonly publish: (meta: SnapshotMeta, done: Done) => void
  /** Everything up to this Ready is durable. */
  readonly onDurable: (ready: Ready) => void
  readonly send: (messages: readonly Message[]) => void
  readonly onFailed: (err: Error) => void
}

interface Item {
  readonly ready: Ready
  isDurable: boolean
}

/**
 * Readies without anything to flush that wait behind a flush, for their messages to leave. What comes beyond
 * counts as lost on the network. Those with entries are bounded by the core in bytes.
 */
const waitingMax = 1024

export class FlushQueue {
  readonly #options: FlushQueueOptions
  /** Taken and not yet let go of, oldest first. */
  #items: Item[] = []
  /** Not yet given to the log: they wait for a snapshot to be published. */
  #unwritten: Item[] = []
  #isPublishing = false
  /** Of #items, those with nothing to flush. */
  #waiting = 0

  constructor(options: FlushQueueOptions) {
    this.#options = options
  }

  take(ready: Ready): void {
    const { mustFlush, hardState, messagesAfterPersist } = ready
    if (!mustFlush && hardState === undefined && messagesAfterPersist.length === 0) return
    if (!mustFlush && this.#waiting >= waitingMax) return
    if (!mustFlush) this.#waiting += 1
    const item = { ready, isDurable: !mustFlush }
    this.#items.push(item)
    this.#unwritten.push(item)
    this.#write()
    this.#letGo()
  }

  #write(): void {
    while (!this.#isPublishing) {
      const item = this.#unwritten.shift()
      if (item === undefined) return
      const { snapshot, hardState } = item.ready
      if (snapshot !== undefined) this.#publish(item, snapshot)
      else if (item.ready.mustFlush) this.#append(item)
      else if (hardState !== undefined) this.#note(hardState)
    }
  }

  #note(hardState: HardState): void {
    this.#options.log.note(hardState)
  }

  #publish(item: Item, snapshot: SnapshotMeta): void {
    this.#isPublishing = true
    this.#options.publish(snapshot, (err) => {
      this.#isPublishing = false
      if (err !== undefined) return this.#options.onFailed(err)
      this.#append(item)
      this.#write()
    })
  }

  #append(item: Item): void {
    const { snapshot, hardState, entries } = item.ready
    const base = snapshot && { index: snapshot.index, term: snapshot.term }
    const batch = { ...(base && { base }), ...(hardState && { hardState }), entries }
    const startMs = this.#options.nowMs()
    this.#options.log.append(batch, (err) => {
      if (err !== undefined) return this.#options.onFailed(err)
      this.#options.onFlushed(this.#options.nowMs() - startMs)
      item.isDurable = true
      this.#letGo()
    })
  }

  /** In order: a Ready counts as durable only after all before it. */
  #letGo(): void {
    while (this.#items[0]?.isDurable === true) {
      const { ready } = this.#items.shift() as Item
      if (!ready.mustFlush) this.#waiting -= 1
      if (ready.messagesAfterPersist.length > 0) this.#options.send(ready.messagesAfterPersist)
      if (ready.mustFlush) this.#options.onDurable(ready)
    }
  }
}
