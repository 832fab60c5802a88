// Asks a daemon that was started with heap-probe.ts how much memory it still uses after its garbage is collected.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { untilSeen } from '../support/until.ts'

/** In the environment of a daemon: the folder that its answers are written to. */
export const heapFolderVariable = 'TSSWARM_SOAK_HEAPS'
const answerMs = 30_000

export function heapFile(folder: string, pid: number): string {
  return join(folder, `${pid}`)
}

/** What a daemon's environment needs. */
export function heapProbeEnv(folder: string): Readonly<Record<string, string>> {
  const probe = fileURLToPath(new URL('./heap-probe.js', import.meta.url))
  return { NODE_OPTIONS: `--import=${probe}`, [heapFolderVariable]: folder }
}

/** Bytes of its main thread's heap in use. Collecting stops the daemon for a moment. */
export async function liveHeapBytes(folder: string, pid: number): Promise<number> {
  const file = heapFile(folder, pid)
  rmSync(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  return await untilSeen(`the heap of process ${pid}`, async () => writtenNumber(file), answerMs)
}

function writtenNumber(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
