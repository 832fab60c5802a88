// Files that a container is given, secrets among them: written into its folder in memory and mounted from there, read-only.
import { mkdirSync, statfsSync } from 'node:fs'
import { chmod, chown, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { FileMount } from '../executor.ts'
import type { OwnerIds } from './id-mapping.ts'
import { cleanPath, type OciMount } from './mounts.ts'

const tmpfsMagic = 0x01021994

/**
 * Writes them into a new folder and returns their mounts; `ownerOf`: on the host. Errors: FAILED_PRECONDITION where the folder would be on disk, of which
 * nothing is left then; RESOURCE_EXHAUSTED.
 */
export async function writeFiles(
  folder: string,
  files: readonly FileMount[],
  ownerOf: (file: FileMount) => OwnerIds = (file) => file,
): Promise<readonly OciMount[]> {
  if (files.length === 0) return []
  mkdirSync(folder, { mode: 0o700 })
  if (statfsSync(folder).type !== tmpfsMagic) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `secrets and configs are kept in memory only, and ${folder} is on disk: give the daemon a run folder on a tmpfs, ` +
        'or restart it once the containers made before have ended',
    )
  }
  return await Promise.all(
    files.map((file, at) => writeOne(`${folder}/${at}`, file, ownerOf(file))),
  )
}

async function writeOne(path: string, file: FileMount, owner: OwnerIds): Promise<OciMount> {
  const { target, mode } = file
  try {
    await writeFile(path, file.data(), { mode: 0o600, flag: 'wx' })
    await chown(path, owner.uid, owner.gid)
    // After chown, which takes set-id bits away.
    await chmod(path, mode)
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new SwarmError(
      'RESOURCE_EXHAUSTED',
      `the file for ${target} cannot be kept in memory (${reason}): free memory on this node, or mount less`,
      { cause },
    )
  }
  return {
    destination: cleanPath(target),
    type: 'bind',
    source: path,
    options: ['bind', 'rprivate', 'ro', 'nosuid', 'nodev', 'noexec'],
  }
}
