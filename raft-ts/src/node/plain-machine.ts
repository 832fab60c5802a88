// A state machine of plain synchronous functions, as the driver's. For states that are small enough to be
// copied at once; large ones implement StateMachine themselves and stream.
import type { Entry, Index, SnapshotMeta } from '../core/types.ts'
import type { SnapshotSource, StateMachine } from '../driver/environment.ts'
import type { Done } from '../storage/disk.ts'

/** A replicated state. The same bytes in the same order must make the same state on every member. */
export interface PlainStateMachine<Result> {
  /** Applies one proposal that was committed; the result goes to who proposed it here. Must not throw. */
  apply(data: Uint8Array, index: Index): Result
  /** The whole state. The bytes must not change any more. */
  snapshot(): Uint8Array
  /** Replaces the whole state by one that `snapshot` gave, here or on another member. */
  restore(bytes: Uint8Array): void
}

/** A state machine that knows what applying an entry came to. */
export interface MemberStateMachine<Result> extends StateMachine {
  /** Of an entry of the last batch that was applied; absent: results are undefined. */
  resultAt?(index: Index): Result | undefined
}

const chunkBytes = 256 * 1024
/** What Node.js can hold in one buffer with certainty. */
const stateBytesMax = 2 ** 31

/** Drives plain functions as the driver wants it. What they throw ends the member. */
export function plainStateMachine<Result>(
  machine: PlainStateMachine<Result>,
): MemberStateMachine<Result> {
  return new PlainMachine(machine)
}

class PlainMachine<Result> implements MemberStateMachine<Result> {
  readonly #machine: PlainStateMachine<Result>
  /** Of the last batch: proposals are answered before the next one. */
  readonly #results = new Map<Index, Result>()

  constructor(machine: PlainStateMachine<Result>) {
    this.#machine = machine
  }

  apply(entries: readonly Entry[], done: Done): void {
    this.#results.clear()
    try {
      for (const entry of entries) {
        // A new leader's first entry is empty.
        if (entry.kind !== 'data' || entry.data.length === 0) continue
        this.#results.set(entry.index, this.#machine.apply(entry.data, entry.index))
      }
    } catch (err) {
      done(asError(err, 'apply'))
      return
    }
    done()
  }

  resultAt(index: Index): Result | undefined {
    return this.#results.get(index)
  }

  snapshot(): SnapshotSource {
    const bytes = this.#machine.snapshot()
    let offset = 0
    return {
      read: (done) => {
        const chunk = bytes.subarray(offset, offset + chunkBytes)
        offset += chunk.length
        done(undefined, chunk.length === 0 ? undefined : chunk)
      },
      cancel: () => {
        offset = bytes.length
      },
    }
  }

  restore(meta: SnapshotMeta, source: SnapshotSource, done: Done): void {
    this.#results.clear()
    collect(source, (err, bytes) => {
      if (bytes === undefined) return done(err)
      try {
        this.#machine.restore(bytes)
      } catch (thrown) {
        done(asError(thrown, `restore of the snapshot at index ${meta.index}`))
        return
      }
      done()
    })
  }
}

/** Reads a source to its end. A loop, so that many chunks that come at once do not deepen the stack. */
function collect(
  source: SnapshotSource,
  done: (err: Error | undefined, bytes: Uint8Array | undefined) => void,
): void {
  const chunks: Uint8Array[] = []
  let length = 0
  let isLooping = false
  let isReady = true
  const turn = (): void => {
    isReady = true
    if (isLooping) return
    isLooping = true
    while (isReady) {
      isReady = false
      step()
    }
    isLooping = false
  }
  const step = (): void =>
    source.read((err, chunk) => {
      if (err !== undefined) return done(err, undefined)
      if (chunk === undefined) return done(undefined, Buffer.concat(chunks, length))
      chunks.push(chunk)
      length += chunk.length
      if (length <= stateBytesMax) return turn()
      source.cancel()
      const remedy = 'implement StateMachine, which restores in chunks'
      done(
        new RangeError(`a snapshot above ${stateBytesMax} bytes is no plain one; ${remedy}`),
        undefined,
      )
    })
  turn()
}

function asError(thrown: unknown, what: string): Error {
  return new Error(`the state machine failed: ${what}: ${String(thrown)}`, { cause: thrown })
}
