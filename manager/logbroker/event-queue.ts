// A queue from callbacks to one async reader. What bounds it is the credit its reader gives, not the queue itself.

export class EventQueue<T> implements AsyncIterable<T> {
  #items: T[] = []
  #isClosed = false
  #error: Error | undefined
  #wake: () => void = () => {}

  push(item: T): void {
    if (this.#isClosed) return
    this.#items.push(item)
    this.#wake()
  }

  /** What is queued is still read, then the iteration ends or throws. */
  close(error?: Error): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#error = error
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    while (true) {
      const items = this.#items
      this.#items = []
      yield* items
      if (this.#items.length > 0) continue
      if (this.#isClosed) {
        if (this.#error !== undefined) throw this.#error
        return
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
