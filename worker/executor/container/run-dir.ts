// Keeps environments and registry passwords off the disk: mounts a tmpfs on the executor's run folder where the host's
// own is none. One that a former daemon mounted is used as it is: the containers' bundles lie in it.
import { mkdir, readdir, readFile, realpath, rm, statfs } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import { type RunCommand, runCommand } from '../../../proto/lib/command.ts'
import { bootId } from '../../image/image-transfer.ts'
import { type ExecutorDirs, hostPaths } from './paths.ts'
import { readRecord } from './record.ts'

/** `on disk`: environments go there, for the reason given. */
export type RunDirPlace =
  | { readonly kind: 'in memory' }
  | { readonly kind: 'on disk'; readonly why: string }

const tmpfsMagic = 0x01021994
/** Tells ours from mounts that others made: shown by `mount`. */
const mountSource = 'tsswarm-run'
/** Bounds as systemd gives /run; the folders in it have modes of their own. */
const mountOptions = 'mode=0711,nosuid,nodev,size=20%,nr_inodes=800k'

/**
 * Makes the folder, and has it in memory unless containers live in it that were made before. Must be awaited before
 * any process gets a mount namespace of its own: it would not see the mount.
 */
export async function prepareRunDir(
  dirs: ExecutorDirs,
  run: RunCommand = runCommand,
): Promise<RunDirPlace> {
  const { runDir } = dirs
  await mkdir(runDir, { recursive: true, mode: 0o711 })
  if (await isInMemory(runDir)) return { kind: 'in memory' }
  if (await isLivedIn(dirs)) {
    const why = 'containers made before live in it: restart the daemon once they have ended'
    return { kind: 'on disk', why }
  }
  // What an earlier start of the host left would lie hidden below the mount, passwords included.
  for (const folder of runFolders(dirs)) await rm(folder, { recursive: true, force: true })
  const argv = ['mount', '-t', 'tmpfs', '-o', mountOptions, mountSource, runDir]
  const { code, stderr } = await run(argv)
  if (code === 0) return { kind: 'in memory' }
  return { kind: 'on disk', why: stderr.trim() }
}

/** Takes the mount away if it is ours. Only when no container is left. Errors: INTERNAL. */
export async function releaseRunDir(runDir: string, run: RunCommand = runCommand): Promise<void> {
  while (await isOurMount(runDir)) {
    // Lazily: a monitor that is just ending may still stand in it.
    const { code, stderr } = await run(['umount', '--lazy', runDir])
    if (code === 0) continue
    throw new SwarmError('INTERNAL', `cannot unmount ${runDir}: ${stderr.trim()}`)
  }
}

/** Folders of the executor in its run folder. */
export function runFolders(dirs: ExecutorDirs): readonly string[] {
  const { bundlesDir, exitsDir, runtimeDir, seccompDir } = hostPaths(dirs)
  return [bundlesDir, exitsDir, runtimeDir, seccompDir, `${dirs.runDir}/images`]
}

async function isInMemory(path: string): Promise<boolean> {
  return (await statfs(path)).type === tmpfsMagic
}

/** Whether a container of this start of the host may have its bundle there; one half-made counts. */
async function isLivedIn(dirs: ExecutorDirs): Promise<boolean> {
  const { bundlesDir } = hostPaths(dirs)
  const names = await readdir(bundlesDir).catch(() => [])
  const boot = await bootId()
  const records = await Promise.all(
    names.map((name) => readRecord(`${bundlesDir}/${name}/record.json`)),
  )
  return records.some((record) => record === undefined || record.bootId === boot)
}

async function isOurMount(runDir: string): Promise<boolean> {
  const path = await realpath(runDir).catch(() => runDir)
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  return mounts.split('\n').some((line) => line.startsWith(`${mountSource} ${path} tmpfs `))
}
