// Loaded into a daemon before its own program (`node --import`): at SIGUSR2 it collects all garbage and writes how much of the
// main thread's heap is left, so that memory in use is told from memory not yet taken back. Its file: see heapFile.
// Not what lies outside of the heap: buffers are freed some time after nobody has them.
import { renameSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'
import { heapFile, heapFolderVariable } from './live-heap.ts'

const folder = process.env[heapFolderVariable]
if (isMainThread && folder !== undefined) {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  process.on('SIGUSR2', () => {
    collect()
    // What waited for an end of something else to be told is let go of now.
    setImmediate(() => {
      collect()
      const file = heapFile(folder, process.pid)
      writeFileSync(`${file}.new`, `${process.memoryUsage().heapUsed}`)
      renameSync(`${file}.new`, file)
    })
  })
}
