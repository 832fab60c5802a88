// Keeps a container's log within bounds: renames the file and has conmon open a new one, so that no line is lost.
import { constants } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import type { LogKeeping } from '../../../proto/spec/log-driver-spec.ts'

export interface LogLimits {
  /** A file is renamed once it is larger. */
  readonly bytesMax: number
  /** Files kept, the one written to included. */
  readonly filesMax: number
}

/** conmon's word for "open the log again". */
const reopen = '2 0 0\n'

/** Rotates when the log is too large; tells whether it did. `controlPath`: conmon's ctl pipe. */
export async function rotateLog(
  path: string,
  controlPath: string,
  limits: LogLimits,
): Promise<boolean> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  )
  if (size <= limits.bytesMax) return false
  // Without a reader this fails, and nothing is renamed: a dead monitor would write on to the renamed file.
  const control = await open(controlPath, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => {})
  if (control === undefined) return false
  try {
    const kept = limits.filesMax - 1
    await rm(`${path}.${kept}`, { force: true })
    for (let age = kept - 1; age >= 1; age--)
      await renameIfThere(`${path}.${age}`, `${path}.${age + 1}`)
    if (kept === 0) await rm(path)
    else await rename(path, `${path}.1`)
    await control.write(reopen)
    return true
  } finally {
    await control.close()
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((err: unknown) => {
    if (!(err instanceof Error && 'code' in err && err.code === 'ENOENT')) throw err
  })
}

/** What is kept of one container's output, where it says less than the node does. */
export function limitsOf(log: LogKeeping | undefined, ofNode: LogLimits): LogLimits {
  if (log === undefined || log.kind === 'none') return ofNode
  return { bytesMax: log.bytesMax ?? ofNode.bytesMax, filesMax: log.filesMax ?? ofNode.filesMax }
}
