// Keeps what the node was told of overlay networks over a restart of the daemon: without it, and without a manager in
// reach, the first comparison would take the networks of living containers away.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock, Timer } from '../../proto/lib/clock.ts'
import type { Stamp } from '../../proto/objects/assignment.ts'
import type { OverlayState } from './overlay-state.ts'

export interface StoredOverlay {
  readonly stamp: Stamp
  readonly state: OverlayState
  /** Published ports that are open (see port-guard.ts). */
  readonly held: readonly string[]
}

export interface OverlayFile {
  /** Undefined when there is none, or none that can be read. */
  read(): StoredOverlay | undefined
  /** Writes within a second: changes come in bursts, and each rewrites the whole. */
  writeSoon(stored: StoredOverlay): void
  /** Writes what waits. */
  close(): void
}

const delayMs = 1_000

/** `onError`: told when a write failed; the next change tries again. */
export function openOverlayFile(
  file: string,
  clock: Clock,
  onError: (err: unknown) => void,
): OverlayFile {
  let waiting: StoredOverlay | undefined
  let timer: Timer | undefined
  const write = (): void => {
    timer?.cancel()
    timer = undefined
    if (waiting === undefined) return
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      writeFileSync(`${file}.new`, JSON.stringify(waiting), { mode: 0o600 })
      renameSync(`${file}.new`, file)
      waiting = undefined
    } catch (err) {
      onError(err)
    }
  }
  return {
    read: () => readStored(file),
    writeSoon: (stored) => {
      waiting = stored
      timer ??= clock.setTimer(delayMs, write)
    },
    close: write,
  }
}

function readStored(file: string): StoredOverlay | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
