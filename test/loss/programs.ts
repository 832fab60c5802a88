// The proof's programs in C, compiled on this machine, and the image of its web server.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../../proto/lib/command.ts'
import { busyboxImage } from '../support/busybox-image.ts'

export const serverImageName = 'test/server:latest'
export const serverPort = 80
/** It begins to listen so long after its start: who counts as running before that loses requests. */
const listenAfterMs = 300

/** Compiles test/loss/NAME.c into the folder and answers with the program's path. Needs cc and the C library's headers. */
export async function compileProgram(
  name: 'load' | 'server',
  folder: string,
  ...flags: readonly string[]
): Promise<string> {
  // In the source folder: this file runs from below build/.
  const source = fileURLToPath(new URL(`../../../test/loss/${name}.c`, import.meta.url))
  const program = join(folder, name)
  const argv = ['cc', '-O2', '-Wall', '-Wextra', ...flags, '-o', program, source]
  const { code, stderr } = await runCommand(argv, { timeoutMs: 60_000 })
  if (code === 0) return program
  const remedy = 'install gcc and libc6-dev, or run npm run setup'
  throw new Error(`cannot compile ${source}: ${stderr.trim()}; ${remedy}`)
}

/** A docker-archive. `folder`: for the program. */
export async function buildServerImage(folder: string): Promise<Uint8Array> {
  const program = await compileProgram('server', folder, '-static', '-pthread')
  return await busyboxImage({
    name: serverImageName,
    files: [{ kind: 'file', path: 'bin/server', data: await readFile(program), mode: 0o755 }],
    command: ['/bin/server', `${serverPort}`, `${listenAfterMs}`],
  })
}
