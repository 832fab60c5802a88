// Snapshots as streams of chunks: from a file at rest, and from a source into a draft. The caller
// owns whatever is held or drafted.
import type { Done } from '../storage/disk.ts'
import type { HeldSnapshot, SnapshotDraft } from '../storage/snapshot-store.ts'
import type { SnapshotSource } from './environment.ts'

/** The content of a snapshot at rest. Cancelling does not release it. */
export function heldSource(held: HeldSnapshot): SnapshotSource {
  let offset = 0
  return {
    read: (done) => {
      let chunk: Uint8Array
      try {
        chunk = held.reader.read(offset)
      } catch (err) {
        done(err as Error, undefined)
        return
      }
      offset += chunk.length
      done(undefined, chunk.length === 0 ? undefined : chunk)
    },
    cancel: () => {},
  }
}

/**
 * Writes all of a source into a draft, chunk by chunk. `isCancelled` is asked between chunks; then
 * `done` gets no error and the draft is not complete.
 */
export function fillDraft(
  source: SnapshotSource,
  draft: SnapshotDraft,
  isCancelled: () => boolean,
  done: Done,
): void {
  // A loop as long as both ends call back at once, so that many small chunks do not deepen the stack.
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
  const step = (): void => {
    if (isCancelled()) {
      source.cancel()
      done()
      return
    }
    source.read((err, chunk) => {
      if (err !== undefined || chunk === undefined) return done(err)
      draft.writer.write(chunk, (writeErr) => {
        if (writeErr === undefined) return turn()
        source.cancel()
        done(writeErr)
      })
    })
  }
  turn()
}
