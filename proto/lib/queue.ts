// A bounded queue between a producer that must not wait and one consumer.

export type Offer = 'queued' | 'full' | 'closed'

/** First in, first out, at most `itemsMax` waiting. When full, `offer` says so and keeps nothing. */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #itemsMax: number
  #items: T[] = []
  #head = 0
  #closed = false
  #error: Error | undefined
  #wake: (() => void) | undefined

  constructor(itemsMax: number) {
    this.#itemsMax = itemsMax
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  offer(item: T): Offer {
    if (this.#closed) return 'closed'
    if (this.size >= this.#itemsMax) return 'full'
    this.#items.push(item)
    this.#wakeConsumer()
    return 'queued'
  }

  /** No more items; what is queued is still delivered, then the iteration ends (or throws `error`). */
  close(error?: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#error = error
    this.#wakeConsumer()
  }

  /** Takes all that waits, without waiting. */
  drain(): readonly T[] {
    const taken = this.#items.slice(this.#head)
    this.#items = []
    this.#head = 0
    return taken
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    while (true) {
      while (this.size > 0) yield this.#take()
      if (this.#closed) {
        if (this.#error !== undefined) throw this.#error
        return
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #take(): T {
    const item = this.#items[this.#head] as T
    this.#head += 1
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  #wakeConsumer(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
