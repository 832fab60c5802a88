// A StateFile in memory, which outlives the daemon of a test as a disk would.
import type { StateFile } from '../../worker/state-file.ts'

export function memoryStateFile(): StateFile {
  let data = Buffer.alloc(0)
  return {
    read: async () => data,
    append: async (more) => {
      data = Buffer.concat([data, more])
    },
    replace: async (whole) => {
      data = Buffer.from(whole)
    },
    close: async () => {},
  }
}
