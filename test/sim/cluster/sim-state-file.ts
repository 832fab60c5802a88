// The agent's state file on a simulated host: what was appended is there after the process died, what was under way is not.
import type { SimProcess } from 'raft-ts/testing'
import type { StateFile } from '../../../worker/state-file.ts'

/** Outlives processes. */
export interface StoredState {
  data: Uint8Array
}

const writeMs = 0.3

export function simStateFile(process: SimProcess, stored: StoredState): StateFile {
  const write = (change: () => void): Promise<void> =>
    new Promise((resolve) =>
      process.after(writeMs, () => {
        change()
        resolve()
      }),
    )
  return {
    read: () => Promise.resolve(stored.data),
    append: (more) =>
      write(() => {
        stored.data = Buffer.concat([stored.data, more])
      }),
    replace: (whole) =>
      write(() => {
        stored.data = Uint8Array.from(whole)
      }),
    close: () => Promise.resolve(),
  }
}
