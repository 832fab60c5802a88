// A two-way stream of messages, whatever carries it: gRPC, or a pipe inside one process (simulation, a manager that
// is its own leader). Not for retries and not for what the messages mean.

export interface MessageStream<Out, In> {
  /** Resolves when there is room for another one; rejects once the stream has ended. */
  send(message: Out): Promise<void>
  /** What arrives, in order, for one reader. Ends when the other side ends, throws when the stream breaks. */
  readonly incoming: AsyncIterable<In>
  /** Ends both directions; what was sent before is still delivered. With an error the other side sees it thrown. */
  close(error?: Error): void
}

const pipeItemsMax = 256

/** One direction of a pipe. */
class Channel<T> implements AsyncIterable<T> {
  #items: T[] = []
  #isClosed = false
  #error: Error | undefined
  #wakeReader: () => void = () => {}
  #wakeWriter: () => void = () => {}

  async send(item: T): Promise<void> {
    if (this.#isClosed) throw this.#error ?? new Error('the stream has ended')
    this.#items.push(item)
    this.#wakeReader()
    if (this.#items.length < pipeItemsMax) return
    await new Promise<void>((resolve) => {
      this.#wakeWriter = resolve
    })
  }

  close(error?: Error): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#error = error
    this.#wakeReader()
    this.#wakeWriter()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    while (true) {
      const items = this.#items
      this.#items = []
      this.#wakeWriter()
      yield* items
      if (this.#items.length > 0) continue
      if (this.#isClosed) {
        if (this.#error !== undefined) throw this.#error
        return
      }
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
    }
  }
}

/** Two ends of a pipe: what one sends the other receives. */
export function streamPair<A, B>(): {
  readonly near: MessageStream<A, B>
  readonly far: MessageStream<B, A>
} {
  const up = new Channel<A>()
  const down = new Channel<B>()
  const close = (error?: Error): void => {
    up.close(error)
    down.close(error)
  }
  return {
    near: { send: (message) => up.send(message), incoming: down, close },
    far: { send: (message) => down.send(message), incoming: up, close },
  }
}

/** What writeMessage needs of a Node.js stream in object mode. */
export interface ObjectWriter<T> {
  readonly writableEnded: boolean
  write(message: T): boolean
  on(event: 'drain' | 'close' | 'error', listener: () => void): unknown
  off(event: 'drain' | 'close' | 'error', listener: () => void): unknown
}

/** Writes to an object-mode stream; resolves when its buffer has room again. */
export async function writeMessage<T>(stream: ObjectWriter<T>, message: T): Promise<void> {
  if (stream.writableEnded) throw new Error('the stream has ended')
  if (stream.write(message)) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      stream.off('error', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
    stream.on('error', done)
  })
}
