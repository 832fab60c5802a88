// The image lab/answerer, which every host of the lab gets: answerer.c and nothing else.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImageArchive } from '../../cli/lab/image-archive.ts'
import { runCommand } from '../../proto/lib/command.ts'

export const answererImage = 'lab/answerer:latest'

/** In the source folder: this file runs from below build/. */
const source = fileURLToPath(new URL('../../../test/churn/answerer.c', import.meta.url))

/** A docker-archive. Needs cc and a C library to link with as a whole; scratch files go into the folder. */
export async function buildAnswererImage(directory: string): Promise<Uint8Array> {
  const program = join(directory, 'answerer')
  const argv = ['cc', '-O2', '-static', '-Wall', '-Werror', '-o', program, source]
  const { code, stderr } = await runCommand(argv, { timeoutMs: 60_000 })
  if (code !== 0) {
    const remedy = 'install gcc and libc6-dev, or run npm run setup'
    throw new Error(`cannot compile ${source}: ${stderr.trim()}; ${remedy}`)
  }
  const data = await readFile(program)
  return buildImageArchive({
    names: [answererImage],
    files: [
      { kind: 'directory', path: 'strays' },
      { kind: 'file', path: 'answerer', data, mode: 0o755 },
    ],
    command: ['/answerer'],
  })
}
