// Changes the meta file of an open directory, one replacement at a time.
import type { Disk, Done } from './disk.ts'
import { LogFailedError } from './errors.ts'
import { type Meta, writeMeta } from './meta.ts'

interface Change {
  readonly change: (meta: Meta) => Meta
  readonly done: Done
}

export class MetaKeeper {
  readonly #disk: Disk
  #current: Meta
  #waiting: Change[] = []
  #isWriting = false
  #failure: Error | undefined

  /** `current` is what the file holds. */
  constructor(disk: Disk, current: Meta) {
    this.#disk = disk
    this.#current = current
  }

  /** What the file holds durably. */
  get current(): Meta {
    return this.#current
  }

  /**
   * Replaces the meta file; `change` is asked once all earlier changes are durable and were called back.
   * After a failure it is not known which of the two the file holds, so nothing is written any more:
   * LogFailedError.
   */
  update(change: (meta: Meta) => Meta, done: Done): void {
    this.#waiting.push({ change, done })
    this.#next()
  }

  #next(): void {
    if (this.#isWriting) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    if (this.#failure !== undefined) {
      next.done(new LogFailedError(this.#failure))
      this.#next()
      return
    }
    this.#isWriting = true
    const changed = next.change(this.#current)
    writeMeta(this.#disk, changed, (err) => {
      this.#isWriting = false
      if (err === undefined) this.#current = changed
      else this.#failure = err
      next.done(err)
      this.#next()
    })
  }
}
