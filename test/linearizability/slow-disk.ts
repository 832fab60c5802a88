// Disks whose flushes are slow on demand, for processes that are started with this environment.
import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../../proto/lib/command.ts'

/** In the source folder: this file runs from below build/. */
const source = fileURLToPath(new URL('../../../test/linearizability/slow-disk.c', import.meta.url))

/** Compiles the library into the folder and answers with its path. Needs cc and the headers of the C library. */
export async function compileSlowDisk(directory: string): Promise<string> {
  const library = join(directory, 'slow-disk.so')
  const argv = ['cc', '-O2', '-shared', '-fPIC', '-o', library, source, '-ldl']
  const compiled = await runCommand(argv, { timeoutMs: 60_000 })
  if (compiled.code !== 0) {
    const remedy = 'install gcc and libc6-dev, or run npm run setup'
    throw new Error(`cannot compile ${source}: ${compiled.stderr.trim()}; ${remedy}`)
  }
  return library
}

/** The disk of one process at a time. */
export class SlowDisk {
  readonly file: string

  constructor(file: string) {
    this.file = file
    writeFileSync(file, new Uint8Array(8))
  }

  /** Of every flush from now on; also of one that waits to begin. */
  delay(ms: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, Math.round(ms * 1000), true)
    // Written in place: processes have the file mapped.
    const fd = openSync(this.file, 'r+')
    writeSync(fd, bytes, 0, 4, 0)
    closeSync(fd)
  }

  /** Flushes that were delayed so far. */
  get delayed(): number {
    const bytes = new Uint8Array(4)
    const fd = openSync(this.file, 'r')
    readSync(fd, bytes, 0, 4, 4)
    closeSync(fd)
    return new DataView(bytes.buffer).getUint32(0, true)
  }
}
