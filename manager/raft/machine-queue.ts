// The state machine's side in the main thread: does what the Raft thread asks strictly in the order
// it was asked, at once where nothing waits. Chunks are produced and consumed as they are pulled.
import { unpackEntries, wholeBuffer } from './entry-pack.ts'
import { toldBytes } from './port-state-machine.ts'
import type { SnapshotPoint, StateMachine } from './raft-handle.ts'
import type { ToThread } from './thread-messages.ts'

type Post = (message: ToThread, transfer?: readonly ArrayBuffer[]) => void
type Step = () => void | Promise<void>

const joinedBytes = 128 * 1024

export class MachineQueue {
  readonly #machine: StateMachine
  readonly #post: Post
  readonly #onFailed: (err: unknown) => void
  #steps: Step[] = []
  /** Applied since the other side was told. */
  #untoldBytes = 0
  #isBusy = false
  #isEnded = false
  #snapshot: AsyncIterator<Uint8Array> | undefined
  /** Takes the next chunk of the restore under way. */
  #feed: ((chunk: Uint8Array | undefined, err: Error | undefined) => void) | undefined

  constructor(machine: StateMachine, post: Post, onFailed: (err: unknown) => void) {
    this.#machine = machine
    this.#post = post
    this.#onFailed = onFailed
  }

  apply(packed: ArrayBuffer): void {
    this.run(() => {
      const applied = this.#machine.apply(unpackEntries(packed))
      if (applied === undefined) return this.#applied(packed.byteLength)
      return applied.then(() => this.#applied(packed.byteLength))
    })
  }

  /** Tells it from time to time: what matters is only that the other side does not wait. */
  #applied(bytes: number): void {
    this.#untoldBytes += bytes
    if (this.#untoldBytes < toldBytes) return
    this.#post({ kind: 'applied', bytes: this.#untoldBytes })
    this.#untoldBytes = 0
  }

  /** The snapshot's references are taken in order; its chunks are made later, as they are pulled. */
  takeSnapshot(): void {
    this.run(() => {
      this.#snapshot = this.#machine.snapshot()[Symbol.asyncIterator]()
    })
  }

  /** In order behind takeSnapshot, but holding nothing up. */
  pullSnapshot(): void {
    this.run(() => {
      void this.#nextChunk()
    })
  }

  cancelSnapshot(): void {
    this.run(() => {
      const snapshot = this.#snapshot
      this.#snapshot = undefined
      void snapshot?.return?.(undefined)
    })
  }

  restore(at: SnapshotPoint): void {
    this.run(async () => {
      await this.#machine.restore(at, this.#chunks())
      this.#feed = undefined
      this.#post({ kind: 'restored' })
    })
  }

  /** Not queued: the restore under way waits for it. */
  restoreChunk(bytes: ArrayBuffer | undefined, err: Error | undefined): void {
    this.#feed?.(bytes && new Uint8Array(bytes), err)
  }

  /** Runs a step after all before it. */
  run(step: Step): void {
    if (this.#isEnded) return
    if (this.#isBusy || this.#steps.length > 0) {
      this.#steps.push(step)
      return
    }
    this.#start(step)
  }

  end(): void {
    this.#isEnded = true
    this.#steps = []
    this.#feed?.(undefined, new Error('the Raft thread ended'))
  }

  #start(step: Step): void {
    let pending: void | Promise<void>
    try {
      pending = step()
    } catch (err) {
      this.#fail(err)
      return
    }
    if (pending === undefined) return
    this.#isBusy = true
    pending.then(
      () => {
        this.#isBusy = false
        this.#drain()
      },
      (err) => this.#fail(err),
    )
  }

  #drain(): void {
    while (!this.#isBusy && !this.#isEnded) {
      const step = this.#steps.shift()
      if (step === undefined) return
      this.#start(step)
    }
  }

  #fail(err: unknown): void {
    if (this.#isEnded) return
    this.end()
    this.#onFailed(err)
  }

  async #nextChunk(): Promise<void> {
    const snapshot = this.#snapshot
    if (snapshot === undefined) return
    try {
      const chunk = await nextJoined(snapshot)
      if (this.#snapshot !== snapshot) return
      if (chunk === undefined) this.#snapshot = undefined
      const bytes = chunk && wholeBuffer(chunk)
      this.#post({ kind: 'snapshot-chunk', bytes }, bytes === undefined ? [] : [bytes])
    } catch (err) {
      this.#snapshot = undefined
      this.#post({ kind: 'snapshot-failed', reason: String(err) })
    }
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    while (true) {
      const chunk = await new Promise<Uint8Array | undefined>((resolve, reject) => {
        this.#feed = (bytes, err) => {
          if (err === undefined) resolve(bytes)
          else reject(err)
        }
        this.#post({ kind: 'restore-pull' })
      })
      if (chunk === undefined) return
      yield chunk
    }
  }
}

/** Joins small chunks: each one that is sent costs a round trip between the threads. */
async function nextJoined(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  const joined: Uint8Array[] = []
  let bytes = 0
  while (bytes < joinedBytes) {
    const { done, value } = await chunks.next()
    if (done === true) break
    joined.push(value)
    bytes += value.length
  }
  return joined.length === 0 ? undefined : Buffer.concat(joined)
}
