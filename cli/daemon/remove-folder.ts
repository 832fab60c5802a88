// Removes a folder of the daemon's, which may be the root of a disk of its own, and may hold a folder that stays.
import { readdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorCode } from '../../proto/lib/rooted-files.ts'

/**
 * Removes the folder with all in it; what is mounted on it stays mounted, empty. `kept`: a folder below it that stays, with those
 * that lead there, when something is in it. A folder that is not there is none. Errors: those of the file system.
 */
export async function removeFolder(folder: string, kept?: string): Promise<void> {
  const stays = kept !== undefined && (await namesIn(kept)).length > 0
  await emptyFolder(folder, stays ? foldersTo(folder, kept) : [])
  if (!stays) await removeEmpty(folder)
}

/** From below the folder down to the kept one. */
function foldersTo(folder: string, kept: string): readonly string[] {
  return kept === folder ? [] : [...foldersTo(folder, dirname(kept)), kept]
}

async function emptyFolder(folder: string, [next, ...further]: readonly string[]): Promise<void> {
  for (const name of await namesIn(folder)) {
    const path = join(folder, name)
    if (path !== next) await rm(path, { recursive: true, force: true })
  }
  if (next !== undefined && further.length > 0) await emptyFolder(next, further)
}

async function removeEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch((err: unknown) => {
    if (!['ENOENT', 'EBUSY'].includes(errorCode(err))) throw err
  })
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return await readdir(folder).catch((err: unknown) => {
    if (errorCode(err) === 'ENOENT') return []
    throw err
  })
}
